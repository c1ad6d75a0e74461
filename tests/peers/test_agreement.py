"""One script of visits and pulls, counted by whoever made them, and then by everybody who tells.

The page, `/metrics` in both forms, `skerry status`, `skerry top`, the ledger, its export, the
signed bundles and a collector say the same, to the unit (issue "Proof").
"""

from __future__ import annotations

import csv
import http.client
import json
import re
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skerry.app.drill.client import MANIFEST_TYPES, RegistryClient
from skerry.app.drill.images import Image
from skerry.app.drill.processes import NodeProcess, Setting, wait_until_still
from skerry.cli.main import make_app
from tests.rig import images, nodes
from tests.rig.pages import HOST as SITE
from tests.rig.processes import Rig
from tests.rig.script import Script
from tests.rig.telling import (
    ANSWERS,
    PAGE_SIZES,
    PAGES,
    SIZES,
    USED,
    Series,
    by_outcome,
    exposed,
    in_the_words_of_the_ledger,
    of_samples,
    openmetrics,
    plain,
)
from tests.rig.told import Collector, Held, HeldRegistry, Origin

UPSTREAM = nodes.HOST
NAME = "team/tide"
PAGE = b"p" * 3000
SHEET = "".join(
    f'[[price]]\nmeter = "{meter}"\nprice = "{price}"\nunit = "{unit}"\nperiod = "use"\n'
    'currency = "EUR"\nvalid_from = 2020-01-01\n'
    for meter, price, unit in (("requests", "1", "million requests"), ("egress", "1", "GB"))
)


def manifest(reference: object) -> str:
    return f"/v2/{UPSTREAM}/{NAME}/manifests/{reference}"


def blob(digest: object) -> str:
    return f"/v2/{UPSTREAM}/{NAME}/blobs/{digest}"


ACCEPT = (("Accept", ", ".join(MANIFEST_TYPES)),)


@dataclass
class Scene:
    node: NodeProcess
    registry: HeldRegistry
    origin: Origin
    collector: Collector
    rig: Rig

    def skerry(self, *words: str) -> str:
        ran = CliRunner().invoke(make_app(), [*words, "--config", str(self.node.config)])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    def until(self, same: Callable[[], bool]) -> None:
        self.node.child.wait_until(same, seconds_max=20)


def built(rig: Rig, workers: int) -> Scene:
    registry, origin, collector = HeldRegistry(), Origin(PAGE), Collector()
    for server in (registry.server, origin.server, collector.server):
        rig.listen(server)
    sheet = rig.place("prices") / "prices.toml"
    sheet.write_text(SHEET)
    site: dict[str, Setting] = {
        "hosts": [SITE], "origins": [origin.server.url], "plain_http": True,
        "first_byte": "5s", "stall": "5s",
        "route": [{"data_class": "public"}, {"prefix": "/patients/"}],
    }  # fmt: skip
    settings: dict[str, Setting] = {
        **nodes.settings(
            registry.server.url, windows={"brief": "1ms"}, first_byte="5s", stall="5s"
        ),
        "node": {"workers": workers},
        "site": [site],
        "budget": {"prices_file": str(sheet)},
        "telemetry": {
            "sensitive_group_min": 1,
            "bundles": {"enabled": True, "every": "10s"},
            "otlp": {"url": collector.server.url, "plain_http": True, "every": "1s"},
        },
    }
    node = rig.node(settings)
    if workers > 1:
        node.child.wait_until(lambda: "\nskerry_workers 2\n" in exposed(node, "text/plain"))
    return Scene(node, registry, origin, collector, rig)


def play(scene: Scene) -> Script:
    """Hits of both ways, stale, misses, joined, refused, parts, heads, a purge, an eviction."""
    script = Script(scene.node)
    first, brief, big = images.small(1), images.small(2), images.big(300_000, 3)
    scene.registry.push(NAME, first, "1")
    scene.registry.push(NAME, brief, "brief")
    scene.registry.push(NAME, big, "big")
    _images(scene, script, first, brief)
    _joined_image(scene, script, big)
    scene.node.wait_until_stored()
    scene.registry.gone = "/manifests/brief"
    for _ in range(20):
        script.image(manifest("brief"), "stale", 200, *ACCEPT)
    _pages(scene, script)
    script.fresh_links()
    return script


