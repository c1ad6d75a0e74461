"""A scripted mix of public, private and sensitive requests, and a sibling's bytes, on real nodes.

What `/metrics` says of each class is counted here by whoever asked: to the unit where nothing is
grouped, by whole groups where sensitive things are (requirements S2, decision 23).
"""

from __future__ import annotations

import asyncio
import http.client
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import Setting, toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from skerry.app.telemetry.ratios import hit_ratios
from skerry.budget.core.usage import Meter, total, totals
from tests.app.workers_scene import until
from tests.rig import images, nodes
from tests.rig.nodes import HOST, PASSWORD, USER
from tests.rig.pages import HOST as SITE
from tests.rig.telling import sample_of
from tests.rig.told import HeldRegistry, Origin

CLINIC, PATIENT, TEAM = "clinic.test", "ward/mrs-doe", "team/tide"
PAGE = b"p" * 3001
IMAGES = {"hit": 70, "stale": 20, "miss": 10}
PRIVATE = {"hit": 37, "stale": 23, "miss": 12}
PAGES = {"hit": 45, "stale": 20, "miss": 8}
PATIENTS = 17


class Scene:
    """A node before a public and a private registry and a site; its sibling knows the first."""

    def __init__(self, folder: Path, group_min: int) -> None:
        self.folder = folder
        self.group_min = group_min
        self.public, self.clinic = HeldRegistry(), HeldRegistry()
        self.origin = Origin(PAGE)
        self.image, self.record = images.small(1), images.small(2)
        self.near = images.small(3)
        self.node: Node
        self.sibling: Node

    async def open(self) -> None:
        for each in (self.public, self.clinic, self.origin):
            await each.server.start()
        self.sibling = await self._started("reef")
        url = f"http://127.0.0.1:{self.sibling.registry_port}"
        beside: dict[str, Setting] = {"name": "reef", "url": url, "plain_http": True}
        self.node = await self._started("rock", sibling=[beside])

    async def _started(self, name: str, **more: Setting) -> Node:
        place = self.folder / name
        place.mkdir()
        base = nodes.with_local(
            nodes.settings(self.public.server.url, windows={"fresh*": "1h"}, window="1ms"), place
        )
        registry, upstreams = base["registry"], base["upstream"]
        assert isinstance(registry, dict)
        assert isinstance(upstreams, list)
        registry["companions"] = False
        source = nodes.source(self.clinic.server.url)
        upstreams.append({"name": CLINIC, "private": True, "source": [source]})
        site: dict[str, Setting] = {
            "hosts": [SITE], "origins": [self.origin.server.url], "plain_http": True,
            "route": [{"data_class": "public"}, {"prefix": "/patients/"}],
        }  # fmt: skip
        doors = dict.fromkeys(("registry", "edge", "admin"), "127.0.0.1:0")
        config = place / "skerry.toml"
        config.write_text(
            toml_text({
                **base, **more, "doors": doors, "site": [site],
                "node": {"name": name, "data_dir": str(place / "data")},
                "telemetry": {"sensitive_group_min": self.group_min},
            })
        )  # fmt: skip
        node = Node(load(config, {}, {}))
        await node.start()
        return node

    async def close(self) -> None:
        for node in (self.node, self.sibling):
            await node.stop()
        for each in (self.public, self.clinic, self.origin):
            await each.server.close()

    async def pull(self, path: str, *, node: Node | None = None, times: int = 1) -> bytes:
        """As somebody who may, again and again; what came."""
        port = (node or self.node).registry_port
        client = RegistryClient(f"127.0.0.1:{port}", user=USER, password=PASSWORD)

        def ask() -> bytes:
            for _ in range(times):
                got = client.get(f"/v2/{path}")
                assert got.status == 200, got.text()
            return got.body

        return await asyncio.to_thread(ask)

    async def held_by_the_sibling(self, path: str) -> None:
        """What came is a member of its repository a moment after it was answered."""
        client = RegistryClient(
            f"127.0.0.1:{self.sibling.registry_port}", user=USER, password=PASSWORD
        )
        wish = ("Cache-Control", "only-if-cached")
        async with asyncio.timeout(20):
            while (await asyncio.to_thread(client.get, f"/v2/{path}", wish)).status != 200:
                pass

    async def visit(self, path: str, times: int = 1) -> None:
        link = http.client.HTTPConnection("127.0.0.1", self.node.edge_port, timeout=20)

        def ask() -> None:
            for _ in range(times):
                link.request("GET", path, headers={"Host": SITE, "X-Name": USER})
                got = link.getresponse()
                assert (got.status, got.read()) == (200, PAGE)
            link.close()

        await asyncio.to_thread(ask)

    async def images(self, upstream: HeldRegistry, name: str, wanted: dict[str, int]) -> None:
        """So many hits, stale answers and misses of manifests by tag."""
        repository = name.partition("/")[2]
        image = self.record if upstream is self.clinic else self.image
        tags = [f"fresh-{number}" for number in range(wanted["miss"] - 1)]
        for tag in ("stale", *tags):
            upstream.push(repository, image, tag)
            await self.pull(f"{name}/manifests/{tag}")
        upstream.gone = "/manifests/stale"
        for number in range(wanted["hit"]):
            await self.pull(f"{name}/manifests/{tags[number % len(tags)]}")
        await self.pull(f"{name}/manifests/stale", times=wanted["stale"])

    async def pages(self) -> None:
        for number in range(PAGES["miss"] - 1):
            await self.visit(f"/fresh/{number}")
        await self.visit("/stale/1")
        await until(lambda: sample_of(self.node.metrics, "skerry_edge_storing") == 0)
        self.origin.failing = True
        await self.visit("/stale/1", times=PAGES["stale"])
        self.origin.failing = False
        await self.visit("/fresh/1", times=PAGES["hit"])
        await self.visit("/patients/mrs-doe?name=doe", times=PATIENTS)

    def counted(self, family: str, data_class: str, kind: str = "") -> Counter[str]:
        """By outcome, as they stand in `/metrics`."""
        found: Counter[str] = Counter()
        about = f'class="{data_class}",' + (f'kind="{kind}",' if kind else "")
        for line in self.node.metrics.expose().splitlines():
            if match := re.match(rf'{family}\{{{about}outcome="(\w+)"\}} (\d+)', line):
                found[match[1]] = int(match[2])
        return +found


