"""Whether answers are checked, and with whose help.

Owns the threads that check signatures, the questions that a check needs, and the rule when there
is anything to check at all. What an answer is worth is `core.names.judgement`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import TypeVar

import dns.name

from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.telemetry.events import Events
from skerry.trust.core.names.anchors import Anchors
from skerry.trust.core.names.chain import Known, NoCut, Walk
from skerry.trust.core.names.judgement import Judge
from skerry.trust.core.names.signatures import Work
from skerry.trust.core.names.values import (
    Answer,
    Ask,
    Kind,
    Message,
    Name,
    Security,
    Unanswered,
    signatures,
)
from skerry.trust.ports import NameServers, NoAnswer

ASK_SECONDS = 3.0
"""For one question to all servers."""
ASKS_MAX = 64
"""To judge one answer."""
JUDGES_MAX = 2
"""Threads that check signatures at once."""
PROBE_SECONDS = 600.0
"""Between two looks whether servers that did not pass signatures on do now."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ValidationStatistics:
    """A snapshot: chains of names that are asked for now."""

    flying_count: int


class Validation:
    """Judges answers. `anchors` of None: signatures are not checked.

    With `opportune` they are as soon as these servers have shown that they pass them on, which
    `on_shown` is told; from then on a missing one is bogus. Other servers, on another network,
    have to show it anew.
    """

    def __init__(
        self,
        servers: NameServers,
        *,
        anchors: Anchors | None,
        opportune: bool,
        clock: Clock,
        nursery: Nursery,
        events: Events,
        on_shown: Callable[[], object],
    ) -> None:
        self._servers = servers
        self._anchors = anchors
        self._opportune = opportune
        self._clock = clock
        self._nursery = nursery
        self._events = events
        self._on_shown = on_shown
        self._shown_by: tuple[str, ...] = ()
        self._probed: tuple[str, ...] = ()
        self._probed_at = -PROBE_SECONDS
        self.known = Known()
        self._support: SingleFlight[Ask, Message | None] = SingleFlight(nursery, name="dns chain")
        self._judges = asyncio.Semaphore(JUDGES_MAX)

    @property
    def checks(self) -> bool:
        """Whether signatures are checked."""
        if self._anchors is None or not self._opportune:
            return self._anchors is not None
        return bool(self._shown_by) and self._shown_by == self._servers.names()

    async def judge(self, reply: Message, name: Name, kind: Kind, *, checked: bool) -> Answer:
        """What an answer is worth. Raises Unanswered."""
        if self._anchors is None or not checked:
            return self._unchecked(reply, name, kind)
        walk = self._walk(self._anchors)
        answer = await self._driven(Judge(walk, reply, name=name, kind=kind).judging(), name, kind)
        if answer.security is Security.BOGUS and self._opportune and self._is_made_up(name):
            return self._unchecked(reply, name, kind)
        return answer

    def _walk(self, anchors: Anchors) -> Walk:
        return Walk(anchors, self.known, self._clock.now(), Work())

    def _unchecked(self, reply: Message, name: Name, kind: Kind) -> Answer:
        judging = Judge(self._walk(Anchors(())), reply, name=name, kind=kind).judging()
        made = _advance(judging, None)
        assert isinstance(made, Answer)  # noqa: S101
        return made

    def _is_made_up(self, name: Name) -> bool:
        """Whether the root proves that there is no such top level: the network's own names."""
        top = self.known.get(name.split(2)[1], self._clock.now()) if len(name) > 1 else None
        return isinstance(top, NoCut) and top.nothing

    async def _driven(
        self, judging: Generator[Ask, Message | None, T], name: Name, kind: Kind
    ) -> T:
        """Asks for it what it needs. Raises Unanswered."""
        sent: Message | None = None
        for _ in range(ASKS_MAX):
            # Signatures are checked in a thread: they may take milliseconds each.
            async with self._judges:
                step = await asyncio.to_thread(_advance, judging, sent)
            if not isinstance(step, Ask):
                return step
            sent = await self._support.run(step, self._supporting(step))
        raise Unanswered(Ask(name, kind))

    def probe_soon(self) -> None:
        """Whether these servers pass signatures on, asked behind everybody's back."""
        if not self._opportune or self.checks:
            return
        now, servers = self._clock.monotonic(), self._servers.names()
        if servers == self._probed and now < self._probed_at + PROBE_SECONDS:
            return
        self._probed, self._probed_at = servers, now
        self._nursery.start(self._probe(servers), name="dns probe")

    async def _probe(self, servers: tuple[str, ...]) -> None:
        assert self._anchors is not None  # noqa: S101
        root = dns.name.root
        anchored = max((each.zone for each in self._anchors.anchors), key=len, default=root)
        try:
            reply = await self._servers.ask(
                Ask(anchored, Kind.DNSKEY), signatures=True, within_seconds=ASK_SECONDS
            )
            signed = signatures(reply.answer, anchored, Kind.DNSKEY)
            walking = self._walk(self._anchors).zone_of(anchored)
            zone = await self._driven(walking, anchored, Kind.DNSKEY) if signed else None
        except (NoAnswer, Unanswered):
            return  # nobody answers: nothing is shown, either way
        if zone is not None and zone.security is Security.SECURE:
            self._shown_by = servers
            self._on_shown()
            self._events.emit("dns.validating", ", ".join(servers), cause="they pass signatures on")
        else:
            self._events.emit(
                "dns.unvalidated",
                ", ".join(servers),
                cause="these name servers leave out or spoil DNSSEC's signatures",
                next_step="to have names proven, name others in dns.servers; or set dns.dnssec",
            )

    def _supporting(self, ask: Ask) -> Callable[[], Coroutine[None, None, Message | None]]:
        async def supported() -> Message | None:
            try:
                return await self._servers.ask(ask, signatures=True, within_seconds=ASK_SECONDS)
            except NoAnswer:
                return None

        return supported

    def statistics(self) -> ValidationStatistics:
        """A snapshot."""
        return ValidationStatistics(len(self._support))


def _advance(judging: Generator[Ask, Message | None, T], sent: Message | None) -> Ask | T:
    """One step of a judgement: the next question, or the end. Raises Unanswered."""
    try:
        return judging.send(sent)
    except StopIteration as done:
        found: T = done.value
        return found