def _images(scene: Scene, script: Script, first: Image, brief: Image) -> None:
    digest = first.blobs[-1].digest
    script.image(manifest("1"), "miss", 200, *ACCEPT)
    for each in first.blobs:
        script.image(blob(each.digest), "miss", 200)
    scene.node.wait_until_stored()
    for _ in range(12):
        for _ in range(10):
            script.image(manifest("1"), "hit", 200, *ACCEPT)
        script.image(blob(digest), "hit", 200)
        script.fresh_links()
    script.image(manifest("1"), "hit", 200, *ACCEPT, method="HEAD")
    script.image(blob(digest), "hit", 200, method="HEAD")
    script.image(blob(digest), "hit", 206, ("Range", "bytes=3-9"))
    script.image(blob(digest), "hit", 304, ("If-None-Match", f'"{digest}"'))
    script.image(blob(digest), "refused", 416, ("Range", "bytes=999999999-"))
    script.image(manifest("none"), "absent", 404, *ACCEPT)
    script.image(manifest("brief"), "miss", 200, *ACCEPT)
    scene.node.wait_until_stored()
    scene.skerry("evict", "--image", f"{UPSTREAM}/{NAME}:1")
    script.image(blob(digest), "miss", 200)


def _joined_image(scene: Scene, script: Script, big: Image) -> None:
    layer = max(big.blobs, key=lambda each: len(each.data))
    held = Held()
    scene.registry.hold("/manifests/big", held)
    _both(scene, script, held, ("image", scene.node.registry, "up.test", manifest("big")), "joined")
    held = Held()
    scene.registry.hold(f"/blobs/{layer.digest}", held)
    target = blob(layer.digest)
    _both(scene, script, held, ("image", scene.node.registry, "up.test", target), "joined")


def _both(
    scene: Scene, script: Script, held: Held, asked: tuple[str, str, str, str], outcome: str
) -> None:
    """Two ask for what is held back until both have asked."""
    side, authority, host, target = asked
    # A worker tells what it has counted once a second.
    wait_until_still(lambda: _asked(scene.node), quiet_seconds=1.2)
    before = _asked(scene.node)
    links = [_begun(authority, host, target)]
    scene.until(lambda: held.begun > 0)
    links.append(_begun(authority, host, target))
    scene.until(lambda: _asked(scene.node) == before + 2)
    scene.rig.run(held.release())
    for raw, how in zip(links, ("miss", outcome), strict=True):
        answer = http.client.HTTPResponse(raw, method="GET")
        answer.begin()
        assert answer.status == 200
        script.add(side, how, len(answer.read()))
        raw.close()


def _asked(node: NodeProcess) -> int:
    """Requests that have come in at either public door."""
    return int(
        sum(
            value
            for (name, labels), value in plain(node).items()
            if name == "skerry_http_requests_total" and dict(labels)["door"] != "admin"
        )
    )


def _begun(authority: str, host: str, target: str) -> socket.socket:
    where, _, port = authority.partition(":")
    raw = socket.create_connection((where, int(port)), timeout=20)
    raw.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return raw


def _pages(scene: Scene, script: Script) -> None:
    for number in range(10):
        script.page(f"/fresh/{number}", "miss", 200)
    scene.node.wait_until_stored()
    for _ in range(12):
        for number in range(10):
            script.page(f"/fresh/{number}", "hit", 200)
        script.fresh_links()
    script.page("/fresh/1", "hit", 200, method="HEAD")
    script.page("/fresh/1", "hit", 206, ("Range", "bytes=5-14"))
    script.page("/stale/1", "miss", 200)
    scene.node.wait_until_stored()
    scene.origin.failing = True
    for _ in range(20):
        script.page("/stale/1", "stale", 200)
    scene.origin.failing = False
    script.page("/none", "miss", 404)
    scene.node.wait_until_stored()
    script.page("/none", "hit", 404)
    script.page("/bad%zz", "refused", 400)
    held = Held()
    scene.origin.held["/held"] = held
    _both(scene, script, held, ("page", scene.node.edge, SITE, "/held"), "collapsed")
    scene.node.wait_until_stored()
    scene.skerry("purge", "--url", f"http://{SITE}/fresh/1")
    script.page("/fresh/1", "miss", 200)
    for number in range(7):
        script.page(f"/patients/{number}", "pass", 200)


