"""The documents of an OCI image layout, and which file names in one can be trusted.

Owns `oci-layout` and `index.json` (image-spec 1.1 "Image Layout Specification"). Never touches a
file: a blob's place is made from a parsed digest, so nothing in a layout can name a path
(known failures T18).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from skerry.base.digest import Digest, InvalidDigest
from skerry.base.errors import BadInput
from skerry.registry.core.manifests import (
    MANIFEST_BYTES_MAX,
    MEDIA_TYPES,
    OCI_INDEX,
    InvalidManifest,
    annotations_in,
    digest_in,
    load_object,
    media_type_in,
    objects,
    size_in,
)
from skerry.registry.ports import Manifest

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LAYOUT_BYTES_MAX = 4096
REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
"""What containerd, docker and podman call an image after loading it; it goes before REF_NAME."""

LAYOUT_BODY = b'{"imageLayoutVersion":"1.0.0"}'


class LayoutError(BadInput):
    """Not an OCI image layout that is safe to read, or no place where one can be written."""


@dataclass(frozen=True, slots=True)
class Root:
    """One image of a layout; `reference` is "" when the layout does not name it."""

    reference: str
    digest: Digest
    media_type: str
    size_bytes: int


def blob_name(digest: Digest) -> str:
    """Where a blob lies in a layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def index_body(roots: Iterable[tuple[str, Manifest]]) -> bytes:
    """The `index.json` of images with their references."""
    entries = []
    for reference, manifest in roots:
        entry: dict[str, object] = {
            "mediaType": manifest.media_type,
            "digest": str(manifest.digest),
            "size": manifest.size_bytes,
        }
        if reference:
            entry["annotations"] = {CONTAINERD_NAME: reference, REF_NAME: reference}
        entries.append(entry)
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return json.dumps(document, indent=1).encode()


def parse_layout(marker: bytes, index: bytes) -> tuple[Root, ...]:
    """The images of a layout, from its two documents. Raises LayoutError."""
    try:
        version = load_object(marker, bytes_max=LAYOUT_BYTES_MAX).get("imageLayoutVersion")
        if version != "1.0.0":
            raise LayoutError(f"a layout of version {str(version)[:20]!r} cannot be read")
        document = load_object(index, bytes_max=MANIFEST_BYTES_MAX)
        found = []
        for entry in objects(document, "manifests", required=True):
            names = dict(annotations_in(entry))
            reference = names.get(CONTAINERD_NAME) or names.get(REF_NAME) or ""
            media_type = media_type_in(entry)
            if media_type not in MEDIA_TYPES:
                raise LayoutError(f"{media_type[:80]!r} in {INDEX_FILE} is no image")
            found.append(Root(reference, digest_in(entry), media_type, size_in(entry)))
        return tuple(found)
    except InvalidManifest as error:
        raise LayoutError(f"the layout's documents are wrong: {error.what}") from error


def member_name(name: str, *, is_file: bool, is_folder: bool) -> str | None:
    """What an archive's member is in a layout; None for what is passed over.

    Raises LayoutError for links, devices, absolute paths and `..`: an archive with one of these
    was made to trick a reader, so none of it is read.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise LayoutError(f"{name[:120]!r} in the archive leads out of it")
    if not is_file and not is_folder:
        raise LayoutError(f"{name[:120]!r} in the archive is a link or a device")
    plain = str(path)
    if is_folder:
        return None
    if plain in (LAYOUT_FILE, INDEX_FILE):
        return plain
    parts = path.parts
    if len(parts) != 3 or parts[0] != "blobs":
        return None
    try:
        return blob_name(Digest(parts[1], parts[2]))
    except InvalidDigest:
        return None
