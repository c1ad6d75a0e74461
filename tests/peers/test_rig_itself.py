"""The rig against today's reference mirror: what it breaks is really broken."""

from __future__ import annotations

import pytest

from skerry.app.drill import wan as link
from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import push
from skerry.app.drill.names import NameFault
from tests.rig import faulty, images
from tests.rig.netns import FAR_ADDRESS, Cable
from tests.rig.outage import NotWarm, given
from tests.rig.processes import Rig, Service


@pytest.fixture(scope="module")
def upstream(shared: Rig) -> Service:
    """A registry that holds `team/app:1`."""
    service = shared.registry()
    push(service.client(), "team/app", images.multi_arch(), "1")
    return service


def test_a_link_carries_counts_and_breaks_in_every_way(shared: Rig, upstream: Service) -> None:
    wan = shared.wan(upstream.authority)
    client = RegistryClient(f"127.0.0.1:{wan.port}", timeout_seconds=0.5)
    layer = images.multi_arch().every_blob()[2]
    sound = client.blob("team/app", layer.digest)
    assert (sound.status, sound.sha256) == (200, layer.digest.hex)
    assert wan.statistics().down_bytes > len(layer.data)
    before = wan.statistics().connections

    for mode, expected in (
        (link.REFUSE, "Refused"),
        (link.RESET, "Reset"),
        (link.SILENCE, "timed out"),
        (link.HANG, "timed out"),
        (link.DRIP, "timed out"),
        (link.cut_after(20_000), "Reset"),
    ):
        shared.run(wan.switch(mode))
        got = client.blob("team/app", layer.digest)
        assert not got.whole
        assert expected in got.trouble, mode
    assert wan.statistics().connections == before + 5  # a refused one never arrives

    shared.run(wan.switch(link.status_answer(503, "Gone", "Retry-After: 7")))
    assert client.get("/v2/").status == 503
    shared.run(wan.switch(link.PASS))
    assert client.manifest("team/app", "1").status == 200


def test_a_warming_outlasts_a_short_trouble_and_takes_nothing_else_for_warm(
    shared: Rig, upstream: Service
) -> None:
    wan = shared.wan(upstream.authority)
    client, whole = RegistryClient(f"127.0.0.1:{wan.port}"), images.multi_arch().manifest.data
    seen: list[int] = []

    def pull() -> Got:
        if len(seen) == 3:
            shared.run(wan.switch(link.PASS))
        got = client.manifest("team/app", "1")
        seen.append(got.status)
        return got

    shared.run(wan.switch(link.REFUSE))
    given(pull, whole)
    assert seen == [0, 0, 0, 200]
    with pytest.raises(NotWarm, match="other bytes"):
        given(pull, whole[1:])
    shared.run(wan.switch(link.REFUSE))
    with pytest.raises(NotWarm, match="Refused"):
        given(pull, whole, seconds_max=0)


def test_the_liar_lies_as_told_and_otherwise_tells_the_truth(
    shared: Rig, upstream: Service
) -> None:
    tokens = shared.tokens()
    proxy = shared.faulty(upstream.authority, tokens=tokens)
    client = RegistryClient(proxy.server.authority)
    refused = client.manifest("team/app", "1")
    assert refused.status == 401
    assert (refused.headers.get("WWW-Authenticate") or "").startswith("Bearer realm=")
    proxy.tokens = None

    layer = images.multi_arch().every_blob()[2]
    assert client.blob("team/app", layer.digest).sha256 == layer.digest.hex
    for rule in (faulty.flip_bit(), faulty.other_bytes(b"x" * 10), faulty.gzip_coded()):
        proxy.use(rule)
        got = client.blob("team/app", layer.digest)
        assert got.whole
        assert got.sha256 != layer.digest.hex
    for rule in (faulty.truncate(), faulty.wrong_length(5), faulty.silent(path="/never")):
        proxy.use(rule)
        got = client.blob("team/app", layer.digest)
        assert got.whole is (rule.pattern == "/never")
    proxy.use(faulty.status(429, retry_after=30), faulty.html())
    assert client.manifest("team/app", "1").headers.get("Retry-After") == "30"
    accepts = [asked.values("Accept") for asked in proxy.log if asked.values("Accept")]
    assert len(accepts[0]) == 4  # repeated field lines stayed apart


def test_the_reference_mirror_serves_stale_tags_through_this_rig(
    shared: Rig, upstream: Service
) -> None:
    wan = shared.wan(upstream.authority)
    mirror = shared.registry(proxy_of=f"http://127.0.0.1:{wan.port}")
    client = mirror.client()
    assert client.manifest("team/app", "1").sha256 == images.multi_arch().digest.hex
    shared.run(wan.switch(link.REFUSE))
    assert client.manifest("team/app", "1").status == 200
    assert client.manifest("team/app", "never").status == 404


def test_drayage_runs_in_this_rig(shared: Rig, upstream: Service) -> None:
    mirror = shared.drayage(upstream.url)
    got = mirror.client().manifest(f"{mirror.prefix}team/app", "1")
    assert got.sha256 == images.multi_arch().digest.hex


def test_every_shape_of_image_can_be_pushed_upstream(shared: Rig, upstream: Service) -> None:
    client = upstream.client()
    subject = images.small()
    for number, shape in enumerate(
        (
            images.docker_list(),
            images.nested(),
            images.empty_layer(),
            images.signature(subject),
            images.cosign_signature(subject),
            images.small(algorithm="sha512"),
            images.big(3 << 20),
        )
    ):
        push(client, "team/shapes", shape, f"s{number}")
        assert client.manifest("team/shapes", f"s{number}").sha256 == shape.digest.hex
        for blob in shape.every_blob():
            assert client.blob("team/shapes", blob.digest).body == blob.data


def test_names_vanish_and_come_back(shared: Rig) -> None:
    import dns.message
    import dns.query
    import dns.rcode

    server = shared.names()
    query = dns.message.make_query("up.test", "A")

    def ask() -> dns.message.Message:
        return dns.query.udp(query, "127.0.0.1", port=server.port, timeout=0.3)

    assert "127.0.0.1" in ask().answer[0].to_text()
    server.fault = NameFault.NXDOMAIN
    assert ask().rcode() == dns.rcode.NXDOMAIN
    server.fault = NameFault.SERVFAIL
    assert ask().rcode() == dns.rcode.SERVFAIL
    server.fault = NameFault.HANG
    with pytest.raises(dns.exception.Timeout):
        ask()


def test_packets_vanish_on_a_cut_cable_and_are_counted(rig: Rig) -> None:
    with Cable() as cable:
        with cable.far():
            upstream = rig.registry(port=5000, address=FAR_ADDRESS)
        with cable.near():
            client = RegistryClient(f"{FAR_ADDRESS}:5000", timeout_seconds=0.3)
            assert client.get("/v2/").status == 200
            seen = cable.packets()
            assert seen > 0
            cable.cut()
            assert client.get("/v2/").trouble == "TimeoutError('timed out')"
            assert cable.packets() > seen  # the SYN came as far as the filter
            cable.heal()
            assert client.get("/v2/").status == 200
        assert upstream.child.alive
