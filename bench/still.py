"""A node that does nothing yet: how soon it answers, and how much memory it takes.

Owns a data directory of 100,000 objects, made with the node's own layout and catalog, and two
measurements.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.figures import Figure, within
from bench.machine import MIB, SERVERS, memory_bytes, started_on
from bench.stage import Stage
from skerry.adapters.disk_layout import Layout
from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import Image, Piece
from skerry.app.drill.processes import NodeProcess
from skerry.registry.ports import Link, Manifest, Repository, Tag
from tests.rig.images import PLAIN_LAYER, small, with_layers
from tests.rig.nodes import HOST

OBJECTS, LAYERS = 100_000, 8
IDLE_SECONDS = 5.0


def start(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """From exec to the first cached manifest, with 100,000 objects in the data directory."""
    objects = OBJECTS // 10 if quick else OBJECTS
    with started_on(SERVERS):
        node = stage.rig.node(stage.node_settings("http://127.0.0.1:9"), start=False)
        images = fill(node.folder / "data", objects)
        node.start()  # builds what is derived; not measured
        node.kill()
        ends = {"clean-stop": node.stop, "kill": node.kill}
        times: dict[str, list[float]] = {how: [] for how in ends}
        before = "kill"
        for number in range(4 if quick else 10):
            times[before].append(first_answer(node, images[number]))
            before = list(ends)[number % 2]
            ends[before]()
    for how, values in times.items():
        yield within(f"start-after-{how}", "s", values=values, most=1.0)


def idle(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Resident memory of a node that has just started and serves nobody."""
    values = []
    for _ in range(1 if quick else 3):
        mirror = stage.skerry("http://127.0.0.1:9")
        time.sleep(1.0 if quick else IDLE_SECONDS)
        values.append(memory_bytes(mirror.pid, "VmRSS") / MIB)
    yield within("idle-rss", "MiB", values=values, most=80e6 / MIB)


def first_answer(node: NodeProcess, image: Image) -> float:
    """Seconds from exec until a manifest came by tag."""
    began = time.perf_counter()
    node.start()
    name = f"{HOST}/{repository_of(image).name}"
    got = RegistryClient(node.registry).manifest(name, 1)
    if got.body != image.manifest.data:
        raise RuntimeError(f"{name}: {got.status} {got.text()}")
    return time.perf_counter() - began


def fill(data_dir: Path, objects: int) -> list[Image]:
    """A data directory with about so many blobs; returns a few of its images."""
    layout = Layout(data_dir)
    layout.prepare()
    images = [made(seed) for seed in range(objects // (LAYERS + 2))]
    for image in images:
        for piece in (image.manifest, *image.blobs):
            path = Path(layout.blob(piece.digest))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(piece.data)
    asyncio.run(catalogued(data_dir / "catalog.sqlite", images))
    return images[:10]


def made(seed: int) -> Image:
    """An image of small layers that no other one has."""
    layers = (Piece.of(PLAIN_LAYER, b"%d/%d" % (seed, number)) for number in range(LAYERS))
    base = replace(_BASE, blobs=(Piece.of(_BASE.blobs[0].media_type, b'{"seed":%d}' % seed),))
    return with_layers(base, tuple(layers))


_BASE = small(7)


def repository_of(image: Image) -> Repository:
    return Repository(HOST, f"bench/{image.digest.short}")


async def catalogued(path: Path, images: list[Image]) -> None:
    """Every image with one tag in a repository of its own."""
    catalog = SqliteCatalog.open(path)
    now = time.time()

    async def one(image: Image) -> None:
        kinds = ("config", *("layer" for _ in range(LAYERS)))
        links = tuple(
            Link(piece.digest, kind, piece.media_type, len(piece.data))
            for kind, piece in zip(kinds, image.blobs, strict=True)
        )
        piece = image.manifest
        manifest = Manifest(piece.digest, piece.media_type, len(piece.data), links)
        repository = repository_of(image)
        await catalog.put_manifest(repository, manifest, now=now)
        await catalog.put_tag(Tag(repository, "1", piece.digest, now, now))

    for begin in range(0, len(images), 256):
        await asyncio.gather(*(one(image) for image in images[begin : begin + 256]))
    await catalog.close()
