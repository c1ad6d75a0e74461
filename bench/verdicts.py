"""What a verdict costs where it is asked most: a cached manifest under a policy, and without one.

Owns one measurement: the same node, the same image, one process and one run, so that the only
difference is the policy. Servers on one core and the load on the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.figures import Better, Figure, compare
from bench.load import Load, wrk
from bench.machine import SERVERS, started_on
from bench.stage import ACCEPT, Stage, as_mirror, layered
from skerry.app.drill import trust
from skerry.app.drill.images import push
from tests.rig.nodes import HOST

FREE, GUARDED = "bench/free", "bench/guarded"
SLOWER_MAX = 0.03


def verdicts(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Cached manifests a second by digest, of an image under a policy and of one under none."""
    owners = trust.people(trust.OWNERS)
    folder = Path(stage.rig.place("root"))
    trust.publish_root(folder, owners)
    image = layered(9, layers=12, layer_bytes=2000)
    other = layered(10, layers=12, layer_bytes=2000)
    stage.push(GUARDED, image)
    stage.push(FREE, other)
    name = f"{HOST}/{GUARDED}"
    signature = trust.signature(image.digest, name, owners)
    push(stage.upstream.client(), GUARDED, signature, trust.tag_of(image.digest))
    settings = {
        **stage.node_settings(stage.upstream.url),
        "trust": trust.settings(folder, name),
    }
    with started_on(SERVERS):
        node = as_mirror(stage.rig.node(settings))
    urls = {}
    for repository, what in ((GUARDED, image), (FREE, other)):
        node.pull(repository, what)
        urls[repository] = node.url(repository, "manifests", str(what.digest))
    # Many short rounds: what else the machine does in a second falls on both.
    seconds, rounds = (1, 2) if quick else (1, 60)
    size = len(image.manifest.data)
    loads: dict[str, list[Load]] = {each: [] for each in urls}
    for number in range(rounds):
        # Who comes first changes, so that a machine that slows down slows both.
        for repository in (GUARDED, FREE) if number % 2 else (FREE, GUARDED):
            loads[repository].append(
                wrk(urls[repository], node.pid, seconds=seconds, body_bytes=size, accept=ACCEPT)
            )
    both = list(zip(loads[GUARDED], loads[FREE], strict=True))
    yield compare(
        "cached-manifests-under-a-policy",
        "1/s",
        peer="no policy",
        pairs=[(mine.rate, theirs.rate) for mine, theirs in both],
        bar=1 - SLOWER_MAX,
        better=Better.MORE,
    )
    yield compare(
        "cached-manifests-cpu-under-a-policy",
        "CPU-us",
        peer="no policy",
        pairs=[(_cost(mine, size), _cost(theirs, size)) for mine, theirs in both],
        bar=1 + SLOWER_MAX,
        better=Better.LESS,
    )


def _cost(load: Load, body_bytes: int) -> float:
    """Microseconds of the server's processor for one answer."""
    return load.cpu_seconds_per_gb * body_bytes / 1e3
