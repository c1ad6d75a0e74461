"""Two nodes in network namespaces with a cable between them: purges, and pages of one at the other.

Only the near node has an origin; what the far one serves comes over the cable.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from skerry.app.drill.processes import Child, NodeProcess
from skerry.app.trust.node_key import ensure_key
from tests.rig.netns import FAR_ADDRESS, NEAR_ADDRESS, Cable
from tests.rig.processes import Rig

HOST = "www.example.org"
FILM = b"a film " * 300_000
HEALED_SECONDS = 1.0
ROUND_TRIP_SECONDS = 0.5
"""What a busy machine may add to a promise."""


@dataclass
class Got:
    status: int
    body: bytes
    cache: str


@dataclass
class Side:
    """One node and the namespace it is in."""

    node: NodeProcess
    inside: Callable[[], AbstractContextManager[None]]

    def start(self) -> None:
        with self.inside():
            self.node.start()

    def get(self, path: str) -> Got:
        request = urllib.request.Request(f"http://{self.node.edge}{path}", headers={"Host": HOST})
        with self.inside():
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    cache = answer.headers.get("Cache-Status") or ""
                    return Got(answer.status, answer.read(), cache)
            except urllib.error.HTTPError as error:
                return Got(error.code, error.read(), error.headers.get("Cache-Status") or "")

    def purge(self, **wanted: str) -> dict[str, object]:
        token = (self.node.folder / "data" / "admin.token").read_text().strip()
        request = urllib.request.Request(
            f"http://{self.node.admin}/api/v1/purge",
            data=json.dumps(wanted).encode(),
            headers={"Authorization": f"Bearer {token}"},
        )
        with self.inside(), urllib.request.urlopen(request, timeout=10) as answer:
            told: dict[str, object] = json.load(answer)
            return told

    def hit(self, path: str) -> None:
        """Waits until the path is stored here: a hit may also be on a body that still grows."""
        with self.inside():
            self.node.wait_until_stored()
        self.node.child.wait_until(lambda: ";hit" in self.get(path).cache.rpartition(",")[2])


@dataclass
class Two:
    cable: Cable
    near: Side
    far: Side


def prepared(folder: Path) -> str:
    """A node's data directory with its key in it; the public key's file."""
    data = folder / "data"
    data.mkdir(parents=True, mode=0o700)
    public = folder / "node.pub"
    public.write_text(ensure_key(data).public_pem)
    return str(public)


def node_of(
    folder: Path, name: str, address: str, other: str, key: str, origin: str
) -> NodeProcess:
    site = {
        "hosts": [HOST],
        "origins": [origin],
        "plain_http": True,
        "connect": "300ms",
        "first_byte": "500ms",
        "route": [{"prefix": "/", "data_class": "public", "fresh": "1h"}],
    }
    sibling = {
        "name": other,
        "url": f"http://{other}:5000",
        "plain_http": True,
        "public_key_file": key,
    }
    doors = {"registry": f"{address}:5000", "edge": f"{address}:8080", "admin": "127.0.0.1:9090"}
    node = NodeProcess(folder, {"site": [site], "sibling": [sibling], "doors": doors}, name=name)
    node.registry, node.edge, node.admin = doors["registry"], doors["edge"], doors["admin"]
    return node


@pytest.fixture
def two(rig: Rig) -> Iterator[Two]:
    near_folder, far_folder, pages = (rig.place(name) for name in ("near", "far", "pages"))
    near_key, far_key = prepared(near_folder), prepared(far_folder)
    for name in ("film", "page"):
        (pages / name).write_bytes(FILM)
    origin = "http://127.0.0.1:8000"
    with Cable() as cable, ExitStack() as ends:
        with cable.near():
            argv = [
                sys.executable,
                "-m",
                "http.server",
                "-b",
                "127.0.0.1",
                "-d",
                str(pages),
                "8000",
            ]
            server = Child(argv, log=near_folder / "origin.log")
        ends.callback(server.stop)
        near = node_of(near_folder, "near", NEAR_ADDRESS, FAR_ADDRESS, far_key, origin)
        far = node_of(far_folder, "far", FAR_ADDRESS, NEAR_ADDRESS, near_key, origin)
        made = Two(cable, Side(near, cable.near), Side(far, cable.far))
        sides = (made.near, made.far)
        for side in sides:
            ends.callback(side.node.stop)
        with ThreadPoolExecutor(len(sides)) as pool:
            list(pool.map(Side.start, sides))
        yield made


def warm(two: Two) -> None:
    """Both nodes hold the film; the far one has it from the near one."""
    for side in (two.near, two.far):
        side.node.child.wait_until(lambda side=side: side.get("/film").body == FILM)
        side.hit("/film")


def confirmed(told: dict[str, object]) -> bool:
    siblings = told["siblings"]
    assert isinstance(siblings, list)
    return bool(siblings[0]["confirmed"])


def gone(side: Side) -> bool:
    """Whether a node has the film no more; that it cannot have it from the origin it says with
    another status once it has tried too often."""
    return side.get("/film").status in (502, 503)


def test_a_node_serves_what_only_its_sibling_holds(two: Two) -> None:
    assert two.near.get("/film").status == 200
    two.near.hit("/film")
    got = two.far.get("/film")
    assert (got.status, got.body) == (200, FILM)
    near, far = got.cache.split(", ")
    assert near.startswith("near;hit;ttl=")
    assert "detail=sibling" in far
    assert far.startswith("far;fwd=uri-miss")
    two.far.hit("/film")
    two.cable.cut()
    assert two.far.get("/film").body == FILM


def test_a_purge_is_in_force_at_the_sibling_when_the_call_returns(two: Two) -> None:
    warm(two)
    began = time.monotonic()
    told = two.near.purge(host=HOST)
    assert time.monotonic() - began < 1.0 + ROUND_TRIP_SECONDS
    assert confirmed(told)
    assert gone(two.far)


def test_a_cut_link_delays_a_purge_until_it_heals_and_no_longer(two: Two) -> None:
    warm(two)
    two.cable.cut()
    began = time.monotonic()
    assert not confirmed(two.near.purge(host=HOST))
    assert time.monotonic() - began < 1.0 + ROUND_TRIP_SECONDS
    assert two.far.get("/film").status == 200  # it cannot know
    time.sleep(4)  # both sides have given up connections by now
    assert two.far.get("/film").status == 200
    two.cable.heal()
    healed = time.monotonic()
    two.far.node.child.wait_until(lambda: gone(two.far), seconds_max=10)
    assert time.monotonic() - healed < HEALED_SECONDS + ROUND_TRIP_SECONDS


def test_a_node_that_was_dead_serves_nothing_that_was_purged_meanwhile(two: Two) -> None:
    warm(two)
    two.far.node.kill()
    assert not confirmed(two.near.purge(url=f"http://{HOST}/film"))
    two.far.start()
    assert gone(two.far)


def test_a_node_that_starts_without_its_sibling_serves_on_and_learns_later(two: Two) -> None:
    warm(two)
    two.far.node.kill()
    assert not confirmed(two.near.purge(host=HOST))
    two.cable.cut()
    began = time.monotonic()
    two.far.start()
    assert time.monotonic() - began < 10
    assert two.far.get("/film").body == FILM
    two.cable.heal()
    two.far.node.child.wait_until(lambda: gone(two.far), seconds_max=10)


def test_a_stranger_is_not_heard_at_the_registry_s_door(two: Two) -> None:
    warm(two)
    for word in ("purges", "object", "body"):
        request = urllib.request.Request(
            f"http://{two.near.node.registry}/.well-known/skerry/sibling/{word}", data=b"{}"
        )
        with two.far.inside(), pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert caught.value.code == 403
    assert two.near.get("/film").status == 200
