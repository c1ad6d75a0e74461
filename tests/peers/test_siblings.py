"""Nodes of one site: what one of them holds the others have, and no request ever runs in circles.

Between the nodes stand recording proxies, so that every request from node to node is counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from skerry.app.drill import wan as link
from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import Image, push
from skerry.app.drill.processes import NodeProcess, Setting
from skerry.app.drill.wan import Wan
from tests.rig import faulty, images, nodes, spec
from tests.rig.faulty import Faulty
from tests.rig.nodes import HOST
from tests.rig.processes import Rig

TEAM = "team/app"
NAME = f"{HOST}/{TEAM}"
IMAGE = images.multi_arch(60)
CHILD = IMAGE.children[0]
NEAR = images.multi_arch(64)
BIG = images.big(3 << 20, seed=63)
LIED = images.multi_arch(66)


@dataclass
class Site:
    """Nodes that know each other, one link to the origin, and what went over each."""

    rig: Rig
    origin: Faulty
    wan: Wan
    nodes: dict[str, NodeProcess]
    roads: dict[str, Faulty]
    """By the node they lead to."""
    heals: int = 0

    def client(self, node: str) -> RegistryClient:
        return RegistryClient(self.nodes[node].registry)

    def cut(self) -> None:
        self.rig.run(self.wan.switch(link.REFUSE))

    def heal(self) -> None:
        """Everything works again, and every node has seen that."""
        self.rig.run(self.wan.switch(link.PASS))
        for name, road in self.roads.items():
            road.use()
            self.nodes[name].child.wait_until(partial(self._reaches, name))
        self.forget_traffic()

    def _reaches(self, node: str) -> bool:
        self.heals += 1  # a name that nobody has asked for: absence is remembered for a while
        return self.client(node).manifest(NAME, f"healed-{self.heals}").status == 404

    def forget_traffic(self) -> None:
        for road in (*self.roads.values(), self.origin):
            road.log.clear()

    def asked(self, node: str) -> list[str]:
        """Paths that other nodes asked of a node."""
        return [asked.path for asked in self.roads[node].log]

    def events(self, node: str, kind: str) -> list[dict[str, str]]:
        """What a node has logged of one kind."""
        lines = self.nodes[node].log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in found if event.get("kind") == kind]


def build(rig: Rig) -> Site:
    """Three nodes, each with the two others beside it."""
    registry = rig.registry()
    for image, tag in ((IMAGE, "1"), (NEAR, "near"), (BIG, "big"), (LIED, "lied")):
        push(registry.client(), TEAM, image, tag)
    origin = rig.faulty(registry.authority)
    wan = rig.wan(origin.server.authority)
    roads = {name: rig.faulty("127.0.0.1:1") for name in "abc"}
    made: dict[str, NodeProcess] = {}
    for name in roads:
        beside: list[Setting] = [
            {"name": other, "url": road.server.url, "plain_http": True}
            for other, road in roads.items()
            if other != name
        ]
        settings = nodes.settings(f"http://127.0.0.1:{wan.port}")
        made[name] = rig.node({**settings, "sibling": beside}, name=name)
        roads[name].lead_to(made[name].registry)
    return Site(rig, origin, wan, made, roads)


def pull(client: RegistryClient, image: Image, reference: object) -> None:
    """The whole image, every byte compared."""
    _is(client.manifest(NAME, reference), image.manifest.data)
    for child in image.children:
        _is(client.manifest(NAME, child.digest), child.manifest.data)
    for blob in image.every_blob():
        _is(client.blob(NAME, blob.digest), blob.data)


def _is(got: Got, data: bytes) -> None:
    assert (got.status, got.body == data) == (200, True), f"{got.status} {got.text()} {got.trouble}"


@pytest.fixture(scope="module")
def abc(shared: Rig) -> Site:
    return build(shared)


@pytest.fixture
def site(abc: Site) -> Iterator[Site]:
    """Three nodes that are siblings, all links whole, nothing counted yet."""
    yield abc
    abc.heal()


def skopeo_copy(site: Site, node: str, reference: str) -> Path:
    """A copy of an image by the real client; its folder."""
    place = site.rig.place("copy")
    source = f"docker://{site.nodes[node].registry}/{NAME}{reference}"
    copied = site.rig.skopeo(
        "copy", "-q", "--src-tls-verify=false", "--override-arch=amd64", source, f"dir:{place}"
    )
    assert copied.returncode == 0, copied.stderr
    return place


def test_a_node_cold_starts_what_only_its_sibling_holds_with_the_origin_gone(site: Site) -> None:
    pull(site.client("a"), IMAGE, "1")
    site.nodes["a"].wait_until_stored()
    site.cut()

    pull(site.client("b"), IMAGE, IMAGE.digest)
    for blob in CHILD.blobs:
        assert site.client("c").get(f"/v2/{NAME}/blobs/{blob.digest}", method="HEAD").status == 200
    copied = skopeo_copy(site, "c", f"@{IMAGE.digest}")
    assert (copied / "manifest.json").read_bytes() == CHILD.manifest.data
    for blob in CHILD.blobs:
        assert (copied / blob.digest.hex).read_bytes() == blob.data

    site.roads["a"].use(faulty.status(503))  # what came from the sibling is held now, and survives
    site.nodes["b"].restart()
    assert skopeo_copy(site, "b", f"@{CHILD.digest}")
    pull(site.client("b"), IMAGE, IMAGE.digest)


def test_siblings_are_asked_before_anybody_goes_out(site: Site) -> None:
    """Only what no digest names is asked of the origin: tags, and lists of what belongs to them."""
    for image, tag in ((NEAR, "near"), (BIG, "big")):
        pull(site.client("a"), image, tag)
    site.nodes["a"].wait_until_stored()
    site.rig.settle(site.wan)
    site.forget_traffic()

    for image in (NEAR, BIG):
        pull(site.client("b"), image, image.digest)
    pull(site.client("c"), NEAR, "near")
    for name in "bc":
        site.nodes[name].wait_until_stored()
    site.rig.settle(site.wan)
    held = {str(i.digest) for i in (NEAR, BIG, *NEAR.children)}
    held |= {str(blob.digest) for image in (NEAR, BIG) for blob in image.every_blob()}
    asked = [asked.path for asked in site.origin.log if "/referrers/" not in asked.path]
    assert not held & {path.rpartition("/")[2] for path in asked}
    assert f"/v2/{TEAM}/manifests/near" in asked
    assert {path.rpartition("/")[2] for path in site.asked("a")} >= held


def test_a_miss_asks_each_sibling_once_and_nobody_passes_it_on(site: Site) -> None:
    site.cut()
    unknown = (f"blobs/{spec.ABSENT}", f"manifests/{spec.ABSENT}", "manifests/never")
    for path in unknown:
        for method in ("GET", "HEAD"):
            site.forget_traffic()
            got = site.client("a").get(f"/v2/{NAME}/{path}", method=method)
            assert got.status == 503, got.text()
            assert site.asked("a") == []
            for name in "bc":
                assert len(site.asked(name)) <= 1, site.asked(name)
                for asked in site.roads[name].log:
                    assert "only-if-cached" in asked.value("Cache-Control")
                    assert asked.value("CDN-Loop").startswith("skerry;id=a")
    opened = {event["subject"] for event in site.events("a", "breaker.opened")}
    assert opened <= {f"{HOST}/origin"}, "a sibling that has it not is in no trouble"


def test_a_lying_sibling_is_marked_and_the_origin_is_used(site: Site) -> None:
    """For the same content it is asked last: the next try has it from the origin."""
    pull(site.client("a"), LIED, "lied")
    site.nodes["a"].wait_until_stored()
    site.nodes["c"].restart()
    liar, client = site.roads["a"], site.client("c")
    liar.use(faulty.flip_bit(path=faulty.ANY, at_bytes=-2))
    site.roads["b"].use(faulty.status(504))

    child = LIED.children[0]
    for reference, data in (
        *((f"manifests/{image.digest}", image.manifest.data) for image in (LIED, child)),
        *((f"blobs/{blob.digest}", blob.data) for blob in child.blobs),
    ):
        path = f"/v2/{NAME}/{reference}"
        for _ in range(10):  # one that comes while the lie is being thrown away is cut with it
            got = client.get(path)
            if got.body == data:
                break
            assert got.status >= 500 or not got.whole, "never wrong bytes that look whole"
        assert got.body == data, got.text()
        assert site.asked("a").count(path) <= 1, "who lied about a content is asked for it last"
    marked = {event["subject"] for event in site.events("c", "source.wrong_content")}
    assert marked == {f"{HOST}/a"}

    site.nodes["c"].wait_until_stored()
    site.nodes["c"].restart()
    site.cut()
    for blob in child.blobs:
        _is(client.blob(NAME, blob.digest), blob.data)


def test_a_dead_sibling_costs_a_moment_and_not_the_pull(site: Site) -> None:
    pull(site.client("a"), IMAGE, "1")
    site.nodes["a"].wait_until_stored()
    site.cut()
    road = site.rig.wan(site.nodes["b"].registry)
    dead: Setting = {"name": "dead", "url": f"http://127.0.0.1:{road.port}", "plain_http": True}
    well: Setting = {"name": "a", "url": site.roads["a"].server.url, "plain_http": True}
    settings = nodes.settings(f"http://127.0.0.1:{site.wan.port}")
    for mode in (link.REFUSE, link.HANG, link.status_answer(500, "Broken")):
        site.rig.run(road.switch(mode))
        node = site.rig.node({**settings, "sibling": [dead, well]}, name=mode.fault)
        pull(RegistryClient(node.registry), CHILD, CHILD.digest)
        node.kill()


# loops


def looped(*roads: Faulty, **sources: Setting) -> dict[str, Setting]:
    """Settings of a node whose regions are where these roads lead."""
    regions = [
        {**nodes.source(road.server.url, kind="region", prefix=HOST), "name": f"region-{number}"}
        for number, road in enumerate(roads)
    ]
    return {
        **nodes.settings(""),
        "upstream": [{"name": HOST, "source": [*regions, *sources.values()]}],
    }


@dataclass(frozen=True)
class Circle:
    """A node that is its own region, and the road on which it meets itself."""

    client: RegistryClient
    node: NodeProcess
    road: Faulty


def circle(rig: Rig, **sources: Setting) -> Circle:
    road = rig.faulty("127.0.0.1:1")
    node = rig.node(looped(road, **sources), start=False)
    road.lead_to(node.registry)
    node.start()
    return Circle(RegistryClient(node.registry), node, road)


def test_a_node_that_is_its_own_region_is_told_508_after_one_hop(rig: Rig) -> None:
    own = circle(rig)
    for path in ("manifests/1", f"manifests/{IMAGE.digest}", f"blobs/{CHILD.blobs[1].digest}"):
        own.road.log.clear()
        got = own.client.get(f"/v2/{NAME}/{path}")
        assert got.status == 503, got.text()
        assert "508" in got.text(), "the client is told why"
        assert len(own.road.log) == 1
    loop = ("CDN-Loop", own.road.log[0].value("CDN-Loop"))
    again = own.client.get(f"/v2/{NAME}/manifests/1", loop)
    spec.is_refused(again, 508)
    assert "remove it" in again.text(), "and whoever runs it what to do"
    own.road.log.clear()
    assert own.client.manifest(NAME, "other").status == 503
    assert len(own.road.log) == 0, "by now the region is left alone"


def test_a_node_that_is_its_own_region_still_has_its_origin(rig: Rig) -> None:
    registry = rig.registry()
    push(registry.client(), TEAM, IMAGE, "1")
    own = circle(rig, origin=nodes.source(registry.url))
    pull(own.client, IMAGE, "1")


def test_two_nodes_that_are_each_others_region_end_in_bounded_time(rig: Rig) -> None:
    roads = [rig.faulty("127.0.0.1:1") for _ in "ab"]
    made = [rig.node(looped(road), start=False) for road in roads]
    for node, road in zip(made, reversed(roads), strict=True):
        road.lead_to(node.registry)
    for node in made:
        node.start()
    client = RegistryClient(made[0].registry)
    for path in ("manifests/1", f"manifests/{IMAGE.digest}", f"blobs/{CHILD.blobs[1].digest}"):
        for road in roads:
            road.log.clear()
        got = client.get(f"/v2/{NAME}/{path}")
        assert got.status == 503, got.text()
        assert max(len(road.log) for road in roads) <= 1, path
