"""kill -9 amid pushes and fills: what was acknowledged is there, and nothing half is."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

from skerry.app.drill import wan as link
from skerry.app.drill.client import PushFailed, RegistryClient
from skerry.app.drill.images import Image, image, noise, push
from skerry.app.drill.processes import NodeProcess
from skerry.base.digest import digest_of
from tests.rig import nodes
from tests.rig.nodes import HOST, PASSWORD, USER
from tests.rig.processes import Rig

ROUNDS = 6
PUSHERS = 4
RESTART_SECONDS_MAX = 5.0
SEED = 20_260_101


class Acknowledged:
    """Every image that a node said 201 to, by repository."""

    def __init__(self) -> None:
        self.images: dict[str, Image] = {}
        self._changed = threading.Condition()

    def add(self, repository: str, what: Image) -> None:
        with self._changed:
            self.images[repository] = what
            self._changed.notify_all()

    def wait_for(self, least: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.images) >= least, timeout=60)


def test_t15_no_acknowledged_push_is_lost_and_no_half_blob_is_seen_after_kill_minus_nine(
    rig: Rig,
) -> None:
    upstream = rig.registry()
    base = nodes.with_local(nodes.settings(upstream.url), rig.place("users"))
    node = rig.node(base)
    chance, kept = random.Random(SEED), Acknowledged()
    for round_number in range(ROUNDS):
        _push_until_killed(node, kept, chance, round_number)
        node.start()
        assert node.ready_seconds < RESTART_SECONDS_MAX
        client = RegistryClient(node.registry)
        for repository, what in kept.images.items():
            _is_whole(client, repository, what)
        _disk_is_clean(node)


def _push_until_killed(
    node: NodeProcess, kept: Acknowledged, chance: random.Random, round_number: int
) -> None:
    seeds = [chance.getrandbits(32) for _ in range(PUSHERS)]
    least = len(kept.images) + chance.randrange(1, 12)
    with ThreadPoolExecutor(PUSHERS) as pool:
        for number, seed in enumerate(seeds):
            pool.submit(_push_for_ever, node.registry, kept, seed, f"r{round_number}p{number}")
        kept.wait_for(least)
        node.kill()


def _push_for_ever(registry: str, kept: Acknowledged, seed: int, name: str) -> None:
    client = RegistryClient(registry, user=USER, password=PASSWORD)
    chance = random.Random(seed)
    for number in range(10_000):
        size = chance.choice((10, 20_000, 300_000, 2_000_000))
        made = image([{"bin/a": noise(chance.getrandbits(32), size)}])
        repository = f"local/{name}x{number}"
        try:
            push(client, repository, made, "1")
        except PushFailed:
            return
        kept.add(repository, made)


def _is_whole(client: RegistryClient, repository: str, what: Image) -> None:
    got = client.manifest(repository, "1")
    assert (got.status, got.body) == (200, what.manifest.data), f"{repository}: {got.text()}"
    for blob in what.blobs:
        found = client.blob(repository, blob.digest)
        assert (found.status, found.body) == (200, blob.data), f"{repository}: {found.text()}"


def _disk_is_clean(node: NodeProcess) -> None:
    """No leftovers, every file what it is called, and the count is what `du` says."""
    data = node.folder / "data"
    assert list((data / "ingest").iterdir()) == []
    files = [path for path in (data / "blobs").rglob("*") if path.is_file()]
    for path in files:
        assert digest_of(path.read_bytes(), path.parts[-3]).hex == path.name
    total = sum(path.stat().st_size for path in files)
    node.child.wait_until(lambda: _counted_bytes(node) == total)


def _counted_bytes(node: NodeProcess) -> int:
    exposed = RegistryClient(node.admin).get("/metrics").body.decode()
    line = next(line for line in exposed.splitlines() if 'bytes{part="blobs"}' in line)
    return int(line.rpartition(" ")[2])


def test_t15_a_fill_that_was_killed_leaves_nothing_and_is_fetched_again(rig: Rig) -> None:
    upstream = rig.registry()
    made = image([{"bin/a": noise(SEED, 4_000_000)}])
    push(upstream.client(), "team/app", made, "1")
    wan = rig.wan(upstream.authority)
    node = rig.node(nodes.settings(f"http://127.0.0.1:{wan.port}", stall="5s"))
    layer, target = made.blobs[1], f"{HOST}/team/app"
    assert RegistryClient(node.registry).manifest(target, "1").status == 200
    ingest = node.folder / "data" / "ingest"
    with ThreadPoolExecutor(1) as pool:
        rig.run(wan.switch(link.rate(200_000)))
        asked = pool.submit(RegistryClient(node.registry).blob, target, layer.digest)
        node.child.wait_until(lambda: sum(p.stat().st_size for p in ingest.iterdir()) > 100_000)
        node.kill()
        cut = asked.result()
    assert not cut.whole
    assert layer.data.startswith(cut.body)
    rig.run(wan.switch(link.PASS))
    node.start()
    assert list(ingest.iterdir()) == []
    got = RegistryClient(node.registry).blob(target, layer.digest)
    assert (got.status, got.body) == (200, layer.data)
