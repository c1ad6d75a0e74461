"""What the name servers of a domain and of its parent say of it.

Owns who is asked and how: the authorities themselves, without recursion, over TCP and by datagram
where that is closed; found through this node's own resolver. A referral, or an answer with AA, is
an answer; what a resolver in between says is none, so that a captive portal has changed nothing.
RFC 1034 section 4.3.2, RFC 7766, RFC 8659. Never compares.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, Protocol

from skerry.base.clock import Clock
from skerry.trust.core.delegation import Caa, Delegation
from skerry.trust.core.names.servers import Server, read_server
from skerry.trust.watch_ports import Zone

if TYPE_CHECKING:  # dnspython takes memory that a node without watched domains saves
    from dns.message import Message
    from dns.rdata import Rdata
    from dns.rrset import RRset

ASK_SECONDS = 2.0
LOOK_SECONDS = 12.0
SERVERS_MAX = 4
"""So many of a zone's servers are tried at each look."""
FOUND_SECONDS = 3600.0
"""How long the parent's servers are remembered: they change rarely, and are asked often."""


class Finder(Protocol):
    """This node's own resolver."""

    async def name_servers(self, zone: str) -> tuple[str, ...]:
        """The names of a zone's servers; () when it is none, or cannot be asked about."""

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Where a host is; () when that cannot be found."""


class AuthorityDns:
    """`trust.watch_ports.Authorities` over DNS."""

    def __init__(self, finder: Finder, *, clock: Clock, chance: Random) -> None:
        self._finder = finder
        self._clock = clock
        self._chance = chance
        self._parents: dict[str, tuple[float, tuple[Server, ...]]] = {}

    async def look(self, zone: Zone) -> Delegation:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await self._look(zone)
        except TimeoutError:
            return Delegation()

    async def _look(self, zone: Zone) -> Delegation:
        said = None
        parents = [read_server(text) for text in zone.parents] or await self._parent(zone.domain)
        for server in self._some(parents):
            said = _delegation(await ask(server, zone.domain, "NS"), zone.domain)
            if said is not None:
                break
        else:
            self._parents.pop(zone.domain, None)  # find them anew
        ns, ds, glue = None, None, dict[str, list[str]]()
        if said is not None:
            ns, glue = said
            ds = _texts(await ask(server, zone.domain, "DS"), zone.domain, "DS")
            if ns == frozenset():
                ds = frozenset()
        servers = [read_server(text) for text in zone.servers]
        servers = servers or await self._children(ns or frozenset(), glue)
        for server in self._some(servers):
            own_ns = _texts(await ask(server, zone.domain, "NS"), zone.domain, "NS")
            if own_ns is not None:
                caa = _caa(await ask(server, zone.domain, "CAA"), zone.domain)
                return Delegation(ns, own_ns, ds, caa)
        return Delegation(ns, None, ds, None)

    def _some(self, servers: Sequence[Server]) -> list[Server]:
        chosen = list(servers)
        self._chance.shuffle(chosen)
        return chosen[:SERVERS_MAX]

    async def _parent(self, domain: str) -> list[Server]:
        """The servers of the nearest zone above a domain."""
        until, found = self._parents.get(domain, (0.0, ()))
        if self._clock.monotonic() < until:
            return list(found)
        zone = domain.partition(".")[2]
        while True:
            names = await self._finder.name_servers(zone or ".")
            if names or not zone:
                break
            zone = zone.partition(".")[2]
        servers = await self._addresses(names)
        if servers:
            self._parents[domain] = (self._clock.monotonic() + FOUND_SECONDS, tuple(servers))
        return servers

    async def _children(self, names: Iterable[str], glue: dict[str, list[str]]) -> list[Server]:
        known = [Server(address) for name in names for address in glue.get(name, ())]
        return known or await self._addresses(names)

    async def _addresses(self, names: Iterable[str]) -> list[Server]:
        wanted = list(names)
        self._chance.shuffle(wanted)
        found: list[Server] = []
        for name in wanted[:SERVERS_MAX]:
            found += [Server(address) for address in await self._finder.addresses(name)]
        return found


async def ask(server: Server, domain: str, kind: str) -> Message | None:
    """One server's answer, without recursion; None when there is none that can be read."""
    # Late, and in a thread: loading it takes longer than a hundred answers from the cache.
    await asyncio.to_thread(__import__, "dns.asyncquery")
    import dns.asyncquery
    import dns.exception
    import dns.flags
    import dns.message

    query = dns.message.make_query(domain, kind, use_edns=0, payload=1232)
    query.flags &= ~dns.flags.RD
    for way in (dns.asyncquery.tcp, dns.asyncquery.udp):
        try:
            reply = await way(query, server.address, timeout=ASK_SECONDS, port=server.port)
        except (OSError, EOFError, ValueError, TimeoutError, dns.exception.DNSException):
            continue
        if not reply.flags & dns.flags.TC:
            return reply
    return None


