"""Questions to name servers that lie, stall and forget, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import cast

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

from skerry.adapters.dns_exchange import NameServerExchange
from skerry.adapters.dns_lines import trust_of
from skerry.adapters.dns_messages import cookie_of
from skerry.adapters.resolv_conf import parse
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.base.errors import BadInput
from skerry.trust.core.names.servers import Behaviour, Server, order, read_server
from skerry.trust.core.names.values import Ask, Kind, Message
from skerry.trust.ports import NoAnswer

WWW = Ask(dns.name.from_text("www.example.test."), Kind.A)
Say = Callable[[Message, Message], "Message | list[bytes] | None"]


def honest(query: Message, reply: Message) -> Message | list[bytes] | None:
    reply.answer = [dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.1")]
    return reply


@dataclass
class Liar(asyncio.DatagramProtocol):
    """A name server. `say` makes datagrams of a question and its empty answer, `stream` what
    comes over TCP; `drip` sends that byte by byte, the last one never."""

    say: Say = honest
    stream: Say = honest
    drip: bool = False
    datagrams: list[Message] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    streamed: list[Message] = field(default_factory=list)
    server: Server = field(default_factory=lambda: Server("127.0.0.1"))
    transport: asyncio.DatagramTransport | None = None

    async def open(self) -> AsyncIterator[Liar]:
        tcp = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = tcp.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", port))
        self.server = Server("127.0.0.1", port)
        yield self
        udp.close()
        tcp.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.datagrams.append(query)
        self.ports.append(addr[1])
        said = self.say(query, dns.message.make_response(query))
        for each in said if isinstance(said, list) else [said.to_wire()] if said else []:
            assert self.transport is not None
            self.transport.sendto(each, addr)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                query = dns.message.from_wire(await reader.readexactly(size))
                self.streamed.append(query)
                said = self.stream(query, dns.message.make_response(query))
                if not isinstance(said, dns.message.Message):
                    return
                data = said.to_wire()
                whole = len(data).to_bytes(2, "big") + data
                writer.write(whole[:-1] if self.drip else whole)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            if not self.drip:
                writer.close()


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    async for each in Liar().open():
        yield each


@pytest.fixture
async def other() -> AsyncIterator[Liar]:
    async for each in Liar().open():
        yield each


Make = Callable[..., NameServerExchange]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    crashes: list[str] = []
    nursery = Nursery(on_crash=lambda name, error: crashes.append(f"{name}: {error!r}"))
    made: list[NameServerExchange] = []

    def exchange(*liars: Liar) -> NameServerExchange:
        servers = tuple(each.server for each in liars)
        one = NameServerExchange(
            lambda: servers, clock=SystemClock(), nursery=nursery, trust=trust_of(None)
        )
        made.append(one)
        return one

    yield exchange
    for each in made:
        each.close()
    await nursery.close()
    assert crashes == []


async def asked(exchange: NameServerExchange, *, seconds: float = 5) -> list[str]:
    reply = await exchange.ask(WWW, signatures=False, within_seconds=seconds)
    return [str(r) for each in reply.answer for r in each]


async def test_each_question_has_its_own_number_port_and_letters(liar: Liar, make: Make) -> None:
    exchange = make(liar)
    for _ in range(12):
        assert await asked(exchange) == ["192.0.2.1"]
    assert len({each.id for each in liar.datagrams}) == 12
    assert len(set(liar.ports)) > 6
    assert len({each.question[0].name.labels for each in liar.datagrams}) > 6
    assert {each.payload for each in liar.datagrams} == {1232}


async def test_an_answer_with_another_number_or_question_is_not_heard(
    liar: Liar, make: Make
) -> None:
    def forge(query: Message, reply: Message) -> list[bytes]:
        good = honest(query, reply)
        assert isinstance(good, dns.message.Message)
        right = good.to_wire()
        wrong_number = (query.id ^ 1).to_bytes(2, "big") + right[2:]
        elsewhere = dns.message.make_response(dns.message.make_query("evil.test.", "A"))
        elsewhere.id = query.id
        return [wrong_number, elsewhere.to_wire(), b"", right[:20], right]

    liar.say = forge
    assert await asked(make(liar)) == ["192.0.2.1"]
    assert liar.streamed == []


async def test_a_shower_of_forged_answers_moves_the_question_to_a_stream(
    liar: Liar, make: Make
) -> None:
    def shower(query: Message, reply: Message) -> list[bytes]:
        return [(query.id ^ n).to_bytes(2, "big") + reply.to_wire()[2:] for n in range(1, 20)]

    liar.say = shower
    exchange = make(liar)
    assert await asked(exchange) == ["192.0.2.1"]
    assert len(liar.streamed) == 1
    assert exchange.statistics().spoiled == 1


async def test_an_answer_in_other_letters_moves_the_question_to_a_stream(
    liar: Liar, make: Make
) -> None:
    def lower(query: Message, reply: Message) -> Message:
        name = dns.name.from_text(query.question[0].name.to_text().swapcase())
        reply.question = [dns.rrset.RRset(name, 1, Kind.A)]
        reply.answer = [dns.rrset.from_text(name, 60, "IN", "A", "203.0.113.66")]
        return reply

    liar.say = lower
    assert await asked(make(liar)) == ["192.0.2.1"]
    assert len(liar.streamed) == 1


async def test_a_truncated_answer_is_asked_for_whole_and_the_stream_is_used_again(
    liar: Liar, make: Make
) -> None:
    def short(query: Message, reply: Message) -> Message:
        reply.flags |= dns.flags.TC
        return reply

    liar.say = short
    exchange = make(liar)
    found = await asyncio.gather(*(asked(exchange) for _ in range(5)))
    assert found == [["192.0.2.1"]] * 5
    assert len(liar.streamed) == 5
    assert exchange.statistics().by_stream == 5


async def test_a_stream_that_never_ends_costs_a_bounded_wait(liar: Liar, make: Make) -> None:
    liar.say = lambda query, reply: _truncated(reply)
    liar.drip = True
    with pytest.raises(NoAnswer) as caught:
        await asyncio.wait_for(asked(make(liar), seconds=0.4), 5)
    assert not caught.value.failed


def _truncated(reply: Message) -> Message:
    reply.flags |= dns.flags.TC
    return reply


async def test_a_cookie_is_shown_again_and_who_has_shown_one_must_go_on(
    liar: Liar, make: Make
) -> None:
    def baked(query: Message, reply: Message) -> Message:
        shown = cookie_of(query)
        assert shown is not None
        cookie = dns.edns.CookieOption(shown[0], b"s" * 16)
        reply.use_edns(0, 0, 1232, options=[cookie])
        if shown[1] != b"s" * 16 and len(liar.datagrams) > 1:
            reply.set_rcode(dns.rcode.BADCOOKIE)
            return reply
        made = honest(query, reply)
        assert isinstance(made, dns.message.Message)
        return made

    liar.say = baked
    exchange = make(liar)
    await asked(exchange)
    await asked(exchange)
    shown = [cookie_of(each) for each in liar.datagrams]
    assert shown[0] is not None
    assert shown[0][1] == b""
    assert shown[1] == (shown[0][0], b"s" * 16)

    def without(query: Message, reply: Message) -> Message:
        reply.answer = [dns.rrset.from_text(WWW.name, 60, "IN", "A", "203.0.113.66")]
        return reply

    liar.say = without
    with pytest.raises(NoAnswer):
        await asked(exchange, seconds=0.2)


async def test_a_server_that_wants_its_new_cookie_is_shown_it(liar: Liar, make: Make) -> None:
    def wants(query: Message, reply: Message) -> Message:
        shown = cookie_of(query)
        assert shown is not None
        reply.use_edns(0, 0, 1232, options=[dns.edns.CookieOption(shown[0], b"n" * 8)])
        if shown[1] != b"n" * 8:
            reply.set_rcode(dns.rcode.BADCOOKIE)
            return reply
        made = honest(query, reply)
        assert isinstance(made, dns.message.Message)
        return made

    liar.say = wants
    assert await asked(make(liar)) == ["192.0.2.1"]
    assert len(liar.datagrams) == 2


async def test_a_server_that_knows_no_edns_is_asked_without(liar: Liar, make: Make) -> None:
    def old(query: Message, reply: Message) -> Message | list[bytes] | None:
        if query.edns >= 0:
            reply.set_rcode(dns.rcode.FORMERR)
            return reply
        return honest(query, reply)

    liar.say = old
    assert await asked(make(liar)) == ["192.0.2.1"]


async def test_the_next_server_is_asked_when_one_fails_and_when_one_is_slow(
    liar: Liar, other: Liar, make: Make
) -> None:
    def fail(query: Message, reply: Message) -> Message:
        reply.set_rcode(dns.rcode.SERVFAIL)
        return reply

    exchange = make(liar, other)
    liar.say = fail
    assert await asked(exchange) == ["192.0.2.1"]
    liar.say = lambda query, reply: None
    for _ in range(3):
        assert await asked(exchange) == ["192.0.2.1"]
    before = len(liar.datagrams)
    assert await asked(exchange) == ["192.0.2.1"]
    assert len(liar.datagrams) == before, "one that does not answer is asked last"
    other.say = liar.say = fail
    with pytest.raises(NoAnswer, match="SERVFAIL") as caught:
        await asked(exchange)
    assert caught.value.failed


async def test_without_a_server_that_is_said(make: Make) -> None:
    with pytest.raises(NoAnswer, match="no name server"):
        await asked(make())


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.1", Server("192.0.2.1")),
        ("192.0.2.1:54", Server("192.0.2.1", 54)),
        ("2001:db8::1", Server("2001:db8::1")),
        ("[2001:db8::1]:54", Server("2001:db8::1", 54)),
        ("tls://192.0.2.1", Server("192.0.2.1", 853, True)),
        ("tls://Dns.example@192.0.2.1:443", Server("192.0.2.1", 443, True, "dns.example")),
        ("tls://dns.example@[2001:db8::1]:443", Server("2001:db8::1", 443, True, "dns.example")),
    ],
)
def test_servers_are_read_and_written_alike(text: str, server: Server) -> None:
    assert read_server(text) == server
    assert read_server(str(server)) == server


@pytest.mark.parametrize(
    "text", ["", "x", "1.2.3.4:0", "1.2.3.4:", "tls://dns.example", "a@1.2.3.4", "[::1", "[::1]x"]
)
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read_server(text)


def test_a_server_that_was_away_is_tried_again_later() -> None:
    one, two = Server("192.0.2.1"), Server("192.0.2.2")
    away = Behaviour().failed(0.0).failed(0.0)
    known = {one: away, two: Behaviour()}
    assert order((one, two), known, 1.0) == (two, one)
    assert order((one, two), known, 11.0) == (one, two)
    assert order((one, two), {one: away.answered(0.1), two: Behaviour()}, 1.0) == (one, two)


def test_a_resolv_conf_is_read_leniently() -> None:
    text = "nameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver junk\n; x\nsearch Lan. a.b\n"
    found = parse(text)
    assert found.servers == (Server("192.0.2.1"), Server("fe80::1%eth0"))
    assert found.search == ("lan", "a.b")
