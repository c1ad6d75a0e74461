"""What distribution-spec 1.1 says of an answer, as assertions and as requests.

Owns the table of error codes and the steps of an upload. Written from the specification and the
list of what its conformance suite asserts; holds none of its code.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from urllib.parse import urlencode, urljoin, urlsplit

from skerry.app.drill.client import Got, RegistryClient
from skerry.base.digest import Digest, digest_of

OCTETS = ("Content-Type", "application/octet-stream")
ABSENT = digest_of(b"never pushed to any registry")
CODES = frozenset(
    [
        "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID",
        "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
    ]
)  # fmt: skip
"""distribution-spec 1.1 "Error Codes": the whole table."""


def is_refused(got: Got, status: int, *codes: str) -> None:
    """An error status with the specification's JSON and, where given, one of these codes."""
    assert got.status == status, f"{got.status} {got.text()}"
    assert (got.headers.get("Content-Type") or "").startswith("application/json")
    errors = json.loads(got.body)["errors"]
    assert errors
    for error in errors:
        assert error["code"] in (codes or CODES), error
        assert isinstance(error["message"], str)


def place_of(got: Got) -> str:
    """Path and query of the `Location`, relative or absolute. It has to be there."""
    said = got.headers.get("Location")
    assert said, f"{got.status} has no Location"
    parts = urlsplit(urljoin("/", said))
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def with_query(target: str, **fields: object) -> str:
    """A target with more query parameters."""
    mark = "&" if "?" in target else "?"
    return f"{target}{mark}{urlencode({name: str(value) for name, value in fields.items()})}"


def begin(client: RegistryClient, repository: str) -> Got:
    """POST that opens an upload; it has to be accepted."""
    begun = client.send("POST", f"/v2/{repository}/blobs/uploads/")
    assert begun.status == 202, f"{begun.status} {begun.text()}"
    return begun


def patch(client: RegistryClient, place: str, data: bytes, start: int | None = None) -> Got:
    """One chunk; with `start` it says where it belongs."""
    fields = [OCTETS]
    if start is not None:
        fields.append(("Content-Range", f"{start}-{start + len(data) - 1}"))
    return client.send("PATCH", place, fields=fields, body=data)


def finish(client: RegistryClient, place: str, digest: object, data: bytes = b"") -> Got:
    """PUT that ends an upload, with or without the last of it."""
    return client.send("PUT", with_query(place, digest=digest), fields=[OCTETS], body=data)


def put_manifest(
    client: RegistryClient, repository: str, reference: object, media_type: str, data: bytes
) -> Got:
    """PUT of exact bytes."""
    target = f"/v2/{repository}/manifests/{reference}"
    return client.send("PUT", target, fields=[("Content-Type", media_type)], body=data)


def patch_in_pieces(
    authority: str, place: str, pieces: Iterable[bytes], *fields: tuple[str, str]
) -> int:
    """A PATCH whose length nobody says beforehand (chunked coding); the status."""
    link = http.client.HTTPConnection(authority, timeout=10)
    try:
        headers = dict((OCTETS, *fields, ("Transfer-Encoding", "chunked")))
        link.request("PATCH", place, iter(pieces), headers, encode_chunked=True)
        answer = link.getresponse()
        answer.read()
        return answer.status
    finally:
        link.close()


def holds(client: RegistryClient, repository: str, digest: Digest, data: bytes) -> None:
    """GET and HEAD of a blob give its bytes and its length."""
    got = client.blob(repository, digest)
    assert (got.status, got.body) == (200, data), f"{got.status} {got.text()}"
    head = client.get(f"/v2/{repository}/blobs/{digest}", method="HEAD")
    assert (head.status, head.headers.get("Content-Length")) == (200, str(len(data)))
    assert head.headers.get("Docker-Content-Digest") == str(digest)