# what everybody tells


def bundled(scene: Scene, folder: Path) -> Series:
    scene.skerry("bundle", "export", str(folder))
    summed: Counter[str] = Counter()
    for file in sorted(folder.glob("*.json")):
        summed.update(json.loads(file.read_text())["counters"])
    return of_samples(summed)


def ledger(scene: Scene) -> Counter[str]:
    """What the ledger has, but for what nobody in the script asked for."""
    found: Counter[str] = Counter()
    for line in json.loads(scene.skerry("costs", "--json"))["lines"]:
        for name in ("requests", "egress_bytes", *sorted(set(USED.values()))):
            found[name] += line["used"].get(name, 0)
    return found


def exported(scene: Scene) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in csv.DictReader(scene.skerry("ledger", "export").splitlines()):
        found[row["ServiceName"]] += int(float(row["ConsumedQuantity"]))
    return found


def ratios(scene: Scene, command: str) -> dict[str, dict[str, int]]:
    return {each["what"]: each for each in json.loads(scene.skerry(command, "--json"))["ratios"]}


def page_rows(scene: Scene) -> dict[str, list[str]]:
    token = (scene.node.folder / "data" / "admin.token").read_text().strip()
    got = RegistryClient(scene.node.admin, token=token).get("/")
    assert got.status == 200
    rows = re.findall(r'<tr><th scope="row">([^<]+)</th>(.*?)</tr>', got.body.decode(), re.S)
    return {name: re.findall(r"<td[^>]*>([^<]*)</td>", cells) for name, cells in rows}


RISEN = {
    "skerry_events_total", "skerry_fill_received_bytes_total", "skerry_fills_ended_total",
    "skerry_http_body_bytes_total", "skerry_miss_bytes_total", "skerry_misses_total",
    "skerry_registry_hot_answers_total", "skerry_registry_starts_total",
    "skerry_store_budget_bytes", "skerry_store_bytes", "skerry_store_disk_free_bytes",
    "skerry_store_evicted_bytes_total", "skerry_store_evicted_total", "skerry_store_writable",
    "skerry_upstream_breaker_state",
    "skerry_upstream_first_byte_seconds_count", "skerry_upstream_received_bytes_total",
    "skerry_upstream_requests_total", "skerry_upstream_token_requests_total",
}  # fmt: skip
"""What such a script moves."""


