"""The images the tests pull: every shape that real registries hold.

Owns their construction; the plain ones come from the drill's builder.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from skerry.app.drill import images
from skerry.app.drill.images import Image, Piece, document, noise

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
SIGNATURE_LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"
BUSYBOX = Path("/bin/busybox")


def small(seed: int = 1, *, architecture: str = "amd64", algorithm: str = "sha256") -> Image:
    """Two layers of a few KiB."""
    return images.image(
        [{"etc/name": f"{seed}".encode()}, {"data/noise": noise(seed, 70_000)}],
        architecture=architecture,
        algorithm=algorithm,
    )


def multi_arch(seed: int = 1) -> Image:
    """An OCI index of amd64 and arm64."""
    return images.index([small(seed), small(seed + 1, architecture="arm64")])


def docker_image(seed: int = 1, *, architecture: str = "amd64") -> Image:
    """Docker schema 2."""
    return images.image(
        [{"data/noise": noise(seed, 30_000)}],
        architecture=architecture,
        manifest_type=DOCKER_MANIFEST,
        config_type=DOCKER_CONFIG,
        layer_type=DOCKER_LAYER,
    )


def docker_list(seed: int = 1) -> Image:
    """A Docker manifest list of amd64 and arm64."""
    children = [docker_image(seed), docker_image(seed + 1, architecture="arm64")]
    return images.index(children, media_type=DOCKER_LIST)


def nested(seed: int = 1) -> Image:
    """An index of an index and an image."""
    return images.index([multi_arch(seed), small(seed + 5)])


def signature(subject: Image, seed: int = 1) -> Image:
    """Something attached to an image by `subject`."""
    return images.artifact(subject, "application/vnd.skerry.test.signature", noise(seed, 500))


def empty_layer(seed: int = 1) -> Image:
    """An image with a layer of zero bytes."""
    base = small(seed)
    return with_layers(base, (*base.blobs[1:], Piece.of("application/octet-stream", b"")))


def big(size_bytes: int, seed: int = 1) -> Image:
    """One uncompressed layer of about this size."""
    base = small(seed)
    block = noise(seed, 4 << 20)
    count = -(-size_bytes // len(block))
    data = b"".join(number.to_bytes(8, "big") + block[8:] for number in range(count))
    layer = Piece.of("application/octet-stream", data[:size_bytes])
    return with_layers(base, (*base.blobs[1:], layer))


def runnable(seed: int = 1, *, says: str = "tide") -> Image:
    """A real image: busybox, and a command that prints `says`."""
    files = {"bin/busybox": BUSYBOX.read_bytes(), "etc/seed": f"{seed}".encode()}
    return images.image([files], command=["/bin/busybox", "echo", says])


def with_layers(base: Image, layers: tuple[Piece, ...]) -> Image:
    """The same config with other layers."""
    config = base.blobs[0]
    content = {
        "schemaVersion": 2,
        "mediaType": images.MANIFEST_TYPE,
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in layers],
    }
    manifest = Piece.of(images.MANIFEST_TYPE, document(content))
    return replace(base, manifest=manifest, blobs=(config, *layers))


def cosign_tag(subject: Image) -> str:
    """The tag under which cosign looks for signatures."""
    return f"{subject.digest.algorithm}-{subject.digest.hex}.sig"


def cosign_signature(subject: Image, seed: int = 1) -> Image:
    """What hangs at `cosign_tag`: an image whose layer is a signed claim."""
    claim = document({"critical": {"image": {"docker-manifest-digest": str(subject.digest)}}})
    return with_layers(small(seed), (Piece.of(SIGNATURE_LAYER, claim),))


def referrers_index(attached: list[Image]) -> Image:
    """What hangs at the referrers fallback tag (distribution-spec 1.1, "Referrers Tag Schema")."""
    entries = [
        item.manifest.descriptor(artifactType=json.loads(item.manifest.data)["artifactType"])
        for item in attached
    ]
    content = {"schemaVersion": 2, "mediaType": images.INDEX_TYPE, "manifests": entries}
    return Image(Piece.of(images.INDEX_TYPE, document(content)))
