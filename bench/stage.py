"""What every figure stands on: an upstream with images, mirrors in front of it, clients.

Owns their making; what is measured is elsewhere. Everything is on loopback and ends with the rig.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.machine import LOAD, SERVERS, run, started_on
from skerry.app.drill.client import MANIFEST_TYPES, RegistryClient
from skerry.app.drill.images import Image, Piece, noise, push
from skerry.app.drill.processes import NodeProcess, Setting
from tests.rig.images import PLAIN_LAYER, small, with_layers
from tests.rig.nodes import HOST
from tests.rig.processes import Rig, Service

_PART_BYTES = 64 << 20
ACCEPT = ", ".join(MANIFEST_TYPES)


@dataclass(frozen=True)
class Mirror:
    """A pull-through cache: where it is, how names begin there, which process group it is."""

    name: str
    authority: str
    prefix: str
    pid: int

    def url(self, repository: str, kind: str, reference: str) -> str:
        return f"http://{self.authority}/v2/{self.prefix}{repository}/{kind}/{reference}"

    def image(self, repository: str, tag: str = "1") -> str:
        """As skopeo is told."""
        return f"docker://{self.authority}/{self.prefix}{repository}:{tag}"

    def pull(self, repository: str, image: Image) -> int:
        """Every byte of an image, over one connection after another; returns how many came.

        Raises RuntimeError when something else than the image came.
        """
        client = RegistryClient(self.authority, timeout_seconds=120)
        got = client.manifest(f"{self.prefix}{repository}", 1)
        if got.body != image.manifest.data:
            raise RuntimeError(f"{self.name}: manifest of {repository}: {got.status} {got.text()}")
        total = len(got.body)
        for blob in image.blobs:
            got = client.blob(f"{self.prefix}{repository}", blob.digest, keep_body=False)
            if got.sha256 != blob.digest.hex:
                raise RuntimeError(f"{self.name}: blob of {repository}: {got.status} {got.trouble}")
            total += got.size_bytes
        return total


class Stage:
    """One run's programs. Servers are pinned to one core, everything else to the other."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    @cached_property
    def upstream(self) -> Service:
        """A docker-registry everything is pushed to; on the load's core."""
        with started_on(LOAD):
            return self.rig.registry()

    def node_settings(self, url: str) -> Mapping[str, Setting]:
        """One upstream; all else is as delivered."""
        source: Mapping[str, Setting] = {"name": "origin", "url": url, "plain_http": True}
        return {"upstream": [{"name": HOST, "source": [source]}]}

    def skerry(self, url: str = "", *, cores: tuple[int, ...] = (SERVERS,)) -> Mirror:
        """A node with an empty data directory."""
        with started_on(*cores):
            node = self.rig.node(self.node_settings(url or self.upstream.url))
        return as_mirror(node)

    def distribution(self, url: str = "", *, cores: tuple[int, ...] = (SERVERS,)) -> Mirror:
        """docker-registry in proxy mode."""
        with started_on(*cores):
            service = self.rig.registry(proxy_of=url or self.upstream.url)
        return Mirror("docker-registry", service.authority, "", service.child.pid)

    def drayage(self, url: str = "", *, cores: tuple[int, ...] = (SERVERS,)) -> Mirror:
        """drayage."""
        with started_on(*cores):
            service = self.rig.drayage(url or self.upstream.url)
        return Mirror("drayage", service.authority, service.prefix, service.child.pid)

    def nginx(self, root: Path) -> Service:
        """nginx over a folder, on the servers' core."""
        with started_on(SERVERS):
            return self.rig.nginx(root)

    def push(self, repository: str, image: Image) -> Image:
        """Puts an image upstream under the tag `1`."""
        push(self.upstream.client(), repository, image, "1")
        return image

    def skopeo(self, source: str) -> None:
        """A whole pull into a folder that is thrown away."""
        folder = self.rig.place("copy")
        argv = ["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false"]
        try:
            run(*argv, source, f"dir:{folder}")
        finally:
            run("rm", "-r", str(folder))


def as_mirror(node: NodeProcess) -> Mirror:
    """A node as one of the mirrors."""
    return Mirror("skerry", node.registry, f"{HOST}/", node.child.pid)


def layered(seed: int, *, layers: int, layer_bytes: int) -> Image:
    """An image of equal layers of random bytes."""
    parts = (_random(seed * 1000 + number, layer_bytes) for number in range(layers))
    return with_layers(small(seed), tuple(Piece.of(PLAIN_LAYER, data) for data in parts))


def _random(seed: int, size_bytes: int) -> bytes:
    """Random bytes of any length: `random` makes at most 256 MiB at once."""
    starts = range(0, size_bytes, _PART_BYTES)
    return b"".join(noise(seed + at, min(_PART_BYTES, size_bytes - at)) for at in starts)
