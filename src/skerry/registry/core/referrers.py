"""What refers to a manifest: signatures, SBOMs, attestations.

Owns the referrers index of distribution-spec 1.1 "Listing Referrers", its reading within bounds,
and the names of the fallback and cosign-style tags. Never verifies a signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from skerry.base.digest import Digest, InvalidDigest
from skerry.registry.core.manifests import (
    MANIFEST_BYTES_MAX,
    OCI_INDEX,
    InvalidManifest,
    annotations_in,
    as_object,
    digest_in,
    load_object,
    media_type_in,
    objects,
    size_in,
)
from skerry.registry.ports import Manifest
from skerry.wire.strict_json import Json

FILTERS_APPLIED = ("OCI-Filters-Applied", "artifactType")
COMPANION_SUFFIXES = (".sig", ".att", ".sbom")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One referrer, as an index lists it."""

    media_type: str
    digest: Digest
    size_bytes: int
    artifact_type: str = ""
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Filtered:
    """Referrers of one artifact type; `applied` says whether the type was asked for."""

    descriptors: tuple[Descriptor, ...]
    applied: bool


def fallback_tag(subject: Digest) -> str:
    """The tag under which a registry without the referrers API keeps the index.

    The algorithm is cut at 32 and the hex at 64 characters ("Referrers Tag Schema").
    """
    return f"{subject.algorithm[:32]}-{subject.hex[:64]}"


def companion_tags(subject: Digest) -> tuple[str, ...]:
    """The tags that cosign-style tools keep beside an image: what travels with it."""
    base = f"{subject.algorithm}-{subject.hex}"
    return tuple(f"{base}{suffix}" for suffix in COMPANION_SUFFIXES if len(base + suffix) <= 128)


def subject_of_tag(tag: str) -> Digest | None:
    """What a companion's tag (`sha256-<hex>[.sig|.att|.sbom]`) says it belongs to, else None."""
    algorithm, _, rest = tag.partition("-")
    encoded, dot, suffix = rest.partition(".")
    if dot and f".{suffix}" not in COMPANION_SUFFIXES:
        return None
    try:
        return Digest(algorithm, encoded)
    except InvalidDigest:
        return None


def descriptor_of(manifest: Manifest) -> Descriptor:
    """How a manifest that is here is listed."""
    return Descriptor(
        manifest.media_type,
        manifest.digest,
        manifest.size_bytes,
        manifest.artifact_type,
        manifest.annotations,
    )


def parse_referrers(data: bytes) -> tuple[Descriptor, ...]:
    """Reads an upstream's referrers answer or fallback index. Raises InvalidManifest."""
    document = load_object(data, bytes_max=MANIFEST_BYTES_MAX)
    said = media_type_in(document)
    if document.get("schemaVersion") != 2 or said not in ("", OCI_INDEX):
        raise InvalidManifest("the list of referrers is not an OCI index")
    return _descriptors(objects(document, "manifests", required=True))


def parse_body(body: str) -> tuple[Descriptor, ...]:
    """Reads what `listing_body` wrote. Raises InvalidManifest."""
    return _descriptors(
        objects(load_object(body.encode(), bytes_max=MANIFEST_BYTES_MAX), "manifests")
    )


def listing_body(descriptors: Iterable[Descriptor]) -> str:
    """The JSON text kept in a catalog listing."""
    return json.dumps({"manifests": [_json(descriptor) for descriptor in descriptors]})


def merge(*lists: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    """All of them, each digest once, the first list's word before the next one's; by digest."""
    found: dict[Digest, Descriptor] = {}
    for descriptors in lists:
        for descriptor in descriptors:
            found.setdefault(descriptor.digest, descriptor)
    return tuple(found[digest] for digest in sorted(found))


def filtered(descriptors: Iterable[Descriptor], artifact_type: str | None) -> Filtered:
    """Those of one artifact type, all of them without a type."""
    if not artifact_type:
        return Filtered(tuple(descriptors), applied=False)
    return Filtered(
        tuple(item for item in descriptors if item.artifact_type == artifact_type), applied=True
    )


def index_of(descriptors: Iterable[Descriptor]) -> bytes:
    """The body of a referrers answer, to go out as `application/vnd.oci.image.index.v1+json`."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [_json(descriptor) for descriptor in descriptors],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _descriptors(items: list[Json]) -> tuple[Descriptor, ...]:
    found = []
    for item in items:
        media_type = media_type_in(item)
        if not media_type:
            raise InvalidManifest("a referrer has no media type")
        annotations = annotations_in(as_object(item, "a referrer"))
        found.append(
            Descriptor(
                media_type,
                digest_in(item),
                size_in(item),
                media_type_in(item, "artifactType"),
                annotations,
            )
        )
    return tuple(found)


def _json(descriptor: Descriptor) -> dict[str, object]:
    found: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size_bytes,
    }
    if descriptor.artifact_type:
        found["artifactType"] = descriptor.artifact_type
    if descriptor.annotations:
        found["annotations"] = dict(descriptor.annotations)
    return found
