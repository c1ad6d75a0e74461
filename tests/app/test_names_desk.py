"""What the admin door says and does about names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from skerry.adapters.resolver import LastGood, NameResolver
from skerry.aio.tasks import Nursery
from skerry.app.names.desk import NamesDesk
from skerry.app.names.room import needed_hosts, plan_of
from skerry.app.settings.load import load
from skerry.base.clock import ManualClock
from skerry.base.errors import BadInput
from skerry.telemetry.events import Events
from skerry.trust.pins import KeptPins
from skerry.trust.ports import NamePin
from skerry.trust.testing_names import MemoryPinBook
from skerry.upstream.ports import TransportError
from skerry.wire.message import Answer, Request

HOST = "registry.example"


@pytest.fixture
async def nursery() -> AsyncIterator[Nursery]:
    made = Nursery(on_crash=print)
    yield made
    await made.close()


def rooms(nursery: Nursery) -> tuple[NamesDesk, NameResolver, KeptPins, ManualClock]:
    """A resolver whose one name server is not there."""
    clock = ManualClock()
    pins = KeptPins(MemoryPinBook(), clock=clock, events=Events(clock.now))
    resolver = NameResolver(
        clock=clock,
        nursery=nursery,
        servers=["127.0.0.1:1"],
        last_good=LastGood(pins, frozenset({HOST}), 1000),
    )
    return NamesDesk(resolver, pins), resolver, pins, clock


def said(answer: Answer) -> dict[str, object]:
    assert isinstance(answer.body, bytes)
    found: dict[str, object] = msgspec.json.decode(answer.body)
    return found


async def test_a_name_without_an_answer_is_where_it_was_last_for_a_time(nursery: Nursery) -> None:
    _, resolver, pins, clock = rooms(nursery)
    with pytest.raises(TransportError):
        await resolver.addresses(HOST, within_seconds=0.5)
    await pins.keep(NamePin(HOST, ("192.0.2.1",), clock.now()))
    assert await resolver.addresses(HOST, within_seconds=0.5) == ("192.0.2.1",)
    assert resolver.statistics().last_good == 1
    clock.advance(1001)
    with pytest.raises(TransportError):
        await resolver.addresses(HOST, within_seconds=0.5)


async def test_a_held_name_is_asked_of_nobody_and_stays_where_it_was_however_long(
    nursery: Nursery,
) -> None:
    desk, resolver, pins, clock = rooms(nursery)
    await pins.keep(NamePin(HOST, ("192.0.2.1",), clock.now()))
    await pins.hold("example", "its NS changed")
    clock.advance(10_000)
    assert await resolver.addresses(HOST, within_seconds=0.5) == ("192.0.2.1",)
    assert resolver.lookup.loaded is None
    with pytest.raises(TransportError, match="held: its NS changed"):
        await resolver.addresses("other.example", within_seconds=0.5)
    report = said(await desk.routes["/api/v1/names"]["GET"](Request("GET", "/api/v1/names")))
    assert report["holds"] == [
        {"name": "example", "reason": "its NS changed", "at": 1_700_000_000.0}
    ]


async def test_a_look_says_why_there_is_no_answer(nursery: Nursery) -> None:
    desk, _, _, _ = rooms(nursery)
    look = desk.routes["/api/v1/names/look"]["GET"]
    found = said(await look(Request("GET", "/", query=f"name={HOST}")))
    assert (found["rcode"], found["verdict"], found["records"]) == ("SERVFAIL", "", [])
    assert found["why"]
    for query in ("name=", "name=a..b", f"name={HOST}&type=AXFR"):
        with pytest.raises(BadInput):
            await look(Request("GET", "/", query=query))


def test_what_the_settings_name_may_be_inside_and_is_remembered(tmp_path: Path) -> None:
    config = tmp_path / "skerry.toml"
    config.write_text(
        '[[upstream]]\nname = "a.example"\n[[upstream.source]]\nurl = "https://r.example:5000"\n'
        'realms = ["https://auth.example/token"]\nredirect_hosts = ["cdn.example"]\n'
        '[[site]]\nhosts = ["*.shop.example"]\norigins = ["https://origin.example", '
        '"https://192.0.2.1"]\n[dns]\nprivate_names = ["lan"]\ndnssec = "validate"\n'
    )
    settings = load(config, {}, {})
    needed = {"r.example", "auth.example", "origin.example"}
    assert set(needed_hosts(settings)) == needed
    plan = plan_of(settings)
    assert set(plan.hosts) == needed | {"cdn.example", "shop.example"}
    assert (plan.domains, plan.unsigned, plan.anchors) == (("lan",), ("lan",), "")
    assert not plan.opportune
