"""Questions and answers over a world of zones in memory: fresh, stale, bogus, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.rcode
import dns.rdatatype
import pytest

from skerry.aio.tasks import Nursery
from skerry.base.clock import ManualClock
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core.names.cache import Policy
from skerry.trust.core.names.rebinding import Rebinding, names_of
from skerry.trust.core.names.values import Ask, Ede, Kind, Message, Security
from skerry.trust.ports import NoAnswer
from skerry.trust.resolution import Given, Resolution
from tests.trust.names_world import EXPIRATION, NOW, TTL, World, name, standard

WWW = "www.example.test."


@dataclass
class Servers:
    """`NameServers` over a world. `dead`: nobody answers; `hang`: nor says so; `servfail`."""

    world: World
    dead: bool = False
    servfail: bool = False
    hang: asyncio.Event | None = None
    called: tuple[str, ...] = ("one",)
    asked: list[Ask] = field(default_factory=list)

    async def ask(self, ask: Ask, *, signatures: bool, within_seconds: float) -> Message:
        self.asked.append(ask)
        if self.hang is not None:
            await self.hang.wait()
        if self.dead:
            raise NoAnswer("no DNS answer")
        if self.servfail:
            raise NoAnswer("every DNS server failed (SERVFAIL)", failed=True)
        reply = self.world.reply(ask)
        if reply is None:
            raise NoAnswer("no DNS answer")
        if not signatures:
            kinds = (Kind.RRSIG, Kind.NSEC)
            reply.answer = [each for each in reply.answer if each.rdtype not in kinds]
            reply.authority = [each for each in reply.authority if each.rdtype not in kinds]
        return reply

    def names(self) -> tuple[str, ...]:
        return self.called


@dataclass
class Scene:
    servers: Servers
    clock: ManualClock
    resolution: Resolution
    failures: ValidationFailures
    events: Events
    nursery: Nursery

    async def ask(
        self, text: str = WWW, kind: str = "A", *, signatures: bool = False, wait: float = 0.02
    ) -> Given:
        return await self.resolution.resolve(
            name(text),
            dns.rdatatype.from_text(kind),
            within_seconds=5,
            stale_after_seconds=wait,
            signatures=signatures,
        )

    def counted(self) -> dict[Cause, int]:
        return {cause: n for cause, n in self.failures.statistics().items() if n}


Make = Callable[..., Scene]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    crashes: list[str] = []
    nursery = Nursery(on_crash=lambda task, error: crashes.append(f"{task}: {error!r}"))

    def made(
        world: World | None = None,
        *,
        opportune: bool = False,
        checked: bool = True,
        stale_seconds: float = 3 * 86400.0,
    ) -> Scene:
        clock, metrics = ManualClock(float(NOW)), Registry()
        servers = Servers(world or standard())
        failures, events = ValidationFailures(metrics), Events(clock.now)
        inside = {ip_address("192.0.2.3"), ip_address("10.0.0.1")}
        resolution = Resolution(
            servers,
            clock=clock,
            nursery=nursery,
            events=events,
            failures=failures,
            rebinding=Rebinding(
                lambda each: each in inside, names_of(["registry.lan"]), names_of(["home.test"])
            ),
            anchors=servers.world.anchors if checked else None,
            opportune=opportune,
            policy=Policy(stale_seconds),
        )
        return Scene(servers, clock, resolution, failures, events, nursery)

    yield made
    await nursery.close()
    assert crashes == []


def _addresses(given: Given) -> list[str]:
    assert given.answer is not None
    return [str(r) for each in given.answer.answer if each.rdtype == Kind.A for r in each]


async def test_a_secure_answer_is_kept_for_its_time_and_says_that_it_is_authentic(
    make: Make,
) -> None:
    scene = make()
    first = await scene.ask()
    assert (first.authentic, first.ttl_seconds, _addresses(first)) == (True, TTL, ["192.0.2.1"])
    asked = len(scene.servers.asked)
    scene.clock.advance(100)
    again = await scene.ask()
    assert (again.ttl_seconds, len(scene.servers.asked)) == (TTL - 100, asked)
    assert scene.counted() == {}


async def test_a_dead_authority_gives_the_last_answer_with_ede_3_and_is_tried_each_30_s(
    make: Make,
) -> None:
    scene = make()
    await scene.ask()
    scene.clock.advance(TTL + 1)
    scene.servers.dead = True
    scene.servers.asked.clear()
    given = await scene.ask()
    assert given.stale
    assert _addresses(given) == ["192.0.2.1"]
    assert given.ttl_seconds == 30
    assert given.why is not None
    assert given.why.ede is Ede.STALE_ANSWER
    assert scene.servers.asked == [Ask(name(WWW), Kind.A)]
    scene.clock.advance(29)
    assert (await scene.ask()).stale
    assert len(scene.servers.asked) == 1
    scene.clock.advance(2)
    assert (await scene.ask()).stale
    assert len(scene.servers.asked) == 2
    scene.servers.dead = False
    scene.clock.advance(31)
    assert not (await scene.ask(wait=5)).stale
    assert scene.counted() == {}, "an outage is no attack"


async def test_a_hanging_authority_costs_the_client_timer_once_and_its_late_answer_is_kept(
    make: Make,
) -> None:
    scene = make()
    await scene.ask()
    scene.clock.advance(TTL + 1)
    scene.servers.hang = asyncio.Event()
    assert (await scene.ask()).stale
    scene.servers.hang.set()
    await scene.nursery.idle()
    assert not (await scene.ask()).stale


async def test_an_old_nxdomain_has_ede_19(make: Make) -> None:
    scene = make()
    first = await scene.ask("no.example.test.")
    assert first.rcode == dns.rcode.NXDOMAIN
    scene.clock.advance(TTL + 1)
    scene.servers.dead = True
    given = await scene.ask("no.example.test.")
    assert (given.rcode, given.stale) == (dns.rcode.NXDOMAIN, True)
    assert given.why is not None
    assert given.why.ede is Ede.STALE_NXDOMAIN


async def test_an_old_answer_outlives_its_signatures_only_for_those_who_do_not_check_them(
    make: Make,
) -> None:
    scene = make()
    await scene.ask()
    scene.servers.dead = True
    scene.clock.advance(EXPIRATION - NOW - 10)
    given = await scene.ask(signatures=True)
    assert (given.stale, given.ttl_seconds, given.authentic) == (True, 10, True)
    scene.clock.advance(11)
    assert (await scene.ask(signatures=True)).rcode == dns.rcode.SERVFAIL
    given = await scene.ask()
    assert (given.stale, given.authentic) == (True, False)


async def test_an_old_answer_is_not_kept_for_ever(make: Make) -> None:
    scene = make(stale_seconds=1000)
    await scene.ask()
    scene.servers.dead = True
    scene.clock.advance(TTL + 999)
    assert (await scene.ask()).stale
    scene.clock.advance(2)
    given = await scene.ask()
    assert (given.rcode, given.stale) == (dns.rcode.SERVFAIL, False)
    assert given.why is not None
    assert given.why.ede is Ede.NO_REACHABLE_AUTHORITY


def _forge(ask: Ask, reply: Message) -> None:
    if ask == Ask(name(WWW), Kind.A):
        reply.answer[0] = dns.rrset.from_text(name(WWW), TTL, "IN", "A", "203.0.113.66")


async def test_a_forged_answer_is_no_answer_is_not_kept_and_is_not_papered_over(
    make: Make,
) -> None:
    scene = make()
    await scene.ask()
    scene.clock.advance(TTL + 1)
    scene.servers.world.change = _forge
    for _ in range(2):
        given = await scene.ask(wait=5)
        assert (given.rcode, given.stale, given.authentic) == (dns.rcode.SERVFAIL, False, False)
        assert given.why is not None
        assert given.why.ede is Ede.BOGUS
    assert scene.counted() == {Cause.DNS_BOGUS: 1}
    assert len(scene.events.recent("dns.bogus")) == 1
    kept = scene.resolution.cache.entry((name(WWW), Kind.A))
    assert kept is not None
    assert "203.0.113.66" not in str(kept.answer.answer)
    scene.servers.world.change = lambda ask, reply: None
    scene.clock.advance(6)
    assert _addresses(await scene.ask(wait=5)) == ["192.0.2.1"]


async def test_signatures_that_ended_count_as_what_they_are(make: Make) -> None:
    scene = make()
    scene.clock.advance(EXPIRATION - NOW + 1)
    given = await scene.ask()
    assert given.why is not None
    assert given.why.ede is Ede.SIGNATURE_EXPIRED
    assert scene.counted() == {Cause.DNS_SIGNATURE_EXPIRED: 1}


async def test_servers_that_fail_count_as_failing_and_are_left_alone_for_a_moment(
    make: Make,
) -> None:
    scene = make()
    scene.servers.servfail = True
    for _ in range(50):
        assert (await scene.ask()).rcode == dns.rcode.SERVFAIL
    assert len(scene.servers.asked) == 1
    assert scene.counted() == {Cause.DNS_SERVFAIL: 1}


async def test_many_askers_of_one_question_ask_once(make: Make) -> None:
    scene = make(checked=False)
    found = await asyncio.gather(*(scene.ask() for _ in range(20)))
    assert {tuple(_addresses(each)) for each in found} == {("192.0.2.1",)}
    assert len(scene.servers.asked) == 1


async def test_what_is_asked_for_near_its_end_is_fetched_ahead(make: Make) -> None:
    scene = make(checked=False)
    await scene.ask()
    scene.clock.advance(TTL * 0.95)
    given = await scene.ask()
    assert given.ttl_seconds == pytest.approx(TTL * 0.05)
    await scene.nursery.idle()
    assert (await scene.ask()).ttl_seconds == TTL


async def test_a_public_name_that_leads_inside_is_told_and_counted(make: Make) -> None:
    scene = make()
    given = await scene.ask("www.sub.example.test.")
    assert given.inside == "192.0.2.3"
    assert scene.counted() == {Cause.DNS_REBINDING: 1}
    assert scene.resolution.rebinding.allows(name("registry.lan."))
    assert not scene.resolution.rebinding.allows(name("x.registry.lan."))
    assert scene.resolution.rebinding.allows(name("nas.home.test."))


def _strip(ask: Ask, reply: Message) -> None:
    reply.answer = [each for each in reply.answer if each.rdtype != Kind.RRSIG]


async def test_servers_that_pass_no_signatures_on_are_believed_as_ever(make: Make) -> None:
    scene = make(opportune=True)
    scene.servers.world.change = _strip
    assert _addresses(await scene.ask()) == ["192.0.2.1"]
    await scene.nursery.idle()
    given = await scene.ask("alias.example.test.")
    assert given.answer is not None
    assert given.answer.security is Security.INDETERMINATE
    assert len(scene.events.recent("dns.unvalidated")) == 1
    assert scene.counted() == {}


async def test_servers_that_have_passed_them_on_must_go_on_doing_so(make: Make) -> None:
    scene = make(opportune=True)
    await scene.ask()
    await scene.nursery.idle()
    assert len(scene.events.recent("dns.validating")) == 1
    assert (await scene.ask()).authentic, "what was taken unchecked before is forgotten"
    scene.servers.world.change = _strip
    scene.clock.advance(TTL + 1)
    assert (await scene.ask(wait=5)).rcode == dns.rcode.SERVFAIL
    assert scene.counted() == {Cause.DNS_BOGUS: 1}
    scene.servers.called = ("another network's",)
    scene.clock.advance(6)
    assert _addresses(await scene.ask(wait=5)) == ["192.0.2.1"]


async def test_a_name_below_a_top_level_that_is_none_is_the_networks_own(make: Make) -> None:
    def own(ask: Ask, reply: Message) -> None:
        if ask == Ask(name("nas.lan."), Kind.A):
            reply.set_rcode(dns.rcode.NOERROR)
            reply.answer = [dns.rrset.from_text(ask.name, 60, "IN", "A", "198.51.100.7")]
            reply.authority = []

    for opportune, rcode in ((True, dns.rcode.NOERROR), (False, dns.rcode.SERVFAIL)):
        scene = make(opportune=opportune)
        scene.servers.world.change = own
        await scene.ask("www.plain.test.")
        await scene.nursery.idle()
        given = await scene.ask("nas.lan.")
        assert (given.rcode, given.authentic) == (rcode, False)
