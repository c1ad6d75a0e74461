"""A registry client as plain as a client can be: one request, one connection, everything timed.

Owns the request, the check of what came back and the times. Never retries, never follows a
redirect, keeps no connection: what it measures is the node.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from skerry.wire.message import NO_HEADERS, Headers

READ_BYTES = 256 * 1024
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class PushFailed(RuntimeError):
    """A registry did not take what was pushed; the message says what it answered."""


@dataclass(frozen=True, slots=True)
class Got:
    """What one request brought.

    Attributes:
        status: 0 when no whole answer head came (refused, reset, timed out).
        body: the bytes, empty when only their digest was asked for.
        sha256: of the body as received, hex.
        size_bytes: how much of the body arrived.
        whole: whether the body ended as its framing announced.
        first_byte_seconds: from before connecting until the head was there.
        seconds: until the last byte.
        trouble: why it is not whole, "" if it is.
    """

    status: int
    headers: Headers
    body: bytes
    sha256: str
    size_bytes: int
    whole: bool
    first_byte_seconds: float
    seconds: float
    trouble: str = ""

    def text(self) -> str:
        """The body for people, cut to 300 characters."""
        return self.body.decode(errors="replace")[:300]


class RegistryClient:
    """Speaks to one registry at `host:port`, over plain HTTP, on a fresh connection each time."""

    def __init__(
        self,
        authority: str,
        *,
        user: str = "",
        password: str = "",
        token: str = "",
        timeout_seconds: float = 30,
    ) -> None:
        self.authority = authority
        self._timeout_seconds = timeout_seconds
        self._fields: tuple[tuple[str, str], ...] = ()
        if user:
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._fields = (("Authorization", f"Basic {pair}"),)
        elif token:
            self._fields = (("Authorization", f"Bearer {token}"),)

    def send(
        self,
        method: str,
        target: str,
        *,
        fields: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        keep_body: bool = True,
    ) -> Got:
        """One exchange. Network trouble is a result, not an error."""
        started = time.perf_counter()
        link = http.client.HTTPConnection(self.authority, timeout=self._timeout_seconds)
        try:
            link.putrequest(method, target, skip_accept_encoding=True)
            for name, value in (*self._fields, *fields):
                link.putheader(name, value)
            if body or method in ("POST", "PUT", "PATCH"):
                link.putheader("Content-Length", str(len(body)))
            link.endheaders(body or None)
            answer = link.getresponse()
            return _read(answer, started, keep_body=keep_body)
        except (OSError, http.client.HTTPException) as error:
            spent = time.perf_counter() - started
            return Got(0, NO_HEADERS, b"", "", 0, False, spent, spent, repr(error))
        finally:
            link.close()

    def get(
        self, target: str, *fields: tuple[str, str], method: str = "GET", keep_body: bool = True
    ) -> Got:
        """A GET (or HEAD) that asks for anything."""
        return self.send(method, target, fields=fields, keep_body=keep_body)

    def manifest(self, repository: str, reference: object, *, method: str = "GET") -> Got:
        """A manifest by tag or digest, every usual media type on a field line of its own."""
        accept = [("Accept", media_type) for media_type in MANIFEST_TYPES]
        return self.get(f"/v2/{repository}/manifests/{reference}", *accept, method=method)

    def blob(
        self, repository: str, digest: object, *fields: tuple[str, str], keep_body: bool = True
    ) -> Got:
        """A blob; with `keep_body` False only its hash and length are kept."""
        return self.get(f"/v2/{repository}/blobs/{digest}", *fields, keep_body=keep_body)

    def push_blob(self, repository: str, digest: object, data: bytes) -> None:
        """POST then PUT (distribution-spec 1.1, "Pushing a blob monolithically").

        Raises PushFailed.
        """
        begun = self.send("POST", f"/v2/{repository}/blobs/uploads/")
        _expect(begun, 202, f"beginning an upload to {repository}")
        place = urlsplit(urljoin("/", begun.headers.get("Location") or ""))
        query = f"{place.query}&digest={digest}" if place.query else f"digest={digest}"
        fields = [("Content-Type", "application/octet-stream")]
        done = self.send("PUT", f"{place.path}?{query}", fields=fields, body=data)
        _expect(done, 201, f"pushing blob {digest} to {repository}")

    def push_manifest(
        self, repository: str, reference: object, media_type: str, data: bytes
    ) -> None:
        """PUT of exact bytes under a tag or a digest. Raises PushFailed."""
        fields = [("Content-Type", media_type)]
        target = f"/v2/{repository}/manifests/{reference}"
        done = self.send("PUT", target, fields=fields, body=data)
        _expect(done, 201, f"pushing {repository}:{reference}")


def _read(answer: http.client.HTTPResponse, started: float, *, keep_body: bool) -> Got:
    first_byte = time.perf_counter() - started
    running, kept, size, trouble = hashlib.sha256(), bytearray(), 0, ""
    try:
        while chunk := answer.read1(READ_BYTES):
            running.update(chunk)
            size += len(chunk)
            if keep_body:
                kept += chunk
    except (OSError, http.client.HTTPException) as error:
        trouble = repr(error)
    announced = answer.headers.get("Content-Length")
    if not trouble and answer.length not in (None, 0):  # read1 ends quietly on a short body
        trouble = f"{size} of {announced} bytes"
    return Got(
        answer.status,
        Headers(answer.getheaders()),
        bytes(kept),
        running.hexdigest(),
        size,
        not trouble,
        first_byte,
        time.perf_counter() - started,
        trouble,
    )


def _expect(got: Got, status: int, what: str) -> None:
    if got.status != status:
        raise PushFailed(f"{what}: {got.status} {got.trouble or got.text()}")
