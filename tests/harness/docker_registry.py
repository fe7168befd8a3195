"""Debian's docker-registry on loopback, certificates for it, and images pushed to it by skopeo."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.registry import INDEX, MANIFEST, Image, descriptor, digest_of


def tool(*words: str | Path, directory: Path, **environment: str) -> None:
    done = subprocess.run(
        words, cwd=directory, check=False, capture_output=True, text=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def docker_registry(directory: Path, *, tls: "Certificate | None" = None, **more: Any) -> Iterator[str]:
    """Its address, of the form 127.0.0.1:PORT, once it listens. `more` are further settings."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    http: dict[str, Any] = {"addr": address}
    if tls is not None:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    storage = {"filesystem": {"rootdirectory": str(directory / "registry")}}
    settings = directory / "registry.yml"  # JSON is YAML
    settings.write_text(json.dumps({"version": 0.1, "storage": storage, "http": http, **more}))
    command = ["docker-registry", "serve", str(settings)]
    with subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            assert any("listening on" in line for line in iter(server.stderr.readline, ""))
            yield address
        finally:
            server.terminate()
            server.stderr.read()


class Certificate:
    """A key and a certificate for 127.0.0.1, signed by an authority or, without one, by itself."""

    def __init__(self, directory: Path, name: str, authority: "Certificate | None" = None) -> None:
        self.key, self.certificate = directory / f"{name}.key", directory / f"{name}.crt"
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.key)
        signed = () if authority is None else ("-CA", authority.certificate, "-CAkey", authority.key)
        use = ("-addext", "subjectAltName=IP:127.0.0.1", "-subj", f"/CN={name}", "-days", "2")
        tool("openssl", "req", "-x509", *key, *signed, *use, "-out", self.certificate, directory=directory)


def write_layout(place: Path, **images: Image) -> None:
    """An OCI layout of one index, named "one", with an image for each architecture (as Go calls them)."""
    blobs = place / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    entries = []
    for architecture, image in images.items():
        for data in (*image.blobs().values(), image.manifest):
            (blobs / digest_of(data).removeprefix("sha256:")).write_bytes(data)
        platform = {"os": "linux", "architecture": architecture}
        entries.append(descriptor(image.manifest, MANIFEST, platform=platform))
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    (blobs / digest_of(index).removeprefix("sha256:")).write_bytes(index)
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    notes = {"org.opencontainers.image.ref.name": "one"}
    top = {"schemaVersion": 2, "manifests": [descriptor(index, INDEX, annotations=notes)]}
    (place / "index.json").write_text(json.dumps(top))
