"""Names of images: `debian`, `debian:bookworm`, `ghcr.io/owner/name@sha256:…`, as docker understands them."""

import hashlib
import ipaddress
import re
from typing import Final, NamedTuple, Self

from aionoah.images import ImageError

_DEFAULT_REGISTRY: Final = "docker.io"
_DEFAULT_TAG: Final = "latest"
_LONGEST: Final = 255  # characters of a repository's name
_WORD: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_WORD}(?:/{_WORD})*", re.ASCII)
_REGISTRY: Final = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d{1,5})?")
_TAG: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def checked_digest(text: object) -> str:
    """`sha256:` and 64 hexadecimal digits, or ImageError."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise ImageError(f"{str(text)[:80]!r} is no SHA-256 digest")
    return text


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Reference(NamedTuple):
    registry: str
    repository: str
    tag: str
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """ImageError if it is no name."""
        rest, at, digest = text.partition("@")
        first, slash, others = rest.partition("/")
        if slash and (first == "localhost" or "." in first or ":" in first):
            registry, repository = first, others
        else:
            registry, repository = _DEFAULT_REGISTRY, rest
        repository, colon, tag = repository.partition(":")
        if registry == _DEFAULT_REGISTRY and "/" not in repository:
            repository = f"library/{repository}"
        is_sound = _REGISTRY.fullmatch(registry) and _REPOSITORY.fullmatch(repository)
        if not is_sound or len(repository) > _LONGEST or (colon and not _TAG.fullmatch(tag)):
            raise ImageError(f"{text!r} is no name of an image: write NAME, NAME:TAG or HOST/NAME:TAG")
        return cls(registry, repository, tag or _DEFAULT_TAG, checked_digest(digest) if at else None)

    def __str__(self) -> str:
        """The short form, which `parse` reads again."""
        name = self.repository
        if self.registry != _DEFAULT_REGISTRY:
            name = f"{self.registry}/{name}"
        else:
            name = name.removeprefix("library/")
        return f"{name}:{self.tag}" if self.digest is None else f"{name}@{self.digest}"

    @property
    def host(self) -> str:
        """What answers for the registry, with its port if it has one."""
        return "registry-1.docker.io" if self.registry == _DEFAULT_REGISTRY else self.registry

    @property
    def is_local(self) -> bool:
        """Whether the registry is on this host, where plain HTTP is no danger."""
        name = re.sub(r":\d+$", "", self.registry).strip("[]")
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"