@pytest.mark.parametrize("workers", [1, 2])
def test_everybody_who_tells_says_the_same_to_the_unit(
    rig: Rig, tmp_path: Path, workers: int
) -> None:
    scene = built(rig, workers)
    script = play(scene)
    names = (f"{ANSWERS}_total", f"{PAGES}_total")
    sizes = (f"{SIZES}_total", f"{PAGE_SIZES}_total")

    wanted = sum(script.counts.values())
    # An answer is counted a moment after its last byte has left.
    scene.until(lambda: _told(scene.node) >= (wanted, sum(script.sizes.values())))
    for read in (openmetrics, plain):
        assert by_outcome(read(scene.node), *names) == script.counts
        assert by_outcome(read(scene.node), *sizes) == +script.sizes

    moved = {name for (name, _), value in plain(scene.node).items() if value > 0}
    assert sorted(RISEN - moved) == [], "no series is dead"

    counts, lengths = script.counts, script.sizes
    for command in ("status", "top"):
        told = ratios(scene, command)
        assert told["images"]["hits"] == counts["image", "hit"]
        assert told["images"]["stale"] == counts["image", "stale"]
        assert told["images"]["collapsed"] == counts["image", "joined"]
        assert told["images"]["hit_bytes"] == lengths["image", "hit"]
        assert told["public"]["hits"] == counts["page", "hit"]
        assert told["public"]["hit_bytes"] == lengths["page", "hit"]
        assert told["sensitive"]["requests"] == 7
        served = sum(counts["image", each] for each in ("hit", "stale", "miss", "joined"))
        assert told["images"]["requests"] == served
    shown = page_rows(scene)
    assert [int(shown["images"][0]), int(shown["images"][1])] == [served, counts["image", "hit"]]
    assert int(shown["public"][1]) == counts["page", "hit"]
    assert int(shown["public"][5]) == counts["page", "collapsed"]

    final = in_the_words_of_the_ledger(plain(scene.node))
    last = "requests", "egress_bytes"
    scene.until(lambda: all(ledger(scene)[each] >= final[each] for each in last))
    booked = ledger(scene)
    assert booked == final
    sold = exported(scene)
    assert (sold["requests"], sold["egress"]) == (final["requests"], final["egress_bytes"])

    scene.until(lambda: by_outcome(bundled(scene, tmp_path), *sizes) == +script.sizes)
    assert by_outcome(bundled(scene, tmp_path), *names) == script.counts
    key = tmp_path.parent / "node.pub"
    key.write_text(scene.skerry("bundle", "key"))
    verified = CliRunner().invoke(
        make_app(), ["bundle", "verify", str(tmp_path), "--key", str(key)]
    )
    assert verified.exit_code == 0, verified.output

    sent = scene.collector.series
    scene.until(lambda: by_outcome(sent(), SIZES, PAGE_SIZES) == +script.sizes)
    assert by_outcome(sent(), ANSWERS, PAGES) == script.counts


def _told(node: NodeProcess) -> tuple[int, int]:
    """Answers and bytes in all; an answer's bytes are counted when they have left."""
    series = plain(node)
    counts = by_outcome(series, f"{ANSWERS}_total", f"{PAGES}_total")
    sizes = by_outcome(series, f"{SIZES}_total", f"{PAGE_SIZES}_total")
    return sum(counts.values()), sum(sizes.values())


MIX = {"hit": 700, "stale": 200, "miss": 100}


def test_seven_hundred_hits_two_hundred_stale_a_hundred_misses_in_two_processes(rig: Rig) -> None:
    """Of images and of pages, by requests and by bytes, whichever process answered."""
    scene = built(rig, 2)
    script, image = Script(scene.node), images.small(1)
    for tag in ("brief", *map(str, range(99))):
        scene.registry.push(NAME, image, tag)
        script.image(manifest(tag), "miss", 200, *ACCEPT)
    for number in range(99):
        script.page(f"/fresh/{number}", "miss", 200)
    script.page("/stale/1", "miss", 200)
    scene.node.wait_until_stored()
    scene.registry.gone, scene.origin.failing = "/manifests/brief", True
    for number in range(700):
        script.image(manifest(number % 99), "hit", 200, *ACCEPT)
        script.page(f"/fresh/{number % 99}", "hit", 200)
        if number % 20 == 0:
            script.fresh_links()
    for _ in range(200):
        script.image(manifest("brief"), "stale", 200, *ACCEPT)
        script.page("/stale/1", "stale", 200)
    size = {"image": len(image.manifest.data), "page": len(PAGE)}
    scene.until(lambda: _told(scene.node) >= (2000, 1000 * sum(size.values())))
    found = by_outcome(plain(scene.node), f"{ANSWERS}_total", f"{PAGES}_total")
    assert found == {(side, how): n for side in ("image", "page") for how, n in MIX.items()}
    sizes = by_outcome(plain(scene.node), f"{SIZES}_total", f"{PAGE_SIZES}_total")
    assert sizes == {(side, how): n * size[side] for side in size for how, n in MIX.items()}
    told = ratios(scene, "status")
    for what, side in (("images", "image"), ("public", "page")):
        row = told[what]
        assert (row["requests"], row["hits"], row["stale"]) == (1000, 700, 200)
        assert (row["body_bytes"], row["hit_bytes"]) == (1000 * size[side], 700 * size[side])
