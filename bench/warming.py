"""What fetching ahead is worth, and what visitors notice of it.

Owns a week of deployments whose images are warmed before they are rolled out, and one visitor of a
site while its films are fetched ahead. In the week everything is asked of one node by one client,
so the shares are exact and the same in every run.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import floods_load
from bench.figures import Better, Figure, compare
from bench.floods import p95
from bench.machine import LOAD, SERVERS, run, started_on
from bench.stage import Stage
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import Image, push
from skerry.app.drill.processes import NodeProcess
from skerry.base.ranges import parse_range
from tests.rig.http import Asked, Reply, TinyServer
from tests.rig.images import small
from tests.rig.nodes import HOST
from tests.rig.pages import HOST as SITE

DAYS, APPS, ROLLED_OUT, PULLS = 7, 30, 6, 300
FILMS, FILM_BYTES = 60, 64 << 20
"""Half of a visit their lengths are asked for, and half of it bytes come; more than can end."""


def warming(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Hits in a week of roll-outs that were warmed; a visitor's 95th percentile meanwhile."""
    share = _week(stage, pulls=60 if quick else PULLS)
    yield compare("warming-hits", "of pulls", peer="bound", pairs=[(share, 0.95)], bar=1.0,
                  better=Better.MORE)  # fmt: skip
    upstream = _Films()
    server = TinyServer(upstream.answer)
    stage.rig.listen(server)
    with started_on(SERVERS):
        node = _site(stage, f"127.0.0.1:{server.port}")
    hits, misses = [], []
    folder = stage.rig.place("warming")
    (folder / "huge.json").write_text("[]")
    for number in range(1 if quick else 7):
        calm = _visit(node, folder, 3 if quick else 12)
        fetching = _prewarm(node, folder, number)
        before = upstream.films
        loud = _visit(node, folder, 3 if quick else 12)
        if fetching.poll() is not None:
            raise RuntimeError("the films were here before the visitor had gone")
        fetching.kill()
        fetching.wait()
        if upstream.films == before:
            raise RuntimeError("nothing was fetched ahead meanwhile")
        node.child.wait_until(lambda: _still(upstream))
        hits.append((p95(loud["hits"]), p95(calm["hits"])))
        misses.append((p95(loud["misses"]), p95(calm["misses"])))
    for name, pairs in (("hit", hits), ("miss", misses)):
        yield compare(f"warming-{name}-p95", "ms", peer="calm", pairs=pairs, bar=1.1,
                      better=Better.LESS)  # fmt: skip


def _still(upstream: _Films) -> bool:
    """Whether nothing is fetched ahead any more."""
    before = upstream.films
    time.sleep(1)
    return upstream.films == before


def _week(stage: Stage, *, pulls: int) -> float:
    """The share of what was asked for that the node answered without the outside.

    Each day some images get a new tag, are warmed and then rolled out; what is pulled is drawn
    from all of them, a few much more often than the others, as they are that day.
    """
    chance = random.Random(7)
    upstream = stage.upstream.client()
    node = stage.rig.node(stage.node_settings(stage.upstream.url), name="week")
    running: dict[int, tuple[str, Image]] = {}
    weights = [1 / (rank + 1) for rank in range(APPS)]
    for day in range(DAYS):
        changed = range(APPS) if day == 0 else chance.sample(range(APPS), ROLLED_OUT)
        for app in changed:
            tag, image = f"day{day}", small(1000 * day + app)
            push(upstream, f"app{app}", image, tag)
            running[app] = (tag, image)
        if day:
            names = [f"{HOST}/app{app}:day{day}" for app in changed]
            run(sys.executable, "-m", "skerry", "warm", *names, "--node", f"http://{node.admin}",
                "--config", str(node.config))  # fmt: skip
        for app in chance.choices(range(APPS), weights, k=pulls):
            _pull(node, f"{HOST}/app{app}", *running[app])
    told = RegistryClient(node.admin).get("/metrics").body.decode()
    counts = {outcome: _answers(told, outcome) for outcome in ("hit", "stale", "miss", "joined")}
    return (counts["hit"] + counts["stale"]) / sum(counts.values())


def _pull(node: NodeProcess, name: str, tag: str, image: Image) -> None:
    client = RegistryClient(node.registry)
    got = client.manifest(name, tag)
    if got.body != image.manifest.data:
        raise RuntimeError(f"{name}:{tag} is another image: {got.status}")
    for blob in image.blobs:
        if client.blob(name, blob.digest).sha256 != blob.digest.hex:
            raise RuntimeError(f"a layer of {name} is another one")


def _answers(told: str, outcome: str) -> float:
    start = "skerry_registry_answers_total{"
    return sum(
        float(line.rpartition(" ")[2])
        for line in told.splitlines()
        if line.startswith(start) and f'outcome="{outcome}"' in line
    )


class _Films:
    """An origin of pages, and of films to be fetched ahead, all of them alike."""

    def __init__(self) -> None:
        self.films = 0
        self._film = bytes(range(256)) * (FILM_BYTES // 256)

    async def answer(self, asked: Asked, writer: object) -> Reply:
        fresh = "max-age=1" if asked.path.startswith("/short") else "max-age=3600"
        fields = (("Cache-Control", fresh), ("ETag", '"one"'), ("Content-Type", "text/plain"))
        if not asked.path.startswith("/film-"):
            return Reply(200, fields, b"page" * 250)
        self.films += 1
        ranges = parse_range(asked.value("Range"), FILM_BYTES)
        if not isinstance(ranges, tuple):
            return Reply(200, fields, self._film)
        part = ranges[0]
        told = (*fields, ("Content-Range", part.content_range))
        return Reply(206, told, self._film[part.start : part.stop])


def _site(stage: Stage, origin: str) -> NodeProcess:
    route = {"data_class": "public", "slice": "1MiB"}
    site = {"hosts": [SITE], "origins": [f"http://{origin}"], "plain_http": True, "route": [route]}
    return stage.rig.node({**stage.node_settings(f"http://{origin}"), "site": [site]}, name="films")


def _prewarm(node: NodeProcess, folder: Path, number: int) -> subprocess.Popen[bytes]:
    """Films without end, as an operator would have them fetched."""
    wanted = folder / f"films-{number}"
    wanted.write_text("".join(f"http://{SITE}/film-{number}-{n}\n" for n in range(FILMS)))
    argv = [sys.executable, "-m", "skerry", "prewarm", str(wanted), "--node"]
    argv += [f"http://{node.admin}", "--config", str(node.config)]
    with started_on(LOAD):
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL)


def _visit(node: NodeProcess, folder: Path, seconds: int) -> dict[str, list[float]]:
    argv = ["nice", "-n", "-10", sys.executable, floods_load.__file__, "legit", "queries"]
    argv += [node.registry, node.edge, str(seconds), "0", str(folder / "huge.json")]
    with started_on(LOAD):
        done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    said: dict[str, list[float]] = json.loads(done.stdout)
    if said["refused"]:
        raise RuntimeError(f"a visitor got {said['refused'][:5]}")
    return said
