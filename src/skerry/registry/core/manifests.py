"""Reading a manifest without trusting it.

Owns the bounds and the refusals: OCI image-spec 1.1 manifest and index, Docker schema 2 and
manifest list. Never re-serialises: what is served is always the bytes that were read (known
failures T21). The caller has already proven the digest (T12).
"""

from __future__ import annotations

import re

from skerry.base.digest import Digest, InvalidDigest, digest_of
from skerry.base.errors import BadInput, Party
from skerry.registry.ports import Link, Manifest
from skerry.wire import strict_json
from skerry.wire.strict_json import Json

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES = frozenset((OCI_MANIFEST, DOCKER_MANIFEST))
INDEX_TYPES = frozenset((OCI_INDEX, DOCKER_LIST))
MEDIA_TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
"""Every media type that is accepted as a manifest; what upstreams are asked for, in order."""

MANIFEST_BYTES_MAX = 4 << 20
DESCRIPTORS_MAX = 1000
DESCRIPTOR_SIZE_BYTES_MAX = 1 << 40
ANNOTATIONS_BYTES_MAX = 16 << 10
ANNOTATIONS_MAX = 1000
MEDIA_TYPE_CHARS_MAX = 255

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*\Z")
_UNSAID = frozenset(("", "application/json", "application/octet-stream"))
_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+"


class InvalidManifest(BadInput):
    """Not a manifest that is safe to keep. The party is whoever sent it."""

    party = Party.UPSTREAM


def parse_manifest(
    data: bytes, content_type: str | None, *, digest: Digest | None = None
) -> Manifest:
    """What a manifest says, within bounds.

    `content_type` is the `Content-Type` it came with, or None. `digest` is the name it was asked
    for by, already proven; without one it is known by its sha256. Raises InvalidManifest.
    """
    document = load_object(data, bytes_max=MANIFEST_BYTES_MAX)
    media_type = _media_type_of(document, content_type)
    if media_type in INDEX_TYPES:
        _refuse(document, "config", "layers", "fsLayers", "history", inside="an index")
        links = tuple(
            _link(item, _child_kind(item)) for item in objects(document, "manifests", required=True)
        )
    else:
        _refuse(document, "manifests", "fsLayers", "history", inside="an image manifest")
        config = document.get("config")
        if not isinstance(config, dict):
            raise InvalidManifest("the manifest has no config descriptor")
        layers = objects(document, "layers", required=media_type == DOCKER_MANIFEST)
        links = (_link(config, "config"), *(_link(item, "layer") for item in layers))
    subject = document.get("subject")
    return Manifest(
        digest=digest or digest_of(data),
        media_type=media_type,
        size_bytes=len(data),
        links=links,
        subject=None if subject is None else digest_in(as_object(subject, "subject")),
        artifact_type=_artifact_type(document),
        annotations=annotations_in(document),
    )


def load_object(data: bytes, *, bytes_max: int) -> Json:
    """One JSON object, read strictly: UTF-8, no duplicate keys, nothing behind it.

    Raises InvalidManifest.
    """
    try:
        return strict_json.load_object(data, bytes_max=bytes_max)
    except BadInput as error:
        raise InvalidManifest(error.what) from error


def as_object(value: object, where: str) -> Json:
    """The value, if it is a JSON object. Raises InvalidManifest."""
    if not isinstance(value, dict):
        raise InvalidManifest(f"{where} is not a JSON object")
    return value


def objects(document: Json, key: str, *, required: bool = False) -> list[Json]:
    """A bounded list of JSON objects; null, as Go writes an empty one, is []. Raises
    InvalidManifest, also when it is required and absent."""
    value = document.get(key)
    if value is None and (key in document or not required):
        return []
    if not isinstance(value, list):
        raise InvalidManifest(f"{key} is not a list")
    if len(value) > DESCRIPTORS_MAX:
        raise InvalidManifest(f"{key} has {len(value)} entries, {DESCRIPTORS_MAX} are allowed")
    return [as_object(item, f"an entry of {key}") for item in value]


def digest_in(descriptor: Json) -> Digest:
    """The digest of a descriptor. Raises InvalidManifest."""
    text = descriptor.get("digest")
    if not isinstance(text, str):
        raise InvalidManifest("a descriptor has no digest")
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise InvalidManifest(f"a descriptor's digest is wrong: {error.what}") from error


