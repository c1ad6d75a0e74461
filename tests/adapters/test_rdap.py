"""RDAP over the node's HTTP client: found by the bootstrap, bounded, and never led inside."""

from __future__ import annotations

import json

import pytest

from skerry.adapters.rdap import RdapRegistrars
from skerry.base.clock import ManualClock
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.watch_ports import RegistrarUnavailable
from skerry.upstream.ports import Dial
from skerry.upstream.testing_transport import MemoryTransport, Scripted

BOOTSTRAP = "https://data.iana.org/rdap/dns.json"
SERVICE = "https://rdap.example/org/domain/example.org"
LIST = Scripted(body=json.dumps({"services": [[["org"], ["https://rdap.example/org/"]]]}).encode())
KNOWN = Scripted(
    body=json.dumps(
        {"objectClassName": "domain", "ldhName": "example.org", "status": ["client hold"]}
    ).encode()
)


class Scene:
    def __init__(self, **services: str) -> None:
        self.clock = ManualClock()
        self.transport = MemoryTransport()
        self.failures = ValidationFailures(Registry())
        self.events = Events(self.clock.now)
        self.rdap = RdapRegistrars(
            self.transport,
            dial=Dial(),
            services={"example.org": services["rdap"]} if services else {},
            clock=self.clock,
            events=self.events,
            failures=self.failures,
        )

    async def fails(self) -> RegistrarUnavailable:
        with pytest.raises(RegistrarUnavailable) as caught:
            await self.rdap.ask("example.org")
        return caught.value


async def test_the_service_is_found_by_the_list_which_is_fetched_once_a_day() -> None:
    scene = Scene()
    scene.transport.on(BOOTSTRAP, LIST)
    scene.transport.on(SERVICE, KNOWN)
    for _ in range(3):
        assert (await scene.rdap.ask("example.org")).status == {"client hold"}
    assert len(scene.transport.sent_to("data.iana.org")) == 1
    scene.clock.advance(90_000)
    await scene.rdap.ask("example.org")
    assert len(scene.transport.sent_to("data.iana.org")) == 2
    seen = scene.transport.sent_to("rdap.example")[0]
    assert "application/rdap+json" in seen.headers.joined("accept")
    assert "authorization" not in seen.headers


async def test_a_redirect_to_another_service_is_followed() -> None:
    scene = Scene(rdap="https://rdap.example/org")
    elsewhere = "https://other.example/domain/example.org"
    scene.transport.on(SERVICE, Scripted(302, (("Location", elsewhere),)))
    scene.transport.on(elsewhere, KNOWN)
    assert (await scene.rdap.ask("example.org")).status == {"client hold"}


@pytest.mark.parametrize("location", ["https://169.254.169.254/x", "http://other.example/x"])
async def test_a_redirect_inside_or_to_plain_http_is_refused_and_counted(location: str) -> None:
    scene = Scene(rdap="https://rdap.example/org")
    scene.transport.on(SERVICE, Scripted(302, (("Location", location),)))
    await scene.fails()
    assert scene.failures.statistics()[Cause.REDIRECT_REFUSED] == 1
    assert len(scene.transport.seen) == 1


async def test_a_listed_service_at_an_inside_address_is_refused_a_configured_one_is_not() -> None:
    scene = Scene()
    scene.transport.names["rdap.example"] = "10.0.0.1"
    scene.transport.on(BOOTSTRAP, LIST)
    scene.transport.on(SERVICE, KNOWN)
    await scene.fails()
    assert scene.failures.statistics()[Cause.ADDRESS_REFUSED] == 1
    configured = Scene(rdap="https://rdap.example/org/")
    configured.transport.names["rdap.example"] = "10.0.0.1"
    configured.transport.on(SERVICE, KNOWN)
    assert (await configured.rdap.ask("example.org")).status == {"client hold"}


async def test_a_service_that_wants_to_be_left_alone_is_heard() -> None:
    scene = Scene(rdap="https://rdap.example/org")
    scene.transport.on(SERVICE, Scripted(429, (("Retry-After", "1800"),)))
    assert (await scene.fails()).again_seconds == 1800


@pytest.mark.parametrize(
    "script",
    [
        Scripted(404), Scripted(500), Scripted(body=b"{"), Scripted(body=b"x" * (1 << 20)),
        Scripted(body=KNOWN.body.replace(b"example.org", b"example.net")), Scripted(cut_after=3,
        body=b"abcdef"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_is_an_outage(script: Scripted) -> None:
    scene = Scene(rdap="https://rdap.example/org")
    scene.transport.on(SERVICE, script)
    await scene.fails()
    assert scene.transport.open_exchanges == 0
    assert not any(scene.failures.statistics().values())
