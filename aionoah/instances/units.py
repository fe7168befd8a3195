"""Descriptions of instances for systemd (systemd.service(5)) and launchd (launchd.plist(5)), which run them in the
foreground. Restarts of programs stay the instances' own affair; those two look after the process that runs one.
"""

import plistlib
from collections.abc import Mapping, Sequence
from typing import Final

from aionoah.instances.spec import Spec

_PATIENCE: Final = 10  # seconds more than the program has for its end
_STOPPED: Final = 143  # how a program ends that is asked to


def systemd_unit(
    spec: Spec, words: Sequence[str], variables: Mapping[str, str], *, for_everybody: bool
) -> str:
    """`words` start the instance; `variables` say where it is. `for_everybody`: not for a user's own systemd."""
    lines = [
        "[Unit]",
        f"Description=aionoah instance {spec.name}",
        *(["After=network-online.target", "Wants=network-online.target"] if for_everybody else []),
        "",
        "[Service]",
        "Type=notify",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()),
        "ExecStart=" + " ".join(map(_quoted, words)),
        "KillMode=mixed",
        f"TimeoutStopSec={int(spec.stop_timeout) + _PATIENCE}",
        f"SuccessExitStatus={_STOPPED}",
        "Restart=on-abnormal",
        "",
        "[Install]",
        f"WantedBy={'multi-user' if for_everybody else 'default'}.target",
    ]
    return "\n".join(lines) + "\n"


def launchd_plist(spec: Spec, words: Sequence[str], variables: Mapping[str, str]) -> str:
    """For ~/Library/LaunchAgents, or /Library/LaunchDaemons."""
    record = {
        "Label": f"aionoah.{spec.name}",
        "ProgramArguments": list(words),
        "EnvironmentVariables": dict(variables),
        "RunAtLoad": True,
        "KeepAlive": {"Crashed": True},
        "ExitTimeOut": int(spec.stop_timeout) + _PATIENCE,
        "ProcessType": "Background",
    }
    return plistlib.dumps(record).decode()


def _quoted(word: str) -> str:
    """As systemd reads words: specifiers and variables are not meant."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + escaped.replace("%", "%%").replace("$", "$$") + '"'
