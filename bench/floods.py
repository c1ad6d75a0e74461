"""What a neighbour notices of a flood, what the upstream hears of it, and what a refusal costs.

Owns five attacks at a thousand requests a second and one legitimate client, on one connection from
the same address. Calm and under attack are measured right after each other; the load's core carries
the attack, the client and the upstream, so what is told is a bound from above.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

from bench import floods_load
from bench.figures import Better, Figure, compare, within
from bench.machine import LOAD, SERVERS, cpu_seconds, started_on
from bench.stage import Stage
from skerry.app.drill.processes import NodeProcess
from skerry.base.ranges import parse_range
from tests.rig.http import Asked, Reply, TinyServer
from tests.rig.nodes import HOST as REGISTRY
from tests.rig.pages import HOST as SITE

PER_MINUTE, PER_SECOND = 3000, 1000
SHAPES = ("names", "queries", "ranges", "hosts", "pulls")
FILM_BYTES = 64 << 20
IMAGES, LAYERS, HUGE = 9, 100, 4000
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Upstream:
    """A registry and an origin in one, that count what they are asked."""

    asked: int = 0
    sent_bytes: int = 0
    film: bytes = field(default=bytes(range(256)) * (FILM_BYTES // 256), repr=False)
    digests: dict[str, bytes] = field(default_factory=dict)

    def manifest(self, image: int, count: int) -> bytes:
        """An image of small layers: each is known once this is here."""
        layers = []
        for number in range(count):
            data = b"layer %d of %d" % (number, image)
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.digests[digest] = data
            layers.append({"mediaType": "application/octet-stream", "digest": digest,
                           "size": len(data)})  # fmt: skip
        made = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": layers[0], "layers": layers}
        return json.dumps(made).encode()

    async def answer(self, asked: Asked, writer: object) -> Reply:
        """Truthful, and quick."""
        self.asked += 1
        reply = self._answer(asked)
        self.sent_bytes += len(reply.body)
        return reply

    def _answer(self, asked: Asked) -> Reply:
        path = asked.path
        if "/blobs/" in path:
            digest = path.rpartition("/")[2]
            body = self.digests.get(digest)
            return Reply(404) if body is None else Reply(200, (), body)
        if "/manifests/" in path:
            if not path.startswith("/v2/legit/"):
                return Reply(404)
            body = self.images.get(path.split("/")[3], self.small)
            return Reply(200, (("Content-Type", _MANIFEST),), body)
        fresh = "max-age=1" if path.startswith("/short") else "max-age=3600"
        fields = (("Cache-Control", fresh), ("ETag", '"one"'), ("Content-Type", "text/plain"))
        if path == "/film":
            ranges = parse_range(asked.value("Range"), FILM_BYTES)
            if isinstance(ranges, tuple):
                part = ranges[0]
                told = (*fields, ("Content-Range", part.content_range))
                return Reply(206, told, self.film[part.start : part.stop])
        if path.startswith(("/page", "/new", "/short")):
            return Reply(200, fields, b"page" * 250)
        return Reply(404)

    def __post_init__(self) -> None:
        self.images = {f"app-{n}": self.manifest(n, LAYERS) for n in range(IMAGES)}
        self.small = self.manifest(IMAGES, 3)
        for number in range(HUGE):
            huge = b"%08d" % number * (1 << 15)
            self.digests[f"sha256:{hashlib.sha256(huge).hexdigest()}"] = huge
        self.huge = [name for name, data in self.digests.items() if len(data) > 1 << 17]


def floods(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Neighbours of an attack, requests to upstreams, and the cost of a refusal."""
    upstream = Upstream()
    server = TinyServer(upstream.answer)
    stage.rig.listen(server)
    node = _node(stage, f"127.0.0.1:{server.port}")
    folder = stage.rig.place("floods")
    (folder / "huge.json").write_text(json.dumps(upstream.huge))
    rounds, calm_seconds, seconds = (1, 3, 5) if quick else (3, 5, 10)
    for shape in SHAPES:
        runs = _Runs(node, upstream, folder, shape)
        for _ in range(rounds):
            runs.once(calm_seconds, seconds)
        yield from runs.figures()
    yield from _costs(node, folder, seconds=3 if quick else 6)


