"""Descriptions for systemd and launchd."""

import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aionoah.instances.spec import Spec
from aionoah.instances.units import launchd_plist, systemd_unit

WORDS = [sys.executable, "-m", "aionoah", "start", "--foreground", "web"]
STRANGE = {"AIONOAH_HOME": '/a b/%h/$HOME/"q"\\x'}


@pytest.mark.parametrize("for_everybody", [True, False])
def test_systemd_takes_it(spec: Spec, tmp_path: Path, for_everybody: bool) -> None:
    path = tmp_path / "aionoah-web.service"
    path.write_text(systemd_unit(spec, WORDS, STRANGE, for_everybody=for_everybody))
    assert 'Environment="AIONOAH_HOME=/a b/%%h/$$HOME/\\"q\\"\\\\x"' in path.read_text()
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    subprocess.run(["systemd-analyze", "verify", path], check=True, timeout=200)


def test_launchd(spec: Spec) -> None:
    found = plistlib.loads(launchd_plist(spec._replace(stop_timeout=3), WORDS, STRANGE).encode())
    assert found["ProgramArguments"] == WORDS
    assert found["EnvironmentVariables"] == STRANGE
    assert (found["Label"], found["ExitTimeOut"]) == ("aionoah.web", 13)
