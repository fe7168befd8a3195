"""A registry of images: the distribution API over HTTP. Nothing it says is believed: digests and sizes are checked.

Certificates are checked against the system's authorities, and those that are kept for the registry where docker and
podman keep them. Credentials and tokens are the business of oras, which knows docker's configuration and its helpers. Its requests are
not used: they wait without end, and try again for minutes.
"""

import contextlib
import hashlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import oras.auth
import oras.container
import requests
import requests.adapters
import urllib3

from aionoah.images import ImageError
from aionoah.images.manifest import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from aionoah.images.reference import Reference, digest_of

_CONNECT_TIMEOUT: Final = 10.0  # seconds
PATIENCE: Final = 30.0  # seconds that a registry may say nothing
_PIECE: Final = 1 << 18  # bytes of a read
_LARGEST_DOCUMENT: Final = 4 << 20  # bytes: what registries accept (distribution-spec, "Pushing Manifests")
_TRIES: Final = 5  # of a download that stops in the middle, as long as each brings something
_REDIRECTS: Final = 5
_HTTPS: Final = 443
_REALM: Final = re.compile(r'realm="(https?://[^"]+)"')
_AUTHORITIES: Final = (  # where docker and podman look for *.crt, below the registry's name
    "/etc/docker/certs.d",
    "~/.docker/certs.d",
    "/etc/containers/certs.d",
    "~/.config/containers/certs.d",
)
_SENTENCES: Final = {
    401: "refuses {what}: it needs a login (`docker login` or its like), or there is no such image",
    403: "refuses {what}: it needs a login (`docker login` or its like), or there is no such image",
    404: "has no {what}",
    429: "has been asked too often: try {what} again later",
}

_FAILURES: Final = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    oras.auth.AuthenticationException,
)

Report = Callable[[int], None]
"""Told of bytes that have come."""


