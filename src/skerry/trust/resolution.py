"""Names that can be believed: asked, judged, kept, and answered while nobody answers.

Owns when a question is asked and how long its asker waits. What an answer is worth is
`core.names.judgement`'s, which answer is used `core.names.cache`'s. RFC 8767, RFC 4035, RFC 9520.
Loaded late: it takes dnspython, and cryptography where signatures are checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import dns.name
import dns.rcode

from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.telemetry.events import Events, Level
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core.names.anchors import Anchors
from skerry.trust.core.names.cache import (
    CLIENT_SECONDS,
    STALE_TTL_SECONDS,
    AnswerCache,
    Entry,
    Key,
    Now,
    Policy,
    Use,
    stale_why,
)
from skerry.trust.core.names.judgement import LINKS_MAX, follow
from skerry.trust.core.names.rebinding import Rebinding
from skerry.trust.core.names.values import (
    Answer,
    Ask,
    Ede,
    Kind,
    Message,
    Name,
    Security,
    Unanswered,
    Why,
)
from skerry.trust.ports import NameServers, NoAnswer
from skerry.trust.validation import ASK_SECONDS, Validation

REFRESH_SECONDS = 10.0
"""For a question with all that is asked to judge its answer."""
FLIGHTS_MAX = 1024


@dataclass(frozen=True, slots=True)
class Given:
    """What an asker gets.

    Attributes:
        rcode: as the answer's; SERVFAIL when there is none.
        why: what the asker may be told besides (RFC 8914).
        stale: an old answer, for want of a new one.
        inside: the inside address that a name leads to which may not; "" for none.
        ttl_seconds: what is left.
        authentic: every part is signed, and the signatures hold now (the AD bit).
    """

    rcode: int
    answer: Answer | None = None
    why: Why | None = None
    stale: bool = False
    inside: str = ""
    ttl_seconds: float = 0.0
    authentic: bool = False


@dataclass(frozen=True, slots=True)
class ResolutionStatistics:
    """Since start, and what is kept now.

    Attributes:
        asked, from_cache, stale, failed: questions by how they were answered, each in one of them;
            `asked` are those to which servers gave the answer just then.
    """

    asked: int
    from_cache: int
    stale: int
    failed: int
    secure: int
    insecure: int
    bogus: int
    indeterminate: int
    kept: int
    zones: int


class Resolution:
    """Answers questions; one of them per node. `anchors` and `opportune` as for `Validation`."""

    def __init__(
        self,
        servers: NameServers,
        *,
        clock: Clock,
        nursery: Nursery,
        events: Events,
        failures: ValidationFailures,
        rebinding: Rebinding,
        anchors: Anchors | None,
        opportune: bool = False,
        policy: Policy | None = None,
    ) -> None:
        self._servers = servers
        self._clock = clock
        self._events = events
        self._failures = failures
        self.rebinding = rebinding
        self.cache = AnswerCache(policy)
        self.validation = Validation(
            servers,
            anchors=anchors,
            opportune=opportune,
            clock=clock,
            nursery=nursery,
            events=events,
            on_shown=lambda: self.cache.forget(dns.name.root),  # what came before was unchecked
        )
        self._flights: SingleFlight[Key, Answer | None] = SingleFlight(nursery, name="dns refresh")
        self._asked = self._from_cache = self._stale = self._failed = 0
        self._verdicts = dict.fromkeys(Security, 0)
        self.on_denied: Callable[[Answer], None] = lambda answer: None

    def statistics(self) -> ResolutionStatistics:
        """A snapshot."""
        return ResolutionStatistics(
            self._asked,
            self._from_cache,
            self._stale,
            self._failed,
            self._verdicts[Security.SECURE],
            self._verdicts[Security.INSECURE],
            self._verdicts[Security.BOGUS],
            self._verdicts[Security.INDETERMINATE],
            len(self.cache),
            len(self.validation.known),
        )

    async def resolve(
        self,
        name: Name,
        kind: Kind,
        *,
        within_seconds: float = REFRESH_SECONDS,
        stale_after_seconds: float = CLIENT_SECONDS,
        signatures: bool = False,
        own: bool = False,
    ) -> Given:
        """What is believed of a question, within the time; never raises for want of an answer.

        `signatures`: the asker checks them itself, and is given nothing that has outlived them.
        `own`: the node asks, to dial; where a name leads is then judged and told at the moment of
        connecting, and not here, too.
        """
        given = await self._resolve(name, kind, within_seconds, stale_after_seconds, signatures)
        if given.inside and not own:
            self._tell_inside(name, given.inside)
        return given

    async def _resolve(
        self,
        name: Name,
        kind: Kind,
        within_seconds: float,
        stale_after_seconds: float,
        signatures: bool,
    ) -> Given:
        self.validation.probe_soon()
        key = (name, kind)
        use = self.cache.use(key, self._now(), signatures=signatures)
        match use:
            case Use.FRESH | Use.AHEAD | Use.STALE:
                return self._at_hand(key, use)
            case Use.FAIL:
                return self._given_failure(key, within_seconds)
            case Use.ASK_OR_STALE:
                answer = await self._within(key, min(stale_after_seconds, within_seconds))
            case Use.ASK:
                answer = await self._within(key, within_seconds)
        if answer is not None:
            self._asked += 1
            return self._given(answer, answer.ttl_seconds)
        entry = self.cache.entry(key)
        if use is Use.ASK_OR_STALE and entry is not None and self._may_be_stale(entry, signatures):
            return self._given_stale(entry)
        return self._given_failure(key, within_seconds)

    async def ask_unchecked(self, ask: Ask, within_seconds: float) -> Message:
        """What servers say, neither judged nor kept. Raises NoAnswer."""
        return await self._servers.ask(ask, signatures=True, within_seconds=within_seconds)

    def _at_hand(self, key: Key, use: Use) -> Given:
        entry = self.cache.entry(key)
        assert entry is not None  # noqa: S101
        if use is Use.STALE:
            return self._given_stale(entry)
        self._from_cache += 1
        if use is Use.AHEAD:
            self._start(key)
        return self._given(entry.answer, entry.left(self._now()))

    async def refresh(self, name: Name, kind: Kind) -> Given:
        """Asks anew, whatever is kept."""
        answer = await self._within((name, kind), REFRESH_SECONDS)
        if answer is not None:
            return self._given(answer, answer.ttl_seconds)
        return self._given_failure((name, kind), REFRESH_SECONDS)

    def _may_be_stale(self, entry: Entry, signatures: bool) -> bool:
        return self.cache.may_be_stale(entry, self._now(), signatures=signatures)

    def _given(self, answer: Answer, ttl_seconds: float) -> Given:
        if answer.security is Security.BOGUS:
            return Given(dns.rcode.SERVFAIL, answer, answer.why)
        inside = self.rebinding.led_inside(answer.name, answer.answer)
        authentic = answer.security is Security.SECURE
        return Given(answer.rcode, answer, None, False, inside, ttl_seconds, authentic)

    def _given_stale(self, entry: Entry) -> Given:
        self._stale += 1
        answer, ttl = entry.answer, float(STALE_TTL_SECONDS)
        if answer.signed_until is not None and self._clock.now() < answer.signed_until:
            ttl = min(ttl, answer.signed_until - self._clock.now())
        given = self._given(answer, ttl)
        holds = answer.signed_until is not None and self._clock.now() < answer.signed_until
        return replace(
            given, why=stale_why(answer), stale=True, authentic=given.authentic and holds
        )

    def _given_failure(self, key: Key, within_seconds: float) -> Given:
        self._failed += 1
        failure = self.cache.failure(key)
        if failure is not None:
            return Given(dns.rcode.SERVFAIL, None, failure.why)
        what = f"no DNS answer within {within_seconds:.1f} s"
        return Given(dns.rcode.SERVFAIL, None, Why(Ede.NO_REACHABLE_AUTHORITY, what))

    async def _within(self, key: Key, seconds: float) -> Answer | None:
        """The flight's answer; None when it has none, or none yet: it goes on."""
        flight = self._start(key)
        if flight is None:
            return None
        await asyncio.wait({flight}, timeout=seconds)
        return flight.result() if flight.done() and not flight.cancelled() else None

    def _start(self, key: Key) -> asyncio.Future[Answer | None] | None:
        if len(self._flights) >= FLIGHTS_MAX and key not in self._flights:
            return None
        return self._flights.start(key, lambda: self._refresh(key))

    async def _refresh(self, key: Key) -> Answer | None:
        name, kind = key
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                checked = self.validation.checks  # may become true while this is under way
                reply = await self._ask_along(name, kind, checked)
                answer = await self.validation.judge(reply, name, kind, checked=checked)
        except NoAnswer as error:
            ede = Ede.NO_REACHABLE_AUTHORITY if not error.failed else Ede.NETWORK_ERROR
            self._no_answer(key, Why(ede, error.what), failed=error.failed)
            return None
        except (Unanswered, TimeoutError) as error:
            what = str(error) or f"no DNS answer within {REFRESH_SECONDS:.0f} s"
            self._no_answer(key, Why(Ede.NO_REACHABLE_AUTHORITY, what), failed=False)
            return None
        self._verdicts[answer.security] += 1
        self._tell(answer)
        if answer.rcode == dns.rcode.NXDOMAIN:
            self.on_denied(answer)
        self.cache.put(answer, self._now())
        return answer

    def _no_answer(self, key: Key, why: Why, *, failed: bool) -> None:
        if failed:
            self._failures.failed(Cause.DNS_SERVFAIL)
        self.cache.failed(key, why, self._now())

    async def _ask_along(self, name: Name, kind: Kind, signatures: bool) -> Message:
        """The answer with all of its aliases, which one server may not all have given."""
        reply = await self._ask(Ask(name, kind), signatures)
        for _ in range(LINKS_MAX):
            links = follow(reply.answer, name, kind)
            ended = links.found or links.too_long or links.end == name
            if ended or reply.authority or reply.rcode() != dns.rcode.NOERROR:
                break
            more = await self._ask(Ask(links.end, kind), signatures)
            reply.answer += [each for each in more.answer if each not in reply.answer]
            reply.authority = more.authority
            reply.set_rcode(more.rcode())
        return reply

    async def _ask(self, ask: Ask, signatures: bool) -> Message:
        return await self._servers.ask(ask, signatures=signatures, within_seconds=ASK_SECONDS)

    def _tell(self, answer: Answer) -> None:
        """Counts what is not to be believed, each thing by its own cause."""
        if answer.security is Security.BOGUS and answer.why is not None:
            expired = answer.why.ede is Ede.SIGNATURE_EXPIRED
            self._failures.failed(Cause.DNS_SIGNATURE_EXPIRED if expired else Cause.DNS_BOGUS)
            self._events.emit(
                "dns.bogus",
                answer.name.to_text(omit_final_dot=True),
                cause=answer.why.what,
                next_step="ask its owner, or see `skerry names`: a name that this network makes "
                "up itself belongs into dns.private_names",
                level=Level.WARNING,
            )

    def _tell_inside(self, name: Name, inside: str) -> None:
        self._failures.failed(Cause.DNS_REBINDING)
        self._events.emit(
            "dns.rebinding",
            name.to_text(omit_final_dot=True),
            cause=f"it leads to {inside}, an inside address",
            next_step="if it is yours, list it in dns.private_names",
            level=Level.WARNING,
        )

    def _now(self) -> Now:
        return Now(self._clock.monotonic(), self._clock.now())
