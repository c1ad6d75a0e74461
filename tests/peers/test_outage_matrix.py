"""Every way to be cut off, for everything that may be asked, before and after a crash (T25-T33)."""

from __future__ import annotations

import json

import pytest

from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.processes import NodeProcess, wait_until_still
from tests.rig import nodes, outage
from tests.rig.netns import FAR_ADDRESS, Cable
from tests.rig.nodes import HOST
from tests.rig.outage import (
    FAULTS,
    FRESH,
    HALF,
    NOT_FOUND,
    STALE,
    UNAVAILABLE,
    UNSEEN,
    WHOLE,
    Fault,
    Road,
)
from tests.rig.processes import Rig, Service

HANG_GUARD_SECONDS = 10.0
"""Not a bound of the promise: the benches measure. An answer that never comes ends here."""
MISSES = 5
"""Names nobody has seen, asked one after the other: enough to open a breaker."""


@pytest.fixture(scope="module")
def registry(shared: Rig) -> Service:
    """A real registry with the images of the matrix."""
    service = shared.registry()
    outage.load(service)
    return service


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_what_is_here_is_served_and_what_is_not_fails_clearly(
    rig: Rig, registry: Service, fault: Fault
) -> None:
    road = Road(rig, registry, tls=fault.tls, tokens=fault.tokens)
    node = road.node()
    client = RegistryClient(node.registry, timeout_seconds=HANG_GUARD_SECONDS)
    outage.warm(client)
    road.settle()
    node.wait_until_stored()

    fault.cut(road)
    before = road.connections()
    _cached_content_is_whole(client, FRESH)
    assert road.connections() == before, "a fresh answer went upstream"
    _everything_goes_on(client, fault, "running")

    node.restart()
    before = road.connections()
    _cached_content_is_whole(client, FRESH)
    assert road.connections() == before, "a fresh answer went upstream after a restart"
    _everything_goes_on(client, fault, "restarted")


def test_a_real_syn_black_hole_holds_nothing_that_is_here(rig: Rig, registry: Service) -> None:
    """Packets vanish, on an idle connection too; today's reference mirror hangs for minutes."""
    fault = Fault("black hole", lambda road: None)
    with Cable() as cable:
        with cable.far():
            upstream = rig.registry(address=FAR_ADDRESS)
            outage.load(upstream)
        with cable.near():
            settings = nodes.settings(upstream.url, window="1ms", windows={FRESH: "1h"})
            node: NodeProcess = rig.node(settings)
            client = RegistryClient(node.registry, timeout_seconds=HANG_GUARD_SECONDS)
            outage.warm(client)
            wait_until_still(cable.packets)
            node.wait_until_stored()
            cable.cut()
            for phase in ("running", "restarted"):
                before = cable.openings()
                _cached_content_is_whole(client, FRESH)
                assert cable.openings() == before, f"a fresh answer went upstream: {phase}"
                _everything_goes_on(client, fault, phase)
                node.restart()
            cable.heal()
            assert client.manifest(f"{HOST}/{WHOLE}", STALE).status == 200


def _everything_goes_on(client: RegistryClient, fault: Fault, phase: str) -> None:
    stale = _cached_content_is_whole(client, STALE)
    marks = f"{stale.headers.joined('Warning')} {stale.headers.joined('Cache-Status')}"
    assert "110" in marks, f"nothing says that the answer is stale: {marks}"
    _half_an_image_is_half_served(client, fault)
    for number in range(MISSES):
        got = client.manifest(f"{HOST}/team/never", f"{phase}-{number}")
        # A liar that changes bytes still says truly that there is no such name.
        _fails_clearly(got, fault, also=NOT_FOUND if fault.lies else frozenset())
    _an_unseen_image_is_not_made_up(client, fault)
    _cached_content_is_whole(client, STALE)


def _cached_content_is_whole(client: RegistryClient, tag: str) -> Got:
    """By tag and by digest, GET and HEAD, byte for byte. Returns the answer by tag."""
    name, image = f"{HOST}/{WHOLE}", outage.cargo()
    by_tag = client.manifest(name, tag)
    assert (by_tag.status, by_tag.body) == (200, image.manifest.data), by_tag
    head = client.manifest(name, tag, method="HEAD")
    assert (head.status, head.headers.get("Docker-Content-Digest")) == (200, str(image.digest))
    child = image.children[0]
    for digest, data in ((image.digest, image.manifest.data), (child.digest, child.manifest.data)):
        got = client.manifest(name, digest)
        assert (got.status, got.body) == (200, data), got
    for blob in child.blobs:
        got = client.blob(name, blob.digest)
        assert (got.status, got.body) == (200, blob.data), got
    return by_tag


def _half_an_image_is_half_served(client: RegistryClient, fault: Fault) -> None:
    name, image = f"{HOST}/{HALF}", outage.half()
    assert client.manifest(name, image.digest).body == image.manifest.data
    config, *layers = image.blobs
    assert client.blob(name, config.digest).body == config.data
    for layer in layers:
        got = client.blob(name, layer.digest)
        if fault.lies and got.status in (0, 200, 502):
            # The liar may also tell the truth about this one; what is whole must be right.
            assert not got.whole or got.body == layer.data or got.status == 502, got
        else:
            _fails_clearly(got, fault)


def _an_unseen_image_is_not_made_up(client: RegistryClient, fault: Fault) -> None:
    got = client.manifest(f"{HOST}/{UNSEEN}", FRESH)
    if got.status == 200:
        assert fault.lies
        assert got.body == outage.unseen().manifest.data
    else:
        _fails_clearly(got, fault)


def _fails_clearly(got: Got, fault: Fault, *, also: frozenset[int] = frozenset()) -> None:
    assert got.status in fault.never | also, f"{got.status} {got.text()} {got.trouble}"
    error = json.loads(got.body)["errors"][0]
    assert error["code"], error
    if got.status in UNAVAILABLE:
        assert int(got.headers.get("Retry-After") or 0) > 0
        assert HOST in error["message"], error
