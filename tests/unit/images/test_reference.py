"""Names of images."""

import pytest

from aionoah.images import ImageError
from aionoah.images.reference import Reference, checked_digest, digest_of

DIGEST = digest_of(b"")


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "short"),
    [
        ("debian", "docker.io", "library/debian", "latest", "debian:latest"),
        ("debian:bookworm", "docker.io", "library/debian", "bookworm", "debian:bookworm"),
        ("owner/name", "docker.io", "owner/name", "latest", "owner/name:latest"),
        ("docker.io/debian", "docker.io", "library/debian", "latest", "debian:latest"),
        ("ghcr.io/a/b/c:1.2-3", "ghcr.io", "a/b/c", "1.2-3", "ghcr.io/a/b/c:1.2-3"),
        ("localhost/x", "localhost", "x", "latest", "localhost/x:latest"),
        ("localhost:5000/x:y", "localhost:5000", "x", "y", "localhost:5000/x:y"),
        ("[::1]:5000/x", "[::1]:5000", "x", "latest", "[::1]:5000/x:latest"),
        (f"debian@{DIGEST}", "docker.io", "library/debian", "latest", f"debian@{DIGEST}"),
    ],
)
def test_names(text: str, registry: str, repository: str, tag: str, short: str) -> None:
    found = Reference.parse(text)
    assert (found.registry, found.repository, found.tag) == (registry, repository, tag)
    assert str(found) == short
    assert str(Reference.parse(short)) == short


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Debian",
        "a//b",
        "../x",
        "a/../b",
        "x:",
        "x:a b",
        "x@sha256:12",
        "host.org/",
        "-x",
        "a b",
        "x" * 300,
        "x?y=1",
        "x#y",
        "host.org:99999999/x",
        "user@host.org/x",
        "x\n",
        "x:ä",
    ],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ImageError):
        Reference.parse(text)


def test_only_this_host_is_local() -> None:
    local = ["localhost/x", "localhost:1/x", "127.0.0.1:5000/x", "127.3.2.1/x.y", "[::1]:1/x"]
    assert all(Reference.parse(text).is_local for text in local)
    assert not any(Reference.parse(text).is_local for text in ("debian", "10.0.0.1/x", "localhost.org/x"))


def test_docker_hub_answers_elsewhere() -> None:
    assert Reference.parse("debian").host == "registry-1.docker.io"
    assert Reference.parse("ghcr.io/a/b").host == "ghcr.io"


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "g" * 64, "sha512:" + "0" * 128, None, 5, DIGEST + "\n"]
)
def test_digests_are_checked(text: object) -> None:
    with pytest.raises(ImageError):
        checked_digest(text)
    assert checked_digest(DIGEST) == DIGEST
