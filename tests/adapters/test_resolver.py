"""Names to addresses against a DNS server that misbehaves as told."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from skerry.adapters.resolver import GuardedResolver, NameResolver, parse_hosts
from skerry.aio.tasks import Nursery
from skerry.base.clock import ManualClock
from skerry.base.errors import BadInput
from skerry.upstream.ports import TransportError, Trouble

NAME = "registry.example."


class Dns(asyncio.DatagramProtocol):
    """A DNS server. `zone` maps (name, type) to addresses; a missing key is an empty answer.

    It answers with `rcode` when that is set, and not at all for types in `silent`.
    """

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.rcode: int | None = None
        self.silent: set[str] = set()
        self.ttl = 30
        self.asked: list[tuple[str, str]] = []
        self.was_asked = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        # A server matches letters whatever their case, and repeats them as they came (RFC 4343).
        key = (str(question.name).lower(), dns.rdatatype.to_text(question.rdtype))
        self.asked.append(key)
        self.was_asked.set()
        if key[1] in self.silent or self._transport is None:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if self.rcode is not None:
            answer.set_rcode(self.rcode)
        elif found := self.zone.get(key):
            answer.answer.append(dns.rrset.from_text(key[0], self.ttl, "IN", key[1], *found))
        self._transport.sendto(answer.to_wire(), addr)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Dns, str]]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Dns, local_addr=("127.0.0.1", 0)
    )
    host, port = transport.get_extra_info("sockname")[:2]
    yield protocol, f"{host}:{port}"
    transport.close()


Make = Callable[..., NameResolver]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    crashes: list[str] = []
    nursery = Nursery(on_crash=lambda name, error: crashes.append(f"{name}: {error}"))
    (tmp_path / "hosts").write_text("10.0.0.1 inside.example alias # comment\n::1 inside.example\n")

    def made(
        *servers: str, clock: ManualClock | None = None, aaaa_delay_seconds: float = 5
    ) -> NameResolver:
        return NameResolver(
            clock=clock or ManualClock(),
            nursery=nursery,
            servers=servers,
            hosts_file=tmp_path / "hosts",
            aaaa_delay_seconds=aaaa_delay_seconds,
        )

    yield made
    await nursery.close()
    assert crashes == []


async def test_addresses_of_both_families_come_together(
    server: tuple[Dns, str], make: Make
) -> None:
    served, at = server
    served.zone = {(NAME, "A"): ["192.0.2.1", "192.0.2.2"], (NAME, "AAAA"): ["2001:db8::1"]}
    found = await make(at).addresses("registry.example", within_seconds=5)
    assert set(found[:2]) == {"192.0.2.1", "192.0.2.2"}, "a server may shuffle them"
    assert found[2:] == ("2001:db8::1",)


async def test_literals_localhost_and_the_hosts_file_need_no_server(make: Make) -> None:
    resolver = make("127.0.0.1:1")
    assert await resolver.addresses("192.0.2.7", within_seconds=5) == ("192.0.2.7",)
    assert await resolver.addresses("localhost", within_seconds=5) == ("127.0.0.1", "::1")
    assert await resolver.addresses("Inside.Example.", within_seconds=5) == ("10.0.0.1", "::1")
    assert await resolver.addresses("alias", within_seconds=5) == ("10.0.0.1",)
    assert resolver.statistics().asked == 0


@pytest.mark.parametrize(
    ("rcode", "why"),
    [(dns.rcode.NXDOMAIN, "no such name"), (dns.rcode.SERVFAIL, "SERVFAIL"), (None, "no address")],
)
async def test_t25_a_name_that_cannot_be_had_says_why(
    server: tuple[Dns, str], make: Make, rcode: int | None, why: str
) -> None:
    served, at = server
    served.rcode = rcode
    resolver = make(at)
    with pytest.raises(TransportError, match=rf"{why}.*\(asked 127\.0\.0\.1\)") as caught:
        await resolver.addresses("registry.example", within_seconds=2)
    assert caught.value.trouble is Trouble.DNS
    assert resolver.statistics().failed == 1


async def test_t25_a_server_that_hangs_costs_a_bounded_wait(
    server: tuple[Dns, str], make: Make
) -> None:
    served, at = server
    served.silent = {"A", "AAAA"}
    with pytest.raises(TransportError, match="no DNS answer within") as caught:
        await asyncio.wait_for(make(at).addresses("registry.example", within_seconds=0.1), 5)
    assert caught.value.trouble is Trouble.DNS


async def test_a_second_server_gets_its_turn_when_the_first_hangs(
    server: tuple[Dns, str], make: Make
) -> None:
    served, at = server
    served.zone = {(NAME, "A"): ["192.0.2.1"]}
    hanging, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.2", 0)
    )
    first = "{}:{}".format(*hanging.get_extra_info("sockname"))
    found = await make(first, at, aaaa_delay_seconds=0.01).addresses(
        "registry.example", within_seconds=2
    )
    hanging.close()
    assert found == ("192.0.2.1",)


async def test_a_missing_aaaa_answer_does_not_hold_up_an_a(
    server: tuple[Dns, str], make: Make
) -> None:
    served, at = server
    served.zone = {(NAME, "A"): ["192.0.2.1"]}
    served.silent = {"AAAA"}
    resolver = make(at, aaaa_delay_seconds=0.01)
    found = await asyncio.wait_for(resolver.addresses("registry.example", within_seconds=60), 5)
    assert found == ("192.0.2.1",)


async def test_an_answer_is_kept_for_its_ttl_and_no_longer(
    server: tuple[Dns, str], make: Make
) -> None:
    served, at = server
    served.zone = {(NAME, "A"): ["192.0.2.1"]}
    clock = ManualClock()
    resolver = make(at, clock=clock)
    for seconds, queries in ((0, 2), (29, 2), (2, 4)):
        clock.advance(seconds)
        await resolver.addresses("registry.example", within_seconds=5)
        assert len(served.asked) == queries
    served.ttl = 86_400
    clock.advance(60)
    await resolver.addresses("registry.example", within_seconds=5)
    clock.advance(61)
    await resolver.addresses("registry.example", within_seconds=5)
    assert len(served.asked) == 8


async def test_leaving_in_the_middle_leaves_nothing(server: tuple[Dns, str], make: Make) -> None:
    served, at = server
    served.silent = {"A", "AAAA"}
    before = asyncio.all_tasks()
    asking = asyncio.ensure_future(make(at).addresses("registry.example", within_seconds=60))
    await asyncio.wait_for(served.was_asked.wait(), 5)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left, timeout=5)
    assert asyncio.all_tasks() - before == set()


async def test_t05_an_answer_that_turns_inside_between_two_lookups_is_refused(
    server: tuple[Dns, str], make: Make
) -> None:
    served, at = server
    clock = ManualClock()
    names = make(at, clock=clock)
    guarded = GuardedResolver(names, private_hosts=frozenset(), within_seconds=5)
    served.zone = {(NAME, "A"): ["1.1.1.1", "10.0.0.1"]}
    assert [found[4] for found in await guarded.resolve("registry.example", 443)] == [
        ("1.1.1.1", 443)
    ]
    clock.advance(61)
    served.zone = {(NAME, "A"): ["10.0.0.1"], (NAME, "AAAA"): ["::ffff:169.254.169.254"]}
    with pytest.raises(TransportError) as caught:
        await guarded.resolve("registry.example", 443)
    assert caught.value.trouble is Trouble.FORBIDDEN_ADDRESS
    own = GuardedResolver(names, private_hosts=frozenset({"registry.example"}), within_seconds=5)
    [only] = await own.resolve("registry.example", 443)
    assert only[4] == ("10.0.0.1", 443), "a metadata service is no registry"


@pytest.mark.parametrize(
    "text", ["", "dns.example", "1.2.3.4:0", "1.2.3.4:x", "1.2.3.4:99999", "[::1"]
)
def test_a_server_that_is_no_address_is_refused(text: str) -> None:
    if text == "[::1":
        text = "[::g]"
    with pytest.raises(BadInput):
        NameResolver(clock=ManualClock(), nursery=Nursery(on_crash=print), servers=[text])


@pytest.mark.parametrize("text", ["192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53"])
def test_servers_are_written_with_or_without_a_port(text: str) -> None:
    NameResolver(clock=ManualClock(), nursery=Nursery(on_crash=print), servers=[text])


def test_a_hosts_file_is_read_leniently() -> None:
    found = parse_hosts("junk\n1.2.3.4\n 1.2.3.4\tA.b c #x\n\n1.2.3.4 c\nfe80::1%eth0 z\n")
    assert found["a.b"] == ("1.2.3.4",)
    assert found["c"] == ("1.2.3.4",)
    assert ipaddress.ip_address(found["a.b"][0])
