"""The site's resolver as its clients see it: bytes in, bytes out."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

from skerry.aio.tasks import Nursery
from skerry.base.clock import ManualClock
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core.names import budgets
from skerry.trust.core.names.asking import DEFAULT_CLIENTS
from skerry.trust.core.names.local import LocalNames
from skerry.trust.core.names.rebinding import Rebinding
from skerry.trust.core.names.values import Answer, Ede, Kind, Message, Name, Why
from skerry.trust.resolution import Resolution
from skerry.trust.stub import Stub
from tests.trust.names_world import NOW, TTL, World, name, standard
from tests.trust.test_resolution import Servers, _forge

WWW, LAN = "www.example.test.", "192.168.1.7"


@dataclass
class Scene:
    servers: Servers
    clock: ManualClock
    stub: Stub
    failures: ValidationFailures
    held: dict[Name, Answer]

    async def send(self, query: Message, *, client: str = LAN, stream: bool = False) -> Message:
        data = await self.stub.answer(query.to_wire(), client, stream=stream)
        assert data is not None
        return dns.message.from_wire(data)

    async def ask(
        self, text: str = WWW, kind: str = "A", *, client: str = LAN, **more: object
    ) -> Message:
        more.setdefault("use_edns", 0)
        query = dns.message.make_query(text, kind, **more)  # type: ignore[arg-type]
        return await self.send(query, client=client)

    def counted(self) -> dict[Cause, int]:
        return {cause: n for cause, n in self.failures.statistics().items() if n}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    crashes: list[str] = []
    nursery = Nursery(on_crash=lambda task, error: crashes.append(f"{task}: {error!r}"))
    world: World = standard()
    clock = ManualClock(float(NOW))
    servers, events, failures = Servers(world), Events(clock.now), ValidationFailures(Registry())
    inside = ipaddress.ip_address("192.0.2.3")
    resolution = Resolution(
        servers,
        clock=clock,
        nursery=nursery,
        events=events,
        failures=failures,
        rebinding=Rebinding(lambda each: each == inside),
        anchors=world.anchors,
    )
    held: dict[Name, Answer] = {}
    local = LocalNames({"box.lan": ("192.168.1.2", "fd00::2"), "*.apps.lan": ("192.168.1.3",)})
    stub = Stub(
        resolution,
        local=local,
        clients=DEFAULT_CLIENTS,
        cookie_secret=b"s" * 16,
        clock=clock,
        events=events,
        failures=failures,
        held=lambda wanted, kind: held.get(wanted),
    )
    resolution.on_denied = stub.denied
    yield Scene(servers, clock, stub, failures, held)
    await nursery.close()
    assert crashes == []


def ede(reply: Message) -> int | None:
    found = [each for each in reply.options if isinstance(each, dns.edns.EDEOption)]
    return int(found[0].code) if found else None


def addresses(reply: Message) -> list[str]:
    return [str(r) for each in reply.answer if each.rdtype in (1, 28) for r in each]


async def test_ad_is_for_those_who_ask_and_signatures_for_those_who_want_them(
    scene: Scene,
) -> None:
    plain = await scene.ask()
    assert addresses(plain) == ["192.0.2.1"]
    assert plain.flags & dns.flags.RA
    assert not plain.flags & dns.flags.AD
    assert not [each for each in plain.answer if each.rdtype == Kind.RRSIG]
    asked = await scene.ask(flags=dns.flags.RD | dns.flags.AD)
    assert asked.flags & dns.flags.AD
    wanting = await scene.ask(want_dnssec=True)
    assert wanting.flags & dns.flags.AD
    assert [each for each in wanting.answer if each.rdtype == Kind.RRSIG]
    unsigned = await scene.ask("www.plain.test.", want_dnssec=True)
    assert not unsigned.flags & dns.flags.AD


async def test_bogus_is_servfail_with_its_ede_and_to_be_seen_with_cd(scene: Scene) -> None:
    scene.servers.world.change = _forge
    reply = await scene.ask()
    assert (reply.rcode(), ede(reply), addresses(reply)) == (dns.rcode.SERVFAIL, Ede.BOGUS, [])
    looked = await scene.ask(flags=dns.flags.RD | dns.flags.CD)
    assert addresses(looked) == ["203.0.113.66"]
    assert not looked.flags & dns.flags.AD
    assert addresses(await scene.ask()) == [], "what CD has seen is nobody's answer"
    assert scene.counted() == {Cause.DNS_BOGUS: 1}


async def test_a_stale_answer_says_that_it_is(scene: Scene) -> None:
    await scene.ask()
    scene.clock.advance(TTL + 1)
    scene.servers.dead = True
    reply = await scene.ask()
    assert (addresses(reply), ede(reply)) == (["192.0.2.1"], Ede.STALE_ANSWER)
    assert reply.answer[0].ttl == 30


async def test_names_of_the_site_are_answered_here_and_nobody_is_asked(scene: Scene) -> None:
    for text, kind, found in (
        ("box.lan", "A", ["192.168.1.2"]),
        ("BOX.lan", "AAAA", ["fd00::2"]),
        ("a.b.apps.lan", "A", ["192.168.1.3"]),
        ("a.b.apps.lan", "AAAA", []),
        ("localhost", "A", ["127.0.0.1"]),
    ):
        reply = await scene.ask(text, kind)
        assert (reply.rcode(), addresses(reply)) == (dns.rcode.NOERROR, found), text
    back = await scene.ask("2.1.168.192.in-addr.arpa", "PTR")
    assert str(back.answer[0][0]) == "box.lan."
    assert (await scene.ask("x.onion")).rcode() == dns.rcode.NXDOMAIN
    assert scene.servers.asked == []


async def test_what_is_not_for_everybody_is_refused(scene: Scene) -> None:
    any_ = await scene.ask(kind="ANY")
    assert [each.rdtype for each in any_.answer] == [Kind.HINFO]
    assert (await scene.ask(kind="AXFR")).rcode() == dns.rcode.REFUSED
    assert (await scene.ask(flags=0)).rcode() == dns.rcode.REFUSED, "RD=0"
    outside = await scene.ask(client="203.0.113.5")
    assert (outside.rcode(), ede(outside)) == (dns.rcode.REFUSED, Ede.PROHIBITED)
    chaos = dns.message.make_query("version.bind", "TXT", rdclass=dns.rdataclass.CH)
    assert (await scene.send(chaos)).rcode() == dns.rcode.REFUSED
    notify = dns.message.make_query(WWW, "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    assert (await scene.send(notify)).rcode() == dns.rcode.NOTIMP
    newer = dns.message.make_query(WWW, "A", use_edns=1)
    assert (await scene.send(newer)).rcode() == dns.rcode.BADVERS
    assert scene.servers.asked == []


async def test_an_answer_and_noise_get_no_answer(scene: Scene) -> None:
    reply = dns.message.make_response(dns.message.make_query(WWW, "A"))
    for data in (reply.to_wire(), b"x" * 12, b"\0" * 11 + b"\xff" * 40):
        assert await scene.stub.answer(data, LAN, stream=False) is None


def with_option(data: bytes, option: bytes) -> bytes:
    """A question with an OPT record behind it (RFC 6891 section 6.1.2)."""
    opt = b"\0\0\x29\x04\xd0\0\0\0\0" + len(option).to_bytes(2, "big") + option
    return data[:10] + b"\0\x01" + data[12:] + opt


@pytest.mark.parametrize(
    "option",
    [b"\0\x0a\0\x08abc", b"\0\x0a\0", b"\0\x08\0\x04\0\x09\0\0", b"\0\x0a\0\x03abc"],
    ids=["longer than it is", "cut off", "of an unknown family", "half a cookie"],
)
async def test_a_malformed_option_is_a_format_error_and_not_silence(
    scene: Scene, option: bytes
) -> None:
    query = dns.message.make_query(WWW, "A", use_edns=False)
    data = with_option(query.to_wire(), option)
    got = await scene.stub.answer(data, LAN, stream=False)
    assert got is not None
    reply = dns.message.from_wire(got)
    assert (reply.id, reply.rcode()) == (query.id, dns.rcode.FORMERR)
    assert reply.flags & dns.flags.QR
    assert len(got) <= len(data)
    assert scene.servers.asked == []


async def test_two_opt_records_are_a_format_error(scene: Scene) -> None:
    data = with_option(dns.message.make_query(WWW, "A", use_edns=False).to_wire(), b"")
    twice = data[:10] + b"\0\x02" + data[12:] + b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    got = await scene.stub.answer(twice, LAN, stream=False)
    assert got is not None
    assert dns.message.from_wire(got).rcode() == dns.rcode.FORMERR


async def test_format_errors_come_out_of_the_same_budget(scene: Scene) -> None:
    data = with_option(dns.message.make_query(WWW, "A", use_edns=False).to_wire(), b"\0\x0a\0")
    answers = [await scene.stub.answer(data, LAN, stream=False) for _ in range(2000)]
    assert None in answers


async def test_a_public_name_that_leads_inside_is_dropped(scene: Scene) -> None:
    reply = await scene.ask("www.sub.example.test.")
    assert (reply.rcode(), ede(reply), addresses(reply)) == (dns.rcode.REFUSED, Ede.BLOCKED, [])
    looked = await scene.ask("www.sub.example.test.", flags=dns.flags.RD | dns.flags.CD)
    assert addresses(looked) == []
    assert scene.counted() == {Cause.DNS_REBINDING: 2}


async def test_a_held_name_is_where_it_was(scene: Scene) -> None:
    was = dns.rrset.from_text(WWW, 30, "IN", "A", "198.51.100.1")
    why = Why(Ede.STALE_ANSWER, "held")
    scene.held[name(WWW)] = Answer(name(WWW), Kind.A, 0, (was,), ttl_seconds=30, why=why)
    reply = await scene.ask()
    assert (addresses(reply), ede(reply)) == (["198.51.100.1"], Ede.STALE_ANSWER)
    assert scene.servers.asked == []


async def test_what_is_too_long_for_a_datagram_says_so(scene: Scene) -> None:
    def grow(ask: object, reply: Message) -> None:
        if reply.question[0].name == name("big.plain.test."):
            texts = [f'"{n:03d}{"x" * 200}"' for n in range(10)]
            reply.set_rcode(dns.rcode.NOERROR)
            reply.authority = []
            reply.answer = [dns.rrset.from_text("big.plain.test.", 60, "IN", "TXT", *texts)]

    scene.servers.world.change = grow
    query = dns.message.make_query("big.plain.test.", "TXT", use_edns=0, payload=4096)
    data = await scene.stub.answer(query.to_wire(), LAN, stream=False)
    assert data is not None
    assert len(data) <= 1232
    assert dns.message.from_wire(data).flags & dns.flags.TC
    whole = await scene.send(query, stream=True)
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 10


async def test_who_has_not_shown_its_address_is_soon_told_to_and_others_are_not(
    scene: Scene,
) -> None:
    for _ in range(int(budgets.CLIENT_BURST)):
        assert addresses(await scene.ask())
    short = await scene.ask()
    assert short.flags & dns.flags.TC
    assert not short.answer
    # The neighbour, and the same one over TCP or with a cookie of ours, are answered.
    assert addresses(await scene.ask(client="192.168.1.8"))
    query = dns.message.make_query(WWW, "A", use_edns=0)
    assert addresses(await scene.send(query, stream=True))
    mine = dns.edns.CookieOption(b"c" * 8, b"")
    shown = await scene.ask(options=[mine])
    assert shown.flags & dns.flags.TC
    (cookie,) = (each for each in shown.options if isinstance(each, dns.edns.CookieOption))
    assert addresses(await scene.ask(options=[cookie]))
    forged = dns.edns.CookieOption(b"c" * 8, cookie.server[:-1] + b"!")
    assert (await scene.ask(options=[forged])).flags & dns.flags.TC
    elsewhere = await scene.ask(options=[cookie], client="192.168.1.9")
    assert addresses(elsewhere), "another's cookie costs nothing but proves nothing"


async def test_a_flood_that_goes_on_gets_nothing(scene: Scene) -> None:
    data = dns.message.make_query(WWW, "A").to_wire()
    answered = [
        await scene.stub.answer(data, LAN, stream=False)
        for _ in range(int(budgets.CLIENT_BURST * 2) + 5)
    ]
    assert answered[-1] is None
    scene.clock.advance(60)
    assert await scene.stub.answer(data, LAN, stream=False) is not None


async def test_made_up_names_cost_a_bounded_number_of_questions_and_known_ones_go_on(
    scene: Scene,
) -> None:
    await scene.ask()
    scene.servers.asked.clear()
    for number in range(600):
        await scene.ask(f"x{number}.example.test.", client=f"192.168.2.{number % 250}")
    wanted = [each for each in scene.servers.asked if each.name.labels[0].startswith(b"x")]
    assert len(wanted) <= budgets.UNKNOWN_BURST + 1
    assert scene.counted() == {Cause.DNS_NXDOMAIN_FLOOD: 1}
    assert addresses(await scene.ask()) == ["192.0.2.1"], "what is known is answered"
    other = await scene.ask("www.plain.test.")
    assert addresses(other) == ["192.0.2.2"], "another zone has its own budget"
    scene.clock.advance(60)
    assert (await scene.ask("late.example.test.")).rcode() == dns.rcode.NXDOMAIN


async def test_questions_that_wait_are_shared_out_between_clients(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "WAITING_MAX", 40)
    monkeypatch.setattr(budgets, "WAITING_SHARE_MIN", 4)
    scene.servers.hang = asyncio.Event()

    def start(number: int, client: str) -> asyncio.Future[Message]:
        query = dns.message.make_query(f"w{number}.plain.test.", "A")
        return asyncio.ensure_future(scene.send(query, client=client, stream=True))

    greedy = [start(n, LAN) for n in range(60)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert scene.stub.statistics().waiting == 40
    modest = start(99, "192.168.1.8")
    await asyncio.sleep(0)
    scene.servers.hang.set()
    assert (await modest).rcode() == dns.rcode.NXDOMAIN
    rcodes = [each.rcode() for each in await asyncio.gather(*greedy)]
    assert rcodes.count(dns.rcode.SERVFAIL) == 20
    assert scene.stub.statistics().waiting == 0