class Registry:
    """What a name leads to. Several threads may download at once; methods raise ImageError."""

    def __init__(self, reference: Reference, *, plain_http: bool = False) -> None:
        self._reference = reference
        self._is_plain = plain_http or (reference.is_local and not _encrypts(reference.host))
        self._timeout = min(_CONNECT_TIMEOUT, PATIENCE), PATIENCE
        self._session = requests.Session()
        self._session.mount("http://", _Adapter(None))
        self._session.mount("https://", _Adapter(None if self._is_plain else _trusted(reference.host)))
        self._session.max_redirects = _REDIRECTS
        self._session.request = self._patient(self._session.request)  # type: ignore[method-assign] # oras's too
        self._auth = oras.auth.get_auth_backend("token", self._session, insecure=self._is_plain)
        self._headers: dict[str, str] = {}
        self.stop = threading.Event()

    def _patient(self, request: Callable[..., requests.Response]) -> Callable[..., requests.Response]:
        def patient(*arguments: Any, **options: Any) -> requests.Response:  # noqa: ANN401 - requests' own
            return request(*arguments, **{"timeout": self._timeout, **options})

        return patient

    def close(self) -> None:
        self._session.close()

    # -- documents ----------------------------------------------------------------------------------------

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:
        """A manifest or list of them, by digest or as the reference says; and its media type."""
        wanted = digest or self._reference.digest
        accepted = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
        with self._get(f"manifests/{wanted or self._reference.tag}", {"Accept": accepted}) as response:
            data = self._whole(response)
            said = wanted or response.headers.get("Docker-Content-Digest")
            if said is not None and digest_of(data) != said:
                raise ImageError(f"{self._host} has sent a manifest that is not {said}")
            return data, response.headers.get("Content-Type", "")

    def document(self, what: Descriptor) -> bytes:
        """A small blob."""
        with self._get(f"blobs/{what.digest}", {}) as response:
            data = self._whole(response)
        if len(data) != what.size or digest_of(data) != what.digest:
            raise ImageError(f"{self._host} has sent something that is not {what.digest}")
        return data

    def _whole(self, response: requests.Response) -> bytes:
        with self._sentences():
            return _whole(response)

    # -- layers -------------------------------------------------------------------------------------------

    def download(self, what: Descriptor, path: Path, report: Report) -> None:
        """Fetch a blob to a file, going on with what is in there. A wrong one is removed."""
        with path.open("ab+") as file:
            file.seek(0)
            digest = hashlib.sha256()
            for piece in iter(lambda: file.read(_PIECE), b""):
                digest.update(piece)
            report(min(file.tell(), what.size))
            for attempt in range(1, _TRIES + 1):
                before = file.tell()
                if before >= what.size:
                    break
                try:
                    digest = self._fetch(what, file, digest, report)
                except _InterruptedError as error:
                    if attempt == _TRIES or file.tell() == before:
                        raise ImageError(str(error)) from None
            is_right = file.tell() == what.size and "sha256:" + digest.hexdigest() == what.digest
        if not is_right:
            path.unlink(missing_ok=True)
            raise ImageError(f"{self._host} has sent something that is not {what.digest}")

    def _fetch(
        self, what: Descriptor, file: BinaryIO, digest: "hashlib._Hash", report: Report
    ) -> "hashlib._Hash":
        """Append what comes; the hash of all there is then."""
        start = file.tell()
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._get(f"blobs/{what.digest}", headers) as response:
            if start and not _continues(response, start):
                report(-start)
                file.truncate(0)
                digest, start = hashlib.sha256(), 0
            with self._sentences(_InterruptedError):
                while piece := response.raw.read1(_PIECE):  # what has come, even if no more does
                    if self.stop.is_set():
                        raise ImageError("stopped")
                    start += len(piece)
                    if start > what.size:
                        return hashlib.sha256()
                    file.write(piece)
                    digest.update(piece)
                    report(len(piece))
            if start < what.size:
                raise _InterruptedError(
                    f"{self._host} has sent {start} bytes of {what.size} of {what.digest}"
                )
        return digest

    # -- requests -----------------------------------------------------------------------------------------

    @property
    def _host(self) -> str:
        return self._reference.host

    @contextlib.contextmanager
    def _get(self, path: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        scheme = "http" if self._is_plain else "https"
        url = f"{scheme}://{self._host}/v2/{self._reference.repository}/{path}"
        headers = {"Accept-Encoding": "identity", **headers}
        with self._sentences(_InterruptedError if path.startswith("blobs/") else ImageError):
            response = self._session.get(url, headers=headers | self._headers, stream=True)
            if response.status_code == requests.codes.unauthorized:
                self._authenticate(response)
                response = self._session.get(url, headers=headers | self._headers, stream=True)
        with response:
            self._check(response)
            yield response

    def _authenticate(self, response: requests.Response) -> None:
        """Get a token, with the user's credentials if there are some, or give the credentials themselves."""
        response.close()
        host = oras.container.Container(f"{self._reference.registry}/{self._reference.repository}")
        self._auth.load_configs(host)
        basic = getattr(self._auth, "_basic_auth", None)
        if response.headers.get("WWW-Authenticate", "").lower().startswith("basic"):
            self._headers = {"Authorization": f"Basic {basic}"} if basic else {}
            return
        realm = _REALM.search(response.headers.get("WWW-Authenticate", ""))
        if realm is None or not (self._is_plain or realm[1].startswith("https://")):
            raise ImageError(f"{self._host} does not say where to get a token for {self._reference}")
        try:
            headers, _ = self._auth.authenticate_request(response, {}, refresh=True)
        except (AttributeError, TypeError):  # oras expects an object
            raise ImageError(f"{realm[1][:200]} gives no token for {self._reference}") from None
        self._headers = {"Authorization": headers["Authorization"]} if "Authorization" in headers else {}

    def _check(self, response: requests.Response) -> None:
        if not self._is_plain and any(
            not hop.url.startswith("https:") for hop in (*response.history, response)
        ):
            raise ImageError(f"{self._host} leads to a place without encryption")
        if response.status_code in (requests.codes.ok, requests.codes.partial_content):
            return
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # what we have is not the beginning of it
        sentence = _SENTENCES.get(response.status_code, f"answers {response.status_code} for {{what}}")
        raise ImageError(f"{self._host} " + sentence.format(what=self._reference))

    @contextlib.contextmanager
    def _sentences(self, kind: type[Exception] = ImageError) -> Iterator[None]:
        """What can happen to a request, as `kind` with a sentence."""
        try:
            yield
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise kind(f"{self._host} does not answer") from None
        except requests.exceptions.TooManyRedirects:
            raise kind(f"{self._host} leads from one place to the next without end") from None
        except requests.exceptions.SSLError as error:
            raise kind(self._distrust(error)) from None
        except _FAILURES as error:
            raise kind(f"{self._host} cannot be used: {_reason(error)}") from None

    def _distrust(self, error: BaseException) -> str:
        reason = _innermost(error)
        if not isinstance(reason, ssl.SSLCertVerificationError):
            return f"{self._host} does not speak TLS as it should: {_reason(error)}"
        said = reason.verify_message.rstrip(".")
        place = f"{_AUTHORITIES[1]}/{self._host}/ca.crt"
        return f"{self._host} cannot be trusted ({said}): put the certificate of its authority into {place}"


class _Adapter(requests.adapters.HTTPAdapter):
    """Has authorities of its own beside those that requests brings along. Reads no answer whole that has no end, as
    requests and oras would those that lead elsewhere, and tokens.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - requests' own
        super().init_poolmanager(*arguments, ssl_context=self._context, **options)

    def send(  # type: ignore[override] # the further options are none of ours
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - requests' own
        **options: Any,  # noqa: ANN401
    ) -> requests.Response:
        response = super().send(request, stream=True, **options)
        if response.is_redirect:
            response.close()
            response._content = b""  # noqa: SLF001 - where requests keeps what it has read
        elif not stream:
            with response:
                response._content = _whole(response)  # noqa: SLF001
        return response


def _whole(response: requests.Response) -> bytes:
    """ImageError if it is larger than any document."""
    data = b""
    for piece in response.iter_content(_PIECE):
        data += piece
        if len(data) > _LARGEST_DOCUMENT:
            host = urllib3.util.parse_url(response.url).host
            raise ImageError(f"{host} sends a document without end")
    return data


def _trusted(host: str) -> ssl.SSLContext:
    """The system's authorities (SSL_CERT_FILE and SSL_CERT_DIR may name others) and this registry's. ImageError."""
    context = ssl.create_default_context()
    for place in _AUTHORITIES:
        directory = os.path.expanduser(place)  # noqa: PTH111 - as it is if this user has no home
        for path in sorted(Path(directory, host).glob("*.crt")):
            try:
                context.load_verify_locations(path)
            except OSError as error:
                raise ImageError(f"{path} is no certificate that can be used: {error.strerror}") from None
    return context


def _encrypts(host: str) -> bool:
    """Whether a registry on this machine speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is said to it yet
    address = urllib3.util.parse_url(f"https://{host}")
    try:
        with (
            socket.create_connection(
                ((address.host or "").strip("[]"), address.port or _HTTPS), min(_CONNECT_TIMEOUT, PATIENCE)
            ) as connection,
            context.wrap_socket(connection),
        ):
            return True
    except OSError:
        return False


class _InterruptedError(ImageError):
    """A download may go on from where it stopped."""


def _continues(response: requests.Response, start: int) -> bool:
    """Whether an answer begins where we have asked it to."""
    said = response.headers.get("Content-Range", "")
    return response.status_code == requests.codes.partial_content and said.startswith(f"bytes {start}-")


def _reason(error: BaseException) -> str:
    """The innermost one, without the names of Python objects that the libraries put around it."""
    error = _innermost(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _innermost(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
