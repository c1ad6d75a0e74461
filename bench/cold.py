"""What is not held yet: how long a first pull takes, what it costs the upstream, and a crowd.

Owns four measurements with empty data directories.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import ParamSpec, TypeVar

from bench.figures import Better, Figure, compare, within
from bench.machine import LOAD, MIB, forget_peak, memory_bytes, run, started_on
from bench.stage import ACCEPT, Mirror, Stage, layered
from skerry.app.drill.images import push
from skerry.app.drill.processes import free_port
from skerry.app.drill.wan import rate
from tests.rig.processes import Service, need

T = TypeVar("T")
P = ParamSpec("P")
LAYER_BYTES = 25_000_000
LINK_BYTES_PER_SECOND = 40_000_000
_TIMES = "%{time_starttransfer} %{size_download}"
CROWD, CROWD_LAYER_BYTES = 50, 500_000_000


def pulls(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """A first pull of 200 MB by skopeo, through the node and straight from the upstream."""
    pairs = []
    mirror = stage.skerry()
    for number in range(2 if quick else 5):
        repository = f"bench/cold-{number}"
        stage.push(repository, layered(10 + number, layers=8, layer_bytes=LAYER_BYTES))
        straight = Mirror("upstream", stage.upstream.authority, "", 0)
        seconds = {}
        # Who goes first takes turns, so that nobody always meets the colder disk.
        for which in (straight, mirror) if number % 2 else (mirror, straight):
            os.sync()  # nobody pays for what another one left to be written
            seconds[which.name] = timed(stage.skopeo, which.image(repository))
        pairs.append((seconds["skerry"], seconds["upstream"]))
    yield compare("cold-pull", "s", peer="upstream", pairs=pairs, bar=1.05, better=Better.LESS)


def pulls_over_a_link(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """The same over a link of 40 MB/s for each connection, as a site has it."""
    wan = stage.rig.wan(stage.upstream.authority)
    stage.rig.run(wan.switch(rate(LINK_BYTES_PER_SECOND)))
    link = f"127.0.0.1:{wan.port}"
    pairs = []
    mirror = stage.skerry(f"http://{link}")
    for number in range(1 if quick else 3):
        repository = f"bench/link-{number}"
        stage.push(repository, layered(20 + number, layers=8, layer_bytes=LAYER_BYTES))
        straight = Mirror("upstream", link, "", 0)
        through = timed(stage.skopeo, mirror.image(repository))
        pairs.append((through, timed(stage.skopeo, straight.image(repository))))
    yield compare(
        "cold-pull-over-a-link", "s", peer="upstream", pairs=pairs, bar=1.05, better=Better.LESS
    )


def upstream_bytes(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Bytes over the link for each byte of the image: one puller, and eight at once."""
    wan = stage.rig.wan(stage.upstream.authority)
    link = f"http://127.0.0.1:{wan.port}"
    mirrors = [stage.skerry(link), stage.distribution(link)]
    for pullers, seed in ((1, 31), (8, 32)):
        repository = f"bench/bytes-{pullers}"
        size = 5_000_000 if quick else LAYER_BYTES
        image = stage.push(repository, layered(seed, layers=8, layer_bytes=size))
        took = {}
        for mirror in mirrors:
            stage.rig.settle(wan)
            before = wan.statistics().down_bytes
            together(pullers, mirror.pull, repository, image)
            stage.rig.settle(wan)
            took[mirror.name] = (wan.statistics().down_bytes - before) / image.size_bytes()
        name = f"upstream-bytes-{pullers}-pullers"
        # Heads of answers come on top of the image: 1 % is ample for them.
        yield within(name, "x image", values=[took["skerry"]], most=1.01)
        yield compare(
            f"{name}-vs-docker-registry",
            "x image",
            peer="docker-registry",
            pairs=[(took["skerry"], took["docker-registry"])],
            bar=1.0,
            better=Better.LESS,
        )


def crowd(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """50 clients on one cold layer of 500 MB: requests upstream, first byte, memory."""
    size = 50_000_000 if quick else CROWD_LAYER_BYTES
    upstream, log = logging_registry(stage)
    gets, later, grown = [], [], []
    for number in range(1 if quick else 2):
        repository = f"bench/crowd-{number}"
        image = layered(40 + number, layers=1, layer_bytes=size)
        push(upstream.client(), repository, image, "1")
        digest = str(image.blobs[1].digest)
        straight = Mirror("upstream", upstream.authority, "", 0)
        mirror = stage.skerry(upstream.url)
        manifest = mirror.url(repository, "manifests", "1")
        run("curl", "-sf", "-H", f"Accept: {ACCEPT}", "-o", "/dev/null", manifest)
        direct = [first_byte(straight.url(repository, "blobs", digest)) for _ in range(5)]
        before = memory_bytes(mirror.pid, "VmRSS")
        forget_peak(mirror.pid)
        asked = log().count(f"/blobs/{digest}")
        url = mirror.url(repository, "blobs", digest)
        firsts = together(CROWD, whole_body, url, size)
        gets.append(float(log().count(f"/blobs/{digest}") - asked))
        later.append(max(0.0, min(firsts) - median(direct)) * 1000)
        grown.append((memory_bytes(mirror.pid, "VmHWM") - before) / MIB)
    yield within("crowd-upstream-gets", "GET", values=gets, most=1.0)
    yield within("crowd-first-byte-later", "ms", values=later, most=50.0)
    yield within("crowd-rss-growth", "MiB", values=grown, most=64.0)


def timed(work: Callable[P, object], *args: P.args, **more: P.kwargs) -> float:
    """Seconds."""
    began = time.perf_counter()
    work(*args, **more)
    return time.perf_counter() - began


def together(count: int, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> list[T]:
    """The same by many at once."""
    with ThreadPoolExecutor(count) as pool:
        return [
            future.result() for future in [pool.submit(work, *args, **more) for _ in range(count)]
        ]


def first_byte(url: str) -> float:
    """Seconds to the first byte of a body that is then left."""
    said = run("sh", "-c", f"curl -s -r 0-0 -o /dev/null -w '%{{time_starttransfer}}' '{url}'")
    return float(said)


def whole_body(url: str, size: int) -> float:
    """Takes all of it; seconds to its first byte."""
    said = run(
        "curl", "-sf", "-o", "/dev/null", "-w", "%{time_starttransfer} %{size_download}", url
    )
    first, got = said.split()
    if int(got) != size:
        raise RuntimeError(f"{url}: {got} of {size} bytes came")
    return float(first)


def logging_registry(stage: Stage) -> tuple[Service, Callable[[], str]]:
    """A docker-registry whose access log can be read: the lines of its GETs."""
    folder = stage.rig.place("logging-registry")
    authority = f"127.0.0.1:{free_port()}"
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: warn}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '{authority}'}}\n"
    )
    with started_on(LOAD):
        argv = [need("docker-registry"), "serve", str(config)]
        service = stage.rig.service(argv, authority, folder)

    def gets() -> str:
        time.sleep(0.2)  # it writes its log after its answer
        lines = (folder / "log").read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if re.search(r'"GET /v2/.*/blobs/', line))

    return service, gets