@dataclass
class _Runs:
    """The rounds of one attack."""

    node: NodeProcess
    upstream: Upstream
    folder: Path
    shape: str
    hits: list[tuple[float, float]] = field(default_factory=list)
    misses: list[tuple[float, float]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def once(self, calm_seconds: int, seconds: int) -> None:
        """Calm, then under attack."""
        calm = self._legit(calm_seconds)
        attack = _start(self.node, self.folder, "attack", self.shape, seconds + 2, PER_SECOND)
        before, began = self.upstream.asked, time.monotonic()
        time.sleep(1)
        loud = self._legit(seconds)
        said = json.loads(attack.communicate(timeout=60)[0])
        took = time.monotonic() - began
        self.rates.append(said["count"] / said["seconds"])
        self.hits.append((p95(loud["hits"]), p95(calm["hits"])))
        self.misses.append((p95(loud["misses"]), p95(calm["misses"])))
        budget = PER_MINUTE * (1 + took / 60)
        self.asked.append((self.upstream.asked - before) / budget)

    def figures(self) -> Iterator[Figure]:
        """What came of it."""
        said = {"unit": "ms", "peer": "calm", "bar": 2.0, "better": Better.LESS}
        yield compare(f"flood-{self.shape}-hit-p95", pairs=self.hits, **said)  # type: ignore[arg-type]
        yield compare(f"flood-{self.shape}-miss-p95", pairs=self.misses, **said)  # type: ignore[arg-type]
        yield within(f"flood-{self.shape}-asked", "of budget", values=self.asked, most=1.0)
        slowest = min(self.rates)
        if slowest < PER_SECOND * 0.9:
            print(f"note: {self.shape} came at {slowest:.0f} requests/s only", file=sys.stderr)

    def _legit(self, seconds: int) -> dict[str, list[float]]:
        running = _start(self.node, self.folder, "legit", self.shape, seconds, 0)
        said: dict[str, list[float]] = json.loads(running.communicate(timeout=120)[0])
        if said["refused"]:
            raise RuntimeError(f"{self.shape}: a neighbour got {said['refused'][:5]}")
        return said


def _costs(node: NodeProcess, folder: Path, *, seconds: int) -> Iterator[Figure]:
    """Processor time of one refusal beside that of one hit, by the same generator."""
    cost = {}
    for kind in ("hit", "full-hit", "unknown-host", "over-share"):
        before = cpu_seconds(node.child.pid)
        done = _start(node, folder, "attack", kind, seconds, PER_SECOND).communicate(timeout=60)
        said = json.loads(done[0])
        cost[kind] = (cpu_seconds(node.child.pid) - before) / said["count"] * 1e6
    for kind in ("unknown-host", "over-share"):
        yield compare(
            f"refusal-{kind}-cpu",
            "us",
            peer="hit of the full way",
            pairs=[(cost[kind], cost["full-hit"])],
            bar=1.5,
            better=Better.LESS,
        )
    yield compare(
        "refusal-unknown-host-cpu-vs-fast-way",
        "us",
        peer="hit of the fast way",
        pairs=[(cost["unknown-host"], cost["hit"])],
        bar=10.0,
        better=Better.LESS,
    )


def _node(stage: Stage, origin: str) -> NodeProcess:
    source = {"name": "origin", "url": f"http://{origin}", "plain_http": True}
    site = {
        "hosts": [SITE, "*.wild.test"],
        "origins": [f"http://{origin}"],
        "plain_http": True,
        "misses_per_minute": PER_MINUTE,
        "route": [{"data_class": "public", "slice": "1MiB"}],
    }
    upstreams = [{"name": REGISTRY, "misses_per_minute": PER_MINUTE, "source": [source]}]
    with started_on(SERVERS):
        return stage.rig.node({"upstream": upstreams, "site": [site]})


def _start(
    node: NodeProcess, folder: Path, role: str, shape: str, seconds: int, rate: int
) -> subprocess.Popen[bytes]:
    # What is measured must not wait for the attack's own process on the core they share.
    argv = ["nice", "-n", "-10" if role == "legit" else "5", sys.executable, floods_load.__file__]
    argv += [role, shape, node.registry, node.edge]
    argv += [str(seconds), str(rate), str(folder / "huge.json")]
    with started_on(LOAD):
        return subprocess.Popen(argv, stdout=subprocess.PIPE)


def p95(values: list[float]) -> float:
    """In ms; of few values the slowest but one in twenty."""
    return quantiles(values, n=20, method="inclusive")[-1] * 1000
