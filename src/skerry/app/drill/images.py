"""Container images made in code.

Owns their bytes (OCI image-spec 1.1: manifest, config, tar layers, index, artifacts) and the order
in which they are pushed. Never reads a file; the same arguments always give the same digests.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from skerry.app.drill.client import RegistryClient
from skerry.base.digest import Digest, digest_of

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes with their name and type."""

    media_type: str
    data: bytes
    digest: Digest

    @classmethod
    def of(cls, media_type: str, data: bytes, *, algorithm: str = "sha256") -> Piece:
        return cls(media_type, data, digest_of(data, algorithm))

    def descriptor(self, **more: object) -> dict[str, object]:
        """As other documents point at it (image-spec 1.1, "Descriptor")."""
        return {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": len(self.data),
            **more,
        }


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest or an index with everything below it.

    Attributes:
        manifest: the exact bytes that are pushed.
        blobs: config and layers, in that order; empty for an index.
        children: what an index points at.
        platform: `os/arch`, "" when none.
    """

    manifest: Piece
    blobs: tuple[Piece, ...] = ()
    children: tuple[Image, ...] = field(default=())
    platform: str = ""

    @property
    def digest(self) -> Digest:
        return self.manifest.digest

    def every_blob(self) -> tuple[Piece, ...]:
        """All blobs below, in push order; shared ones once."""
        found = {blob.digest: blob for child in self.children for blob in child.every_blob()}
        found.update({blob.digest: blob for blob in self.blobs})
        return tuple(found.values())

    def size_bytes(self) -> int:
        """What a whole pull takes: manifests and blobs, shared ones once."""
        return self.manifest_bytes() + sum(len(blob.data) for blob in self.every_blob())

    def manifest_bytes(self) -> int:
        """Length of this manifest and of those below."""
        return len(self.manifest.data) + sum(child.manifest_bytes() for child in self.children)


def document(content: Mapping[str, object]) -> bytes:
    """JSON bytes, always the same for the same content."""
    return json.dumps(content, separators=(",", ":")).encode()


def noise(seed: int, size_bytes: int) -> bytes:
    """Pseudo-random bytes that no compressor shrinks."""
    return random.Random(seed).randbytes(size_bytes)


def tar(files: Mapping[str, bytes]) -> bytes:
    """A tar of executable files, without times or owners."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def image(
    layers: Sequence[Mapping[str, bytes]],
    *,
    architecture: str = "amd64",
    command: Sequence[str] = (),
    manifest_type: str = MANIFEST_TYPE,
    config_type: str = CONFIG_TYPE,
    layer_type: str = LAYER_TYPE,
    algorithm: str = "sha256",
) -> Image:
    """An image of one platform; each layer is a mapping of path to content."""
    tars = [tar(files) for files in layers]
    packed = [
        Piece.of(layer_type, gzip.compress(data, compresslevel=1, mtime=0), algorithm=algorithm)
        for data in tars
    ]
    config = Piece.of(
        config_type,
        document(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Cmd": list(command)},
                "rootfs": {
                    "type": "layers",
                    "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in tars],
                },
            }
        ),
        algorithm=algorithm,
    )
    return Image(
        Piece.of(
            manifest_type,
            document(
                {
                    "schemaVersion": 2,
                    "mediaType": manifest_type,
                    "config": config.descriptor(),
                    "layers": [layer.descriptor() for layer in packed],
                }
            ),
        ),
        (config, *packed),
        platform=f"linux/{architecture}",
    )


def index(children: Sequence[Image], *, media_type: str = INDEX_TYPE) -> Image:
    """A list of images; children without a platform (indexes) are listed without one."""
    entries = []
    for child in children:
        system, slash, architecture = child.platform.partition("/")
        platform = {"platform": {"os": system, "architecture": architecture}} if slash else {}
        entries.append(child.manifest.descriptor(**platform))
    content = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return Image(Piece.of(media_type, document(content)), children=tuple(children))


def artifact(subject: Image | None, artifact_type: str, data: bytes) -> Image:
    """Something that is not an image, attached to one (image-spec 1.1, "artifactType")."""
    empty = Piece.of(EMPTY_TYPE, b"{}")
    layer = Piece.of("application/octet-stream", data)
    content: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": artifact_type,
        "config": empty.descriptor(),
        "layers": [layer.descriptor()],
    }
    if subject is not None:
        content["subject"] = subject.manifest.descriptor()
    return Image(Piece.of(MANIFEST_TYPE, document(content)), (empty, layer))


def push(client: RegistryClient, repository: str, what: Image, tag: str = "") -> None:
    """Blobs first, then children, then the manifest, as the spec wants it."""
    for blob in what.every_blob():
        client.push_blob(repository, blob.digest, blob.data)
    _push_manifests(client, repository, what, tag)


def _push_manifests(client: RegistryClient, repository: str, what: Image, tag: str) -> None:
    for child in what.children:
        _push_manifests(client, repository, child, "")
    piece = what.manifest
    client.push_manifest(repository, tag or piece.digest, piece.media_type, piece.data)
