"""A bootstrap from its beginning to its end: either the whole tree is there, or nothing."""

import asyncio
import contextlib
import gzip
import lzma
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from itertools import count
from pathlib import Path
from typing import Final

import uvloop

from aionoah.bootstrap import BootstrapError
from aionoah.bootstrap.configuring import configure
from aionoah.bootstrap.mirror import Mirror, Wanted
from aionoah.bootstrap.packages import Package, Packages, choose
from aionoah.bootstrap.plan import ARCHITECTURES, Plan
from aionoah.bootstrap.release import Release, read_release
from aionoah.bootstrap.unpacking import FirstStage
from aionoah.images.pull import Progress
from aionoah.images.store import default_home

Stage = Callable[[str], AbstractContextManager[Progress]]
"""Gives who shows the progress of a stage of that name."""

_INDICES: Final[dict[str, Callable[[bytes], bytes]]] = {
    ".xz": lzma.decompress,
    ".gz": gzip.decompress,
    "": bytes,
}
_HOSTNAME: Final = "aionoah"
_HOSTS: Final = f"""127.0.0.1 localhost
127.0.1.1 {_HOSTNAME}
::1 localhost ip6-localhost ip6-loopback
"""
_FSTAB: Final = "# What is mounted, aionoah decides.\n"
_NO_SERVICES: Final = "#!/bin/sh\nexit 101\n"  # invoke-rc.d(8): nothing is started
_FEIGNED: Final = """Package: dpkg
Version: {version}
Maintainer: unknown
Status: install ok installed
Architecture: {architecture}
Description: what will be installed first

"""


def bootstrap(plan: Plan, target: Path, stage: Stage, *, hypervisor: str = "auto") -> int:
    """Build a root in a directory that is empty or not there; how many packages it has. BootstrapError, OSError."""
    target = Path(os.path.abspath(target))  # noqa: PTH100 - `..` goes too: it has a name then
    _require_empty(target)
    with closing(Mirror(plan.mirror, default_home() / "packages")) as mirror:
        release = read_release(mirror, plan.suite, plan.keyring)
        packages, files = _fetch(plan, mirror, release, stage)
        with _unfinished(target) as top:
            _unpack(plan, release, top, packages, files, stage)
            log = _new_log(target)
            _install(plan, top, packages, files, stage, hypervisor, log)
    log.unlink()
    return len(packages)


def _require_empty(target: Path) -> None:
    if target.is_dir() and any(target.iterdir()):
        raise BootstrapError(f"{target} is not empty: name a new directory, or an empty one")
    if target.exists() and not target.is_dir():
        raise BootstrapError(f"{target} is no directory")
    if not target.parent.is_dir():
        raise BootstrapError(f"{target} cannot be made: {target.parent} is no directory")
    if target == Path.cwd():  # another directory takes its place in the end
        raise BootstrapError(f"{target} is the working directory: go somewhere else")


def _new_log(target: Path) -> Path:
    """A file beside the target that nobody has had."""
    for number in count():
        path = target.with_name(f"{target.name}{number or ''}.log")
        with contextlib.suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path
    raise AssertionError


@contextlib.contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A directory beside the target, which becomes the target if all goes well, and else goes."""
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield made
        made.chmod(0o755)
        made.rename(target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _fetch(
    plan: Plan, mirror: Mirror, release: Release, stage: Stage
) -> tuple[list[Package], Mapping[str, Path]]:
    wanted = [_index(plan, release, component) for component in plan.components]
    with stage("Lists") as progress:
        lists = mirror.fetch_all([file for file, _ in wanted], progress)
    try:
        packages = Packages(*(_INDICES[kind](lists[file.path].read_bytes()) for file, kind in wanted))
    except (lzma.LZMAError, EOFError, OSError) as error:
        raise BootstrapError(f"the list of packages cannot be read: {error}") from None
    chosen = choose(packages, plan.variant, plan.include)
    with stage("Packages") as progress:
        return chosen, mirror.fetch_all((package.file for package in chosen), progress)


def _index(plan: Plan, release: Release, component: str) -> tuple[Wanted, str]:
    for kind in _INDICES:
        wanted = release.wanted(f"{component}/binary-{plan.architecture}/Packages{kind}", plan.suite)
        if wanted is not None:
            return wanted, kind
    raise BootstrapError(f"{plan.mirror} has no {component} for {plan.architecture} in {plan.suite}")


def _unpack(
    plan: Plan,
    release: Release,
    top: Path,
    packages: Sequence[Package],
    files: Mapping[str, Path],
    stage: Stage,
) -> None:
    with stage("Unpacking") as progress, FirstStage(top, plan.architecture) as tree:
        progress.begin(sum(package.file.size for package in packages))
        for package in packages:
            tree.unpack(files[package.file.path], package.file_name)
            progress.came(package.file.size)
        version = next(package.version for package in packages if package.name == "dpkg")
        tree.file("var/lib/dpkg/status", _FEIGNED.format(version=version, architecture=plan.architecture))
        tree.file("var/lib/dpkg/available")
        tree.file("var/lib/dpkg/info/dpkg.list")
        tree.file("usr/sbin/policy-rc.d", _NO_SERVICES, 0o755)
        tree.file("etc/fstab", _FSTAB)
        tree.link("etc/mtab", "../proc/self/mounts")
        tree.file("etc/hostname", _HOSTNAME + "\n")
        tree.file("etc/hosts", _HOSTS)
        tree.file("etc/resolv.conf", _resolvers())
        tree.file("etc/apt/sources.list", sources(plan, release.codename or plan.suite))
        if plan.has_own_keys:
            tree.file(f"etc/apt/keyrings/{plan.keyring.name}", plan.keyring.read_bytes())


def _install(
    plan: Plan,
    top: Path,
    packages: Sequence[Package],
    files: Mapping[str, Path],
    stage: Stage,
    hypervisor: str,
    log: Path,
) -> None:
    """The only part with a loop: what comes before is interrupted by Ctrl-C at once."""
    architecture = next(ours for ours, name in ARCHITECTURES.items() if name == plan.architecture)
    options = {"architecture": architecture, "hypervisor": hypervisor}
    with stage("Installing") as progress, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(configure(top, packages, files, progress, log=log, **options))


def _resolvers() -> str:
    try:
        with open("/etc/resolv.conf", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def sources(plan: Plan, suite: str) -> str:
    """sources.list(5): the mirror, and for the distribution's own its updates."""
    directory = "/etc/apt/keyrings" if plan.has_own_keys else "/usr/share/keyrings"
    keys, components = f"[signed-by={directory}/{plan.keyring.name}]", " ".join(plan.components)
    places = [(plan.mirror, suite)]
    if plan.is_official:
        places += [(mirror, form.format(suite)) for mirror, form in plan.distribution.extra]
    return "".join(f"deb {keys} {mirror} {each} {components}\n" for mirror, each in places)
