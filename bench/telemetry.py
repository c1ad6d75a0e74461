"""What being watched costs the fast way: hits a second of a node that is, against one that is not.

Owns that measurement. The one is scraped each second as Prometheus does it, tells of every
hundredth fast answer in its log, makes bundles and sends metrics and traces; the other does
nothing of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import Better, Figure, compare
from bench.machine import LOAD, SERVERS, started_on
from bench.stage import Stage
from bench.workers import Asked, together
from skerry.app.drill.processes import NodeProcess, Setting

SITE = "bench.test"
PAGE_BYTES = 3 * 1024
SCRAPE = """
import sys, time, urllib.request
ask = urllib.request.Request(sys.argv[1], headers={
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"})
while True:
    assert b"# EOF" in urllib.request.urlopen(ask).read()
    time.sleep(1)
"""
WATCHED: dict[str, Setting] = {
    "log": {"requests": True, "fast_share": 0.01},
    "telemetry": {
        "bundles": {"enabled": True, "every": "10s"},
        "otlp": {"url": "", "plain_http": True, "every": "1s", "traces_share": 0.01},
    },
}
ALONE: dict[str, Setting] = {"log": {"requests": False}}


def watched(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Cached 3 KiB pages a second while everything is told, against nothing."""
    root = stage.rig.place("root")
    (root / "page").write_bytes(os.urandom(PAGE_BYTES))
    with started_on(LOAD):
        origin = stage.rig.nginx(root, "location /v1/ { return 200; }")
    told = {**WATCHED, "telemetry": {**WATCHED["telemetry"]}}  # type: ignore[dict-item]
    told["telemetry"]["otlp"] = {**told["telemetry"]["otlp"], "url": origin.url}  # type: ignore[index, dict-item]
    with started_on(SERVERS):
        nodes = [_node(stage, origin.url, each, name) for each, name in
                 ((told, "watched"), (ALONE, "alone"))]  # fmt: skip
    asked = [Asked(f"http://{node.edge}/page", (f"Host: {SITE}",)) for node in nodes]
    seconds, rounds = (2, 2) if quick else (5, 9)
    for each in asked:
        together(each, (LOAD,), 1)
    pairs = []
    for _ in range(rounds):
        with _scraped(nodes[0]):
            mine = together(asked[0], (LOAD,), seconds)
        pairs.append((mine, together(asked[1], (LOAD,), seconds)))
    yield compare(
        "watched-hits", "1/s", peer="nothing told", pairs=pairs, bar=0.95, better=Better.MORE
    )


def _node(stage: Stage, origin: str, told: dict[str, Setting], name: str) -> NodeProcess:
    site: Setting = {
        "hosts": [SITE],
        "origins": [origin],
        "plain_http": True,
        "route": [{"prefix": "/", "data_class": "public", "fresh": "1h"}],
    }
    settings = stage.node_settings(stage.upstream.url)
    return stage.rig.node({**settings, **told, "site": [site]}, name=name)


@contextmanager
def _scraped(node: NodeProcess) -> Iterator[None]:
    """Somebody reads its metrics each second."""
    with started_on(LOAD):
        reader = subprocess.Popen([sys.executable, "-c", SCRAPE, f"http://{node.admin}/metrics"])
    try:
        yield
        if reader.poll() is not None:
            raise RuntimeError("the metrics could not be read")
    finally:
        reader.kill()
        reader.wait()
