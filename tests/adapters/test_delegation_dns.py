"""Only the authorities' own answers are answers: of resolvers in between nothing is believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from skerry.adapters.delegation_dns import AuthorityDns
from skerry.base.clock import SystemClock
from skerry.trust.core.delegation import Delegation
from skerry.trust.watch_ports import Zone

DOMAIN = "example.test"
NS = dns.rrset.from_text("example.test.", 60, "IN", "NS", "NS1.example.test.")
SOA = dns.rrset.from_text("test.", 60, "IN", "SOA", "ns. h. 1 2 3 4 5")
Answer = Callable[[dns.message.Message], None]


class OneServer(asyncio.DatagramProtocol):
    """Answers each question by `answer`, over datagrams and streams. Forges nothing else."""

    def __init__(self) -> None:
        self.answer: Answer = lambda reply: None
        self.port = 0
        self.asked: list[str] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._stream, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._server.close()

    def _reply(self, data: bytes) -> bytes:
        query = dns.message.from_wire(data)
        self.asked.append(query.question[0].rdtype.name)
        assert not query.flags & dns.flags.RD
        reply = dns.message.make_response(query)
        self.answer(reply)
        return reply.to_wire()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            wire = self._reply(data)
            writer.write(len(wire).to_bytes(2, "big") + wire)
            await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


class NoFinder:
    """Finds what it was told, and counts."""

    def __init__(self) -> None:
        self.zones: dict[str, tuple[str, ...]] = {}
        self.asked: list[str] = []

    async def name_servers(self, zone: str) -> tuple[str, ...]:
        self.asked.append(zone)
        return self.zones.get(zone, ())

    async def addresses(self, host: str) -> tuple[str, ...]:
        return ()


@pytest.fixture
async def server() -> AsyncIterator[OneServer]:
    made = OneServer()
    await made.start()
    yield made
    made.close()


async def seen(server: OneServer, answer: Answer, *, child: bool = False) -> Delegation:
    server.answer = answer
    at = (f"127.0.0.1:{server.port}",)
    zone = Zone(DOMAIN, () if child else at, at if child else ())
    made = AuthorityDns(NoFinder(), clock=SystemClock(), chance=Random(1))
    return await made.look(zone)


def referral(reply: dns.message.Message) -> None:
    if reply.question[0].rdtype.name == "NS":
        reply.authority.append(NS)
    else:
        reply.flags |= dns.flags.AA
        reply.authority.append(SOA)


async def test_a_referral_is_the_delegation_and_no_ds_is_heard(server: OneServer) -> None:
    found = await seen(server, referral)
    assert found == Delegation(ns=frozenset({"ns1.example.test"}), ds=frozenset())


def resolvers(reply: dns.message.Message) -> None:
    reply.flags |= dns.flags.RA
    if reply.question[0].rdtype.name == "NS":
        reply.answer.append(dns.rrset.from_text("example.test.", 60, "IN", "NS", "ns.portal."))


def nothing_there(reply: dns.message.Message) -> None:
    reply.flags |= dns.flags.RA
    reply.set_rcode(dns.rcode.NXDOMAIN)


def failed(reply: dns.message.Message) -> None:
    reply.set_rcode(dns.rcode.SERVFAIL)


def refused(reply: dns.message.Message) -> None:
    reply.set_rcode(dns.rcode.REFUSED)


def empty(reply: dns.message.Message) -> None:
    reply.flags |= dns.flags.AA


def upward(reply: dns.message.Message) -> None:
    reply.authority.append(dns.rrset.from_text(".", 60, "IN", "NS", "a.root-servers.net."))


def truncated(reply: dns.message.Message) -> None:
    reply.flags |= dns.flags.TC | dns.flags.AA


@pytest.mark.parametrize("child", [False, True])
@pytest.mark.parametrize(
    "answer", [resolvers, nothing_there, failed, refused, empty, upward, truncated]
)
async def test_what_is_no_authoritys_answer_has_changed_nothing(
    server: OneServer, answer: Answer, child: bool
) -> None:
    assert await seen(server, answer, child=child) == Delegation()
    assert server.asked


def gone(reply: dns.message.Message) -> None:
    reply.flags |= dns.flags.AA
    reply.set_rcode(dns.rcode.NXDOMAIN)
    reply.authority.append(SOA)


async def test_a_parent_that_has_no_such_domain_has_said_so(server: OneServer) -> None:
    assert await seen(server, gone) == Delegation(ns=frozenset(), ds=frozenset())


async def test_the_nearest_zone_above_is_looked_for_and_an_outage_finds_none() -> None:
    finder = NoFinder()
    made = AuthorityDns(finder, clock=SystemClock(), chance=Random(1))
    assert await made.look(Zone("shop.co.example")) == Delegation()
    assert finder.asked == ["co.example", "example", "."]
    finder.asked.clear()
    finder.zones["example"] = ("ns.example",)
    await made.look(Zone("shop.co.example"))
    assert finder.asked == ["co.example", "example"]
