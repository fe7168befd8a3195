"""The second stage: packages are installed by the tree's own dpkg, in a guest, in the order that debootstrap has found to work."""

import asyncio
import contextlib
import os
import shlex
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import aionoah
from aionoah.bootstrap import BootstrapError
from aionoah.bootstrap.packages import Package
from aionoah.images.pull import Progress
from aionoah.linux import Mount

_ARCHIVES: Final = "/run/bootstrap"
_FIRST: Final = ("base-passwd", "base-files", "dpkg", "libc6", "perl-base", "mawk", "debconf")
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
}
_DPKG: Final = "/usr/bin/dpkg --force-depends --force-unsafe-io --status-fd 3"
_STATES: Final = ("status: ", ": unpacked"), ("status: ", ": installed")
_REMEMBERED: Final = 40  # lines of what has been said last
_LONGEST: Final = 65536  # bytes of a line


def script(packages: Sequence[Package]) -> str:
    """What the tree's shell runs (debootstrap's scripts/debian-common, second_stage_install)."""
    names = {package.name: package.file_name for package in packages}
    # What dpkg tells of its state has a descriptor of its own, because the packages' scripts have it closed.
    lines = ["set -e", "exec 3>&1", f"cd {_ARCHIVES}", "ln -sf mawk /usr/bin/awk" if "mawk" in names else ":"]
    for name in _FIRST:
        if name == "mawk" and name in names:
            lines.append("rm -f /usr/bin/awk")
        if name in names:
            lines.append(f"{_DPKG} --install {shlex.quote(names[name])}")
    lines += [
        f"{_DPKG} --unpack *.deb",
        f"{_DPKG} --force-configure-any --configure --pending",
        "rm -f /usr/sbin/policy-rc.d",
        "/usr/bin/dpkg --audit >&2",
    ]
    return "\n".join(lines)


async def configure(
    top: Path,
    packages: Sequence[Package],
    files: Mapping[str, Path],
    progress: Progress,
    *,
    architecture: str,
    hypervisor: str,
    log: Path,
) -> None:
    """Install the packages in the tree. BootstrapError with dpkg's own words; the log has all of them."""
    progress.begin(2 * len(packages))
    with _archives(packages, files) as place, log.open("wb", buffering=0) as written:
        mounts = {_ARCHIVES: Mount(place, read_only=True)}
        options = {"architecture": architecture, "hypervisor": hypervisor, "writes": "through"}
        async with aionoah.Linux(top, mounts=mounts, **options) as linux:  # type: ignore[arg-type]
            shell = await linux.create_subprocess_exec(
                *("/bin/sh", "-c", script(packages)),
                stdin=aionoah.DEVNULL,
                stdout=aionoah.PIPE,
                stderr=aionoah.STDOUT,
                env=_ENVIRONMENT,
                cwd="/",
                user=0,
                group=0,
                umask=0o022,
            )
            last = deque[str](maxlen=_REMEMBERED)
            seen: set[str] = set()
            assert shell.stdout is not None  # noqa: S101 - it is a pipe
            async for line in _lines(shell.stdout):
                written.write(line)
                text = line.decode(errors="replace").strip()
                if any(text.startswith(start) and text.endswith(end) for start, end in _STATES):
                    progress.came(text not in seen)
                    seen.add(text)
                elif not text.startswith(("status: ", "processing: ")):
                    last.append(text)
            if await shell.wait():
                raise BootstrapError(
                    f"the packages cannot be installed: {_reason(last)} (all that was said is in {log})"
                )


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Those that are very long in parts: StreamReader.readline would not take them."""
    rest = b""
    while data := await reader.read(_LONGEST):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(rest) >= _LONGEST:
            yield rest
            rest = b""
    if rest:
        yield rest


def _reason(lines: "deque[str]") -> str:
    said = [line for line in lines if line]
    errors = [line for line in said if "error" in line]
    return (errors or said or ["nothing was said"])[-1]


@contextlib.contextmanager
def _archives(packages: Sequence[Package], files: Mapping[str, Path]) -> Iterator[str]:
    """A directory with the packages by the names that apt gives them, beside where they are kept."""
    cache = files[packages[0].file.path].parent
    with tempfile.TemporaryDirectory(prefix="archives-", dir=cache) as place:
        for package in packages:
            os.link(files[package.file.path], Path(place, package.file_name))
        yield place