def _delegation(
    reply: Message | None, domain: str
) -> tuple[frozenset[str], dict[str, list[str]]] | None:
    """The names that a parent delegates to, and their glue; None when it does not say."""
    import dns.flags
    import dns.rcode

    if reply is None:
        return None
    authoritative = bool(reply.flags & dns.flags.AA)
    if reply.rcode() == dns.rcode.NXDOMAIN and authoritative:
        return frozenset(), {}
    if reply.rcode() != dns.rcode.NOERROR:
        return None
    # A server of both zones answers for the lower one; a referral is without AA, and a resolver's
    # answer is neither.
    referral = not authoritative and not reply.answer
    found = _rrset(reply.answer if authoritative else reply.authority, domain, "NS")
    if found is not None and (authoritative or referral):
        glue: dict[str, list[str]] = {}
        for each in reply.additional:
            if each.rdtype.name in ("A", "AAAA"):
                addresses = [record.to_text() for record in each]
                glue.setdefault(_plain(each.name.to_text()), []).extend(addresses)
        return frozenset(_plain(record.target.to_text()) for record in found), glue
    return (frozenset(), {}) if authoritative and _is_nodata(reply) else None


def _texts(reply: Message | None, domain: str, kind: str) -> frozenset[str] | None:
    """The records of a kind by an authoritative answer, as text; None without one."""
    found = _authoritative(reply, domain, kind)
    if found is None:
        return None
    read: Callable[[str], str] = _plain if kind == "NS" else _signer
    return frozenset(read(record.to_text()) for record in found)


def _caa(reply: Message | None, domain: str) -> frozenset[Caa] | None:
    from dns.rdtypes.ANY.CAA import CAA

    found = _authoritative(reply, domain, "CAA")
    if found is None:
        return None
    return frozenset(
        Caa(
            record.flags,
            record.tag.decode("ascii", "replace").lower(),
            record.value.decode("utf-8", "replace").replace('"', "'"),
        )
        for record in found
        if isinstance(record, CAA)
    )


def _authoritative(reply: Message | None, domain: str, kind: str) -> list[Rdata] | None:
    """The records of a kind; [] when an authority says that there are none."""
    import dns.flags
    import dns.rcode

    if reply is None or not reply.flags & dns.flags.AA or reply.rcode() != dns.rcode.NOERROR:
        return None
    found = _rrset(reply.answer, domain, kind)
    if found is None:
        return [] if _is_nodata(reply) else None
    return list(found)


def _is_nodata(reply: Message) -> bool:
    """An authority that has no such records shows its SOA (RFC 2308 section 2.2)."""
    return not reply.answer and any(each.rdtype.name == "SOA" for each in reply.authority)


def _rrset(section: Iterable[RRset], domain: str, kind: str) -> RRset | None:
    for each in section:
        if each.rdtype.name == kind and _plain(each.name.to_text()) == domain:
            return each
    return None


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


def _signer(text: str) -> str:
    """A DS record in one form: the digest may be written in blocks."""
    tag, algorithm, kind, *digest = text.lower().split()
    return " ".join((tag, algorithm, kind, "".join(digest)))