@pytest.fixture(params=[1, 10], ids=["one by one", "in groups"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path, request.param)
    await made.open()
    yield made
    await made.close()


def sized(counts: dict[str, int], size_bytes: int) -> dict[str, int]:
    return {how: count * size_bytes for how, count in counts.items()}


async def test_each_class_is_counted_for_itself_by_requests_and_by_bytes(scene: Scene) -> None:
    await scene.images(scene.public, f"{HOST}/{TEAM}", IMAGES)
    scene.clinic.push(PATIENT, scene.record, "1")
    await scene.pull(f"{CLINIC}/{PATIENT}/manifests/{scene.record.digest}")
    for each in scene.record.blobs:
        assert await scene.pull(f"{CLINIC}/{PATIENT}/blobs/{each.digest}") == each.data
    by_tag = PRIVATE | {"miss": PRIVATE["miss"] - 1}
    await scene.images(scene.clinic, f"{CLINIC}/{PATIENT}", by_tag)
    await scene.pages()

    answers, sizes = "skerry_registry_answers_total", "skerry_registry_answer_bytes_total"
    requests, lengths = "skerry_edge_requests_total", "skerry_edge_answer_bytes_total"
    manifest, record = len(scene.image.manifest.data), len(scene.record.manifest.data)
    # An answer's bytes are counted as they leave, a moment after it was.
    await until(lambda: scene.counted(lengths, "public") == sized(PAGES, len(PAGE)))
    await until(lambda: scene.counted(sizes, "public", "manifest") == sized(IMAGES, manifest))
    assert scene.counted(answers, "public", "manifest") == IMAGES
    assert scene.counted(requests, "public") == PAGES

    whole, group = {"pass": PATIENTS}, scene.group_min
    private = {how: count // group * group for how, count in PRIVATE.items()}
    patients = {how: count // group * group for how, count in whole.items()}
    # The last body of a group leaves when the group is shown: it is in the next one.
    late = 0 if group == 1 else 1
    bodies = {how: count - late for how, count in private.items()}
    await until(lambda: scene.counted(sizes, "sensitive", "manifest") == sized(bodies, record))
    assert scene.counted(answers, "sensitive", "manifest") == private
    assert scene.counted(requests, "sensitive") == patients
    seen = {how: count - late for how, count in patients.items()}
    await until(lambda: scene.counted(lengths, "sensitive") == sized(seen, len(PAGE)))

    blobs = len(scene.record.blobs) // group * group
    assert scene.counted(answers, "sensitive", "blob") == ({"miss": blobs} if blobs else {})
    told = {each.what: each for each in hit_ratios(scene.node.metrics)}
    private["miss"] += blobs
    for what, counts in (("images", IMAGES), ("private images", private), ("public", PAGES)):
        row = told[what]
        assert (row.requests, row.hits, row.stale, row.collapsed) == (
            sum(counts.values()), counts["hit"], counts["stale"], 0,
        )  # fmt: skip
    assert told["public"].hit_bytes == PAGES["hit"] * len(PAGE)
    assert told["private images"].hit_bytes == bodies["hit"] * record
    assert (told["sensitive"].requests, told["sensitive"].hits) == (patients["pass"], 0)
    _tells_nothing(scene)


def _tells_nothing(scene: Scene) -> None:
    """No label of any series holds a path, a user or a digest of what is sensitive."""
    text = scene.node.metrics.expose()
    values = {value for _, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', text)}
    digests = {each.digest.hex for each in (scene.record, *scene.record.blobs)}
    words = {PATIENT, *PATIENT.split("/"), "patients", "doe", USER, PASSWORD, "fresh-", *digests}
    assert CLINIC in values, "what the settings name may be told"
    assert [(word, value) for word in words for value in values if word in value] == []
    assert not [word for word in (PATIENT, "mrs-doe", USER, *digests) if word in text]


async def test_what_a_sibling_gave_is_counted_apart_from_hits_and_misses(scene: Scene) -> None:
    scene.public.push(TEAM, scene.near, "1")
    name = f"{HOST}/{TEAM}"
    every = [(f"{name}/blobs/{each.digest}", each.data) for each in scene.near.blobs]
    by_digest = f"{name}/manifests/{scene.near.digest}"
    for path in (by_digest, *(path for path, _ in every)):
        await scene.pull(path, node=scene.sibling)
        await scene.held_by_the_sibling(path)
    asked = len(scene.public.server.log.asked)

    for path, data in every:
        assert await scene.pull(path) == data
    for _ in range(3):
        assert await scene.pull(by_digest) == scene.near.manifest.data
    assert len(scene.public.server.log.asked) == asked, "the outside was not asked"

    answers, sizes = "skerry_registry_answers_total", "skerry_registry_answer_bytes_total"
    size, length = sum(len(data) for _, data in every), len(scene.near.manifest.data)
    manifests = {"sibling": length, "hit": 2 * length}
    await until(lambda: scene.counted(sizes, "public", "blob") == {"sibling": size})
    await until(lambda: scene.counted(sizes, "public", "manifest") == manifests)
    assert scene.counted(answers, "public", "blob") == {"sibling": len(every)}
    assert scene.counted(answers, "public", "manifest") == {"sibling": 1, "hit": 2}
    line = 'skerry_upstream_received_bytes_total{{upstream="up.test",source="{}"}}'
    assert sample_of(scene.node.metrics, line.format("reef")) == size + length
    assert sample_of(scene.node.metrics, line.format("origin")) is None
    [row] = [each for each in hit_ratios(scene.node.metrics) if each.what == "images"]
    assert (row.requests, row.hits) == (len(every) + 3, 2)
    assert (row.body_bytes, row.hit_bytes) == (size + 3 * length, 2 * length)
    await scene.node.budget.beat()
    booked = total(totals(scene.node.budget.ledger.hours(0, 1 << 40)).values())
    assert (booked[Meter.SHARED], booked[Meter.MISSES], booked[Meter.HITS]) == (
        len(every) + 1,
        0,
        2,
    )
    assert (booked[Meter.PULLS], booked[Meter.INGRESS_BYTES]) == (0, 0), (
        "nobody sends a bill for it"
    )
