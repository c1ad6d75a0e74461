"""A name server of one address that can fail in each way a real one does.

Owns a UDP socket on loopback. Answers A queries for any name; never recurses, never logs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class NameFault(StrEnum):
    """How the server treats the next query."""

    ANSWER = "answer"
    NXDOMAIN = "nxdomain"
    SERVFAIL = "servfail"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class NameStatistics:
    """A snapshot: queries received in any mode."""

    queries: int


class NameServer(asyncio.DatagramProtocol):
    """Says that every name is at one address, or fails."""

    def __init__(self, address: str = "127.0.0.1", *, ttl_seconds: int = 0) -> None:
        self._address = address
        self._ttl_seconds = ttl_seconds
        self._transport: asyncio.DatagramTransport | None = None
        self._queries = 0
        self.fault = NameFault.ANSWER
        self.port = 0

    async def start(self) -> None:
        """Takes a free loopback port, readable as `port`."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def statistics(self) -> NameStatistics:
        return NameStatistics(self._queries)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._queries += 1
        if self.fault is NameFault.HANG or self._transport is None:
            return
        try:
            answer = self._answer(dns.message.from_wire(data))
        except dns.exception.DNSException:
            return
        self._transport.sendto(answer.to_wire(), addr)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if self.fault is NameFault.NXDOMAIN:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif self.fault is NameFault.SERVFAIL:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif query.question and query.question[0].rdtype == dns.rdatatype.A:
            name = query.question[0].name
            answer.answer.append(
                dns.rrset.from_text(name, self._ttl_seconds, "IN", "A", self._address)
            )
        return answer
