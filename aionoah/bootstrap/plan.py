"""What is to be built, and what the distributions have agreed upon."""

from pathlib import Path
from typing import Final, Literal, NamedTuple

from aionoah.bootstrap import BootstrapError

Variant = Literal["minbase", "buildd", "important"]
VARIANTS: Final[tuple[Variant, ...]] = ("minbase", "buildd", "important")
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_KEYRINGS: Final = Path("/usr/share/keyrings")


class Distribution(NamedTuple):
    name: str
    mirror: str
    suite: str
    components: tuple[str, ...]
    keyring: str  # among the system's keyrings
    keyring_package: str
    extra: tuple[tuple[str, str], ...] = ()  # further mirrors and suites beside the distribution's own mirror
    ports: str | None = None  # where other architectures than amd64 are


DISTRIBUTIONS: Final = {
    "debian": Distribution(
        "debian",
        "http://deb.debian.org/debian",
        "stable",
        ("main",),
        "debian-archive-keyring.gpg",
        "debian-archive-keyring",
        (
            ("http://deb.debian.org/debian", "{}-updates"),
            ("http://deb.debian.org/debian-security", "{}-security"),
        ),
    ),
    "ubuntu": Distribution(
        "ubuntu",
        "http://archive.ubuntu.com/ubuntu",
        "noble",
        ("main", "universe"),
        "ubuntu-archive-keyring.gpg",
        "ubuntu-keyring",
        (
            ("http://archive.ubuntu.com/ubuntu", "{}-updates"),
            ("http://security.ubuntu.com/ubuntu", "{}-security"),
        ),
        "http://ports.ubuntu.com/ubuntu-ports",
    ),
}


class Plan(NamedTuple):
    """One bootstrap. `architecture` is Debian's name of it."""

    distribution: Distribution
    suite: str
    mirror: str
    architecture: str
    components: tuple[str, ...]
    keyring: Path
    variant: Variant = "minbase"
    include: tuple[str, ...] = ()

    @property
    def is_official(self) -> bool:
        """Whether the packages come from where the distribution itself has them."""
        return self.mirror == self.distribution.mirror

    @property
    def has_own_keys(self) -> bool:
        """Whether the tree will not know the keys by itself."""
        return self.keyring.name != self.distribution.keyring


def new_plan(
    name: str,
    architecture: str,
    *,
    suite: str | None = None,
    mirror: str | None = None,
    components: tuple[str, ...] = (),
    keyring: Path | None = None,
    variant: Variant = "minbase",
    include: tuple[str, ...] = (),
) -> Plan:
    """What is not given is as the distribution has it; `architecture` is ours. BootstrapError without its keys, or for
    a mirror that is none.
    """
    distribution, machine = DISTRIBUTIONS[name], ARCHITECTURES[architecture]
    keys = keyring or _KEYRINGS / distribution.keyring
    if not keys.is_file():
        hint = f"it comes with the package {distribution.keyring_package}; or give --keyring"
        raise BootstrapError(f"{keys}, the keys that {name} signs with, is not there: {hint}")
    if mirror is not None and not mirror.startswith(("http://", "https://")):
        raise BootstrapError(f"{mirror} is no mirror: write an address such as {distribution.mirror}")
    ports = distribution.ports if machine != "amd64" else None
    return Plan(
        distribution,
        suite or distribution.suite,
        (mirror or ports or distribution.mirror).rstrip("/"),
        machine,
        components or distribution.components,
        keys,
        variant,
        include,
    )
