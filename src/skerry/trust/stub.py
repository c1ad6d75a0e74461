"""The site's own resolver: questions of its clients, as bytes in and out.

Owns the order of the checks and what is counted. Never touches a socket. Who may ask is
`core.names.asking`'s, how much `core.names.budgets`', what is true `resolution`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode

from skerry.base.address import near_of
from skerry.base.clock import Clock
from skerry.telemetry.events import Events, Level
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core.names.asking import Network, is_client, refusal
from skerry.trust.core.names.budgets import ClientBudgets, Verdict, Waiting, ZoneBudgets
from skerry.trust.core.names.local import LocalNames
from skerry.trust.core.names.replies import (
    Said,
    ServerCookies,
    cookie_in,
    little,
    reply,
    said_of,
    wire,
)
from skerry.trust.core.names.values import Answer, Ask, Ede, Kind, Message, Name, Why
from skerry.trust.ports import NoAnswer
from skerry.trust.resolution import REFRESH_SECONDS, Given, Resolution

UNCHECKED_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class StubStatistics:
    """Since start: questions, and what became of those without an answer."""

    questions: int
    refused: int
    short: int
    dropped: int
    flooded: int
    waiting: int


class Stub:
    """Answers the questions of a site; one per node."""

    def __init__(
        self,
        resolution: Resolution,
        *,
        local: LocalNames,
        clients: tuple[Network, ...],
        cookie_secret: bytes,
        clock: Clock,
        events: Events,
        failures: ValidationFailures,
        held: Callable[[Name, Kind], Answer | None],
    ) -> None:
        """`held` gives the last good answer of a name that is held, None for others."""
        self._resolution = resolution
        self._local = local
        self._clients = clients
        self._cookies = ServerCookies(cookie_secret)
        self._clock = clock
        self._events = events
        self._failures = failures
        self._held = held
        self._budgets = ClientBudgets()
        self._zones = ZoneBudgets()
        self._waiting = Waiting()
        self._questions = self._refused = self._short = self._dropped = self._flooded = 0

    def statistics(self) -> StubStatistics:
        """A snapshot."""
        return StubStatistics(
            self._questions,
            self._refused,
            self._short,
            self._dropped,
            self._flooded,
            self._waiting.total,
        )

    async def answer(self, data: bytes, address: str, *, stream: bool) -> bytes | None:
        """The answer to one message; None for none."""
        query = self._read(data)
        if query is None:
            return self._unreadable(data, address, stream=stream)
        self._questions += 1
        client, allowed = near_of(address), is_client(address, self._clients)
        shown = cookie_in(query)
        now = self._clock.now()
        proven = stream or (
            shown is not None and self._cookies.holds(shown.client, shown.server, address, now)
        )
        cookie = None
        if shown is not None:
            cookie = shown.client + self._cookies.make(shown.client, address, now)
        match self._budgets.take(client, self._clock.monotonic(), proven=proven):
            case Verdict.NOTHING:
                self._dropped += 1
                return None
            case Verdict.SHORT if stream or not allowed:
                self._refused += 1
                return wire(
                    query, reply(query, Said(dns.rcode.REFUSED), cookie=cookie), stream=True
                )
            case Verdict.SHORT:
                self._short += 1
                made = reply(query, Said(dns.rcode.NOERROR), cookie=cookie)
                made.flags |= dns.flags.TC
                return made.to_wire()
        said = await self._said(query, client, allowed)
        return wire(query, reply(query, said, cookie=cookie), stream=stream)

    def _unreadable(self, data: bytes, address: str, *, stream: bool) -> bytes | None:
        """FORMERR to a question that is one and goes on wrongly, such as with an option that ends
        too early (RFC 6891 sections 6.1.1 and 7); nothing to what may be no question. Not longer
        than what came, and within the budget of its client."""
        try:
            query = dns.message.from_wire(data, question_only=True)
        except (dns.exception.DNSException, ValueError, IndexError):
            query = None
        asks = query is not None and query.opcode() == dns.opcode.QUERY and len(query.question) == 1
        if query is None or not asks or query.flags & dns.flags.QR:
            self._dropped += 1
            return None
        now = self._clock.monotonic()
        if self._budgets.take(near_of(address), now, proven=stream) is Verdict.NOTHING:
            self._dropped += 1
            return None
        self._refused += 1
        made = dns.message.make_response(query)
        made.set_rcode(dns.rcode.FORMERR)
        return made.to_wire()

    def _read(self, data: bytes) -> Message | None:
        """What cannot be read, or is no question, gets no answer: it might be one itself."""
        try:
            query = dns.message.from_wire(data, keyring=False, ignore_trailing=True)
        except (dns.exception.DNSException, ValueError, IndexError):
            return None
        return None if query.flags & dns.flags.QR else query

    async def _said(self, query: Message, client: str, allowed: bool) -> Said:
        refused = refusal(query, is_client=allowed)
        if refused is not None and refused.any:
            return little(query.question[0].name)
        if refused is not None:
            self._refused += 1
            return Said(refused.rcode, why=refused.why)
        question = query.question[0]
        name, kind = question.name, Kind.make(question.rdtype)
        own = self._local.answer(name, kind) or self._held(name, kind)
        if own is not None:
            return said_of(own, own.ttl_seconds, authentic=False, why=own.why)
        if zone := self._over_budget(name, kind):
            self._flooded += 1
            why = Why(Ede.PROHIBITED, f"too many unknown names are asked for in {zone}")
            return Said(dns.rcode.SERVFAIL, why=why)
        if not self._waiting.enter(client):
            self._refused += 1
            return Said(dns.rcode.SERVFAIL, why=Why(Ede.PROHIBITED, "too many questions wait"))
        try:
            if query.flags & dns.flags.CD:
                return await self._unchecked(name, kind)
            wants = bool(query.ednsflags & dns.flags.DO)
            given = await self._resolution.resolve(
                name, kind, within_seconds=REFRESH_SECONDS, signatures=wants
            )
        finally:
            self._waiting.leave(client)
        return self._given(given)

    def _given(self, given: Given) -> Said:
        answer = given.answer
        if answer is None or given.rcode == dns.rcode.SERVFAIL:
            return Said(dns.rcode.SERVFAIL, why=given.why)
        if given.inside:
            why = Why(Ede.BLOCKED, f"it leads to {given.inside}, an inside address")
            return Said(dns.rcode.REFUSED, why=why)
        return said_of(answer, given.ttl_seconds, authentic=given.authentic, why=given.why)

    async def _unchecked(self, name: Name, kind: Kind) -> Said:
        """For those who check themselves and want to see what there is (the CD bit)."""
        try:
            found = await self._resolution.ask_unchecked(Ask(name, kind), UNCHECKED_SECONDS)
        except NoAnswer as error:
            return Said(dns.rcode.SERVFAIL, why=Why(Ede.NO_REACHABLE_AUTHORITY, error.what))
        if inside := self._resolution.rebinding.led_inside(name, found.answer):
            self._failures.failed(Cause.DNS_REBINDING)
            why = Why(Ede.BLOCKED, f"it leads to {inside}, an inside address")
            return Said(dns.rcode.REFUSED, why=why)
        return Said(found.rcode(), tuple(found.answer), tuple(found.authority), ttl_seconds=86400.0)

    def _over_budget(self, name: Name, kind: Kind) -> str:
        """The zone that has denied too many names lately, when this one is not known to be."""
        zone = self._zones.is_flooded(name, self._clock.monotonic())
        if zone is None or self._resolution.cache.entry((name, kind)) is not None:
            return ""
        return zone.to_text()

    def denied(self, answer: Answer) -> None:
        """A name has turned out not to exist."""
        zone = next((each.name for each in answer.authority if each.rdtype == Kind.SOA), None)
        if zone is None:
            zone = answer.name.parent() if len(answer.name) > 1 else answer.name
        if self._zones.denied(zone, self._clock.monotonic()):
            self._failures.failed(Cause.DNS_NXDOMAIN_FLOOD)
            self._events.emit(
                "dns.flood",
                zone.to_text(omit_final_dot=True),
                cause="more names that do not exist are asked for in it than anybody mistypes",
                next_step="names that are known go on being answered; find out which client asks",
                level=Level.WARNING,
            )
