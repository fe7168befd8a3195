"""What a mirror has: its signed list of files (InRelease; https://wiki.debian.org/DebianRepository/Format).

Signatures are checked by Sequoia, whose Python library is the same on every host; a key that has been revoked or has
expired does not count.
"""

import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pysequoia
from debian.deb822 import Release as Fields

from aionoah.bootstrap import BootstrapError
from aionoah.bootstrap.mirror import Mirror, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping


class Release(NamedTuple):
    """Of one suite."""

    suite: str
    codename: str
    files: "Mapping[str, tuple[int, str]]"  # size and SHA-256 by the path below the suite
    has_hash_names: bool  # files can be asked for by their digests too, so that none changes meanwhile

    def wanted(self, name: str, suite: str) -> Wanted | None:
        """What to fetch for a file; None if there is none."""
        found = self.files.get(name)
        if found is None:
            return None
        size, sha256 = found
        directory = name.rpartition("/")[0]
        path = f"{directory}/by-hash/SHA256/{sha256}" if self.has_hash_names else name
        return Wanted(f"dists/{suite}/{path}", size, sha256)


def read_release(mirror: Mirror, suite: str, keyring: Path) -> Release:
    """BootstrapError for a bad signature, another suite than the one that is asked for, and one that is too old."""
    path = f"dists/{suite}/InRelease"
    text = verified(mirror.read(path), keyring, f"{mirror.address}/{path}").decode(errors="replace")
    fields = Fields(text)
    release = Release(
        fields.get("Suite", ""),
        fields.get("Codename", ""),
        _files(fields),
        fields.get("Acquire-By-Hash", "") == "yes",
    )
    if suite.rstrip("/") not in (release.suite, release.codename):
        raise BootstrapError(f"{mirror.address} has {release.codename or 'nothing'} where {suite} should be")
    if (until := fields.get("Valid-Until")) is not None:
        try:
            has_expired = parsedate_to_datetime(until).timestamp() < time.time()
        except ValueError:
            raise BootstrapError(f"{mirror.address} has a list of {suite} with an impossible date") from None
        if has_expired:
            raise BootstrapError(
                f"{mirror.address} is out of date: its list of {suite} was valid until {until}"
            )
    return release


def _files(fields: Fields) -> "dict[str, tuple[int, str]]":
    try:
        return {each["name"]: (int(each["size"]), each["sha256"]) for each in fields.get("SHA256", [])}
    except (KeyError, ValueError, TypeError):
        raise BootstrapError("the list of files is broken") from None


def verified(data: bytes, keyring: Path, what: str) -> bytes:
    """The text that one of the keys has signed. BootstrapError."""
    try:
        keys = pysequoia.Cert.split_bytes(keyring.read_bytes())
    except OSError as error:
        raise BootstrapError(f"{keyring} cannot be read: {error.strerror}") from None
    except RuntimeError:
        raise BootstrapError(f"{keyring} holds no keys") from None
    try:
        checked = pysequoia.verify(bytes=data, store=lambda _identifiers: keys)
    except RuntimeError as error:
        reason = str(error).splitlines()[0].removeprefix("Signature verification failed: ").rstrip(".")
        raise BootstrapError(f"{what} is not signed by a key of {keyring} ({reason})") from None
    text = checked.bytes
    if not checked.valid_sigs or text is None:
        raise BootstrapError(f"{what} is not signed by a key of {keyring}")
    return bytes(text)