def size_in(descriptor: Json) -> int:
    """The length in bytes that a descriptor states. Raises InvalidManifest."""
    size = descriptor.get("size")
    if not isinstance(size, int) or isinstance(size, bool):
        raise InvalidManifest("a descriptor has no size")
    if not 0 <= size <= DESCRIPTOR_SIZE_BYTES_MAX:
        raise InvalidManifest(f"a descriptor's size of {size} bytes is out of bounds")
    return size


def media_type_in(holder: Json, key: str = "mediaType") -> str:
    """A media type, "" when absent. Raises InvalidManifest."""
    value = holder.get(key, "")
    if not isinstance(value, str) or len(value) > MEDIA_TYPE_CHARS_MAX:
        raise InvalidManifest(f"{key} is not a media type")
    if value and not _MEDIA_TYPE.match(value):
        raise InvalidManifest(f"{key} is not a media type")
    return value


def annotations_in(holder: Json) -> tuple[tuple[str, str], ...]:
    """The annotations, in their order; () when they are too many to be kept beside the bytes.

    A manifest of such annotations is served like any other, only its listing as a referrer goes
    without them (T22). Raises InvalidManifest.
    """
    value = holder.get("annotations")
    if value is None:
        return ()
    found = as_object(value, "annotations")
    total = 0
    pairs: list[tuple[str, str]] = []
    for key, text in found.items():
        if not isinstance(text, str):
            raise InvalidManifest("an annotation is not a string")
        total += _length(key) + _length(text)
        pairs.append((key, text))
    if total > ANNOTATIONS_BYTES_MAX or len(pairs) > ANNOTATIONS_MAX:
        return ()
    return tuple(pairs)


def _media_type_of(document: Json, content_type: str | None) -> str:
    said = media_type_in(document)
    came_as = (content_type or "").partition(";")[0].strip().lower()
    for claim in (said, came_as):
        if claim.startswith(_SCHEMA1):
            raise InvalidManifest("Docker schema 1 is not served: its digest cannot be proven")
    # Two readers that believe different fields would see different images (CVE-2021-41190).
    if said and came_as not in _UNSAID and said != came_as:
        raise InvalidManifest(f"the document says it is {said} but it came as {came_as[:80]}")
    media_type = said or ("" if came_as in _UNSAID else came_as)
    if document.get("schemaVersion") != 2:
        raise InvalidManifest("schemaVersion is not 2")
    if not media_type:
        media_type = OCI_INDEX if "manifests" in document else OCI_MANIFEST
    if media_type not in MEDIA_TYPES:
        raise InvalidManifest(f"{media_type[:80]} is not a manifest's media type")
    return media_type


def _artifact_type(document: Json) -> str:
    """`artifactType`, else the config's media type (distribution-spec 1.1, referrers)."""
    said = media_type_in(document, "artifactType")
    config = document.get("config")
    return said or (media_type_in(config) if isinstance(config, dict) else "")


def _child_kind(descriptor: Json) -> str:
    # A build cache is an index whose entries are layers: those are blobs, not manifests.
    media_type = media_type_in(descriptor)
    return "manifest" if not media_type or media_type in MEDIA_TYPES else "layer"


def _link(descriptor: Json, kind: str) -> Link:
    media_type = media_type_in(descriptor)
    urls = descriptor.get("urls")
    if urls is not None and not isinstance(urls, list):
        raise InvalidManifest("urls of a descriptor is not a list")
    foreign = bool(urls) or ".nondistributable." in media_type or ".foreign." in media_type
    return Link(
        child=digest_in(descriptor),
        kind=kind,
        media_type=media_type,
        size_bytes=size_in(descriptor),
        platform=_platform(descriptor) if kind == "manifest" else "",
        foreign=foreign and kind == "layer",
    )


def _platform(descriptor: Json) -> str:
    value = descriptor.get("platform")
    if value is None:
        return ""
    platform = as_object(value, "platform")
    parts = [platform.get(key, "") for key in ("os", "architecture", "variant")]
    words = [part for part in parts if isinstance(part, str)]
    if len(words) != len(parts) or any(_length(word) > 64 for word in words):
        raise InvalidManifest("a platform is not made of short strings")
    return "/".join(words if words[2] else words[:2]) if any(words) else ""


def _refuse(document: Json, *keys: str, inside: str) -> None:
    for key in keys:
        if key in document:
            raise InvalidManifest(f"{inside} must not have {key}: it could be read in two ways")


def _length(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidManifest("a string holds half a character") from error
