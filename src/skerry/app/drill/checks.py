"""What the drill asks the node, and what it must hear.

Owns the requests and the judgement of each answer, byte for byte. Never breaks anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import Image, Piece
from skerry.app.drill.report import Measured

RANGE = (1000, 1999)


def pulls(
    client: RegistryClient, repository: str, tag: str, image: Image, referrers: int
) -> Iterator[Measured]:
    """All that makes a warmed image whole: by tag and digest, GET, HEAD and Range, and lists.

    `image` is an index whose first child is the platform that was warmed; `referrers` is how many
    artifacts point at it.
    """
    child = image.children[0]
    by_tag = client.manifest(repository, tag)
    yield _judge("tag", by_tag, _same(image.manifest.data))
    yield _judge("stale is said", by_tag, _says_stale)
    for what, reference in (("digest", image.digest), ("platform", child.digest)):
        expected = image if reference == image.digest else child
        yield _judge(what, client.manifest(repository, reference), _same(expected.manifest.data))
    head = client.manifest(repository, tag, method="HEAD")
    yield _judge("HEAD", head, _has_digest(str(image.digest)))
    for blob in child.blobs:
        yield _judge("blob", client.blob(repository, blob.digest), _same(blob.data))
    layer = child.blobs[-1]
    first, last = RANGE
    part = client.blob(repository, layer.digest, ("Range", f"bytes={first}-{last}"))
    yield _judge("Range", part, _same(layer.data[first : last + 1], status=206))
    listed = client.get(f"/v2/{repository}/tags/list")
    yield _judge("tags/list", listed, _lists(tag))
    found = client.get(f"/v2/{repository}/referrers/{image.digest}")
    yield _judge("referrers", found, _counts(referrers))


def by_digest(client: RegistryClient, repository: str, piece: Piece) -> Measured:
    """A manifest by its digest, byte for byte."""
    return _judge("digest", client.manifest(repository, piece.digest), _same(piece.data))


def blob(client: RegistryClient, repository: str, piece: Piece) -> Measured:
    """A blob, byte for byte."""
    return _judge("blob", client.blob(repository, piece.digest), _same(piece.data))


def never_seen(client: RegistryClient, repository: str, tag: str, host: str) -> Measured:
    """A name nobody has pulled: a clear 503 that names the upstream and says when to come back."""
    return _judge(f"{repository}:{tag}", client.manifest(repository, tag), _clear_503(host))


def members(
    anybody: RegistryClient, somebody: RegistryClient, repository: str, tag: str, image: Image
) -> Iterator[Measured]:
    """What takes a token: refused without one, whole with one that the node itself has made.

    `somebody` has a password.
    """
    yield _judge("nobody", anybody.manifest(repository, tag), _refused)
    got = somebody.get(f"/auth/token?scope=repository:{repository}:pull")
    yield _judge("token", got, _fine)
    token = str(json.loads(got.body)["token"]) if got.status == 200 else ""
    client = RegistryClient(anybody.authority, token=token)
    yield _judge("tag", client.manifest(repository, tag), _same(image.manifest.data))
    child = image.children[0]
    yield _judge("platform", client.manifest(repository, child.digest), _same(child.manifest.data))
    for blob in child.blobs:
        yield _judge("blob", client.blob(repository, blob.digest), _same(blob.data))
        yield _judge("nobody", anybody.blob(repository, blob.digest), _refused)


def warm(client: RegistryClient, repository: str, tag: str, image: Image) -> Iterator[Measured]:
    """What a client of one platform pulls, with the lists that tools ask for."""
    yield _judge("tag", client.manifest(repository, tag), _same(image.manifest.data))
    child = image.children[0]
    yield _judge("platform", client.manifest(repository, child.digest), _same(child.manifest.data))
    for blob in child.blobs:
        yield _judge("blob", client.blob(repository, blob.digest), _same(blob.data))
    yield _judge("tags/list", client.get(f"/v2/{repository}/tags/list"), _lists(tag))
    yield _judge("referrers", client.get(f"/v2/{repository}/referrers/{image.digest}"), _fine)


def signed(client: RegistryClient, repository: str, tag: str, image: Image) -> Iterator[Measured]:
    """An image that enough owners signed: by tag, by digest, and a layer of it."""
    yield _judge("signed tag", client.manifest(repository, tag), _same(image.manifest.data))
    by_digest = client.manifest(repository, image.digest)
    yield _judge("signed digest", by_digest, _same(image.manifest.data))
    layer = image.blobs[-1]
    yield _judge("signed layer", client.blob(repository, layer.digest), _same(layer.data))


def held_back(
    client: RegistryClient, repository: str, tag: str, image: Image
) -> Iterator[Measured]:
    """An image that is not signed as it has to be leaves in no part."""
    for what, got in (
        (f"{tag} by tag", client.manifest(repository, tag)),
        (f"{tag} by digest", client.manifest(repository, image.digest)),
        (f"{tag}'s layer", client.blob(repository, image.blobs[-1].digest)),
    ):
        yield _judge(what, got, _refuses)


def _refuses(got: Got) -> str:
    """403, or 503 while nobody can be asked for signatures; neither has a byte of the image."""
    said = got.body.decode(errors="replace")
    fine = got.status in (403, 503) and '"errors"' in said
    return "" if fine else f"{got.status} and {len(got.body)} bytes"


def _judge(what: str, got: Got, judge: Callable[[Got], str]) -> Measured:
    try:
        fault = judge(got) if got.whole else f"{got.status} {got.trouble}"
    except (ValueError, LookupError, TypeError) as error:  # not the document it should be
        fault = f"{got.status}, unreadable: {error!r}"
    return Measured(what, got.seconds, fault)


def _refused(got: Got) -> str:
    return "" if got.status == 401 else f"{got.status} instead of 401"


def _fine(got: Got) -> str:
    return "" if got.status == 200 else f"{got.status} {got.text()}"


def _same(data: bytes, *, status: int = 200) -> Callable[[Got], str]:
    def judge(got: Got) -> str:
        if got.status != status:
            return f"{got.status} {got.text()}"
        return "" if got.body == data else f"{len(got.body)} other bytes"

    return judge


def _has_digest(digest: str) -> Callable[[Got], str]:
    def judge(got: Got) -> str:
        said = got.headers.get("Docker-Content-Digest")
        return _fine(got) or ("" if said == digest else f"Docker-Content-Digest is {said}")

    return judge


def _says_stale(got: Got) -> str:
    said = f"{got.headers.joined('Warning')} {got.headers.joined('Cache-Status')}"
    marked = "110" in said or "stale" in said or "ttl=-" in said
    return "" if marked else f"nothing says so in {said!r}"


def _lists(tag: str) -> Callable[[Got], str]:
    def judge(got: Got) -> str:
        if fault := _fine(got):
            return fault
        tags = json.loads(got.body)["tags"]
        return "" if tag in tags else f"{tag} is not in {tags}"

    return judge


def _counts(expected: int) -> Callable[[Got], str]:
    def judge(got: Got) -> str:
        if fault := _fine(got):
            return fault
        count = len(json.loads(got.body)["manifests"])
        return "" if count == expected else f"{count} referrers of {expected}"

    return judge


def _clear_503(host: str) -> Callable[[Got], str]:
    def judge(got: Got) -> str:
        if got.status != 503:
            return f"{got.status} {got.text()}"
        if not (got.headers.get("Retry-After") or "").isdigit():
            return "no Retry-After"
        message = json.loads(got.body)["errors"][0]["message"]
        return "" if host in message else f"the error does not name {host}: {message}"

    return judge
