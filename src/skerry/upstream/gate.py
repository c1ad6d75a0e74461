"""The gate before one source: breaker, rate limit, budgets, and what is known of its health.

Owns the mutable state of one source. The decisions are `core.breaker` and `core.limits`. Each
source has its own gate, so that one in trouble starves no other (requirements P1).
"""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from dataclasses import dataclass
from random import Random

from skerry.base.clock import Clock
from skerry.telemetry.events import Events, Level
from skerry.upstream.core import breaker as machine
from skerry.upstream.core import limits
from skerry.upstream.core.judge import is_outage
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.ports import TransportError, Trouble
from skerry.upstream.refusals import Refusals
from skerry.upstream.sources import Source
from skerry.wire.message import Headers


@dataclass(frozen=True, slots=True)
class SourceStatistics:
    """One source as it is now. Times are seconds since the epoch, None for never.

    Attributes:
        breaker: closed, open or half_open.
        blocked_seconds: how long it will not be asked from now, for whatever reason; 0 if at once.
        troubles: (trouble, count) since start.
        requests_left: of our own budget this minute, None without one.
        remaining: what the source last said is left of its limit, None when it does not say.
        in_flight: requests whose body is not at its end.
        failing_since: when it failed first without having answered since; None when it has.
        left_alone: whether it failed, or asked not to be asked, and has not answered since.
    """

    name: str
    kind: str
    breaker: str
    blocked_seconds: float
    last_success_at: float | None
    last_failure_at: float | None
    last_trouble: str
    troubles: tuple[tuple[str, int], ...]
    requests_left: int | None
    remaining: int | None
    in_flight: int
    left_alone: bool = False
    failing_since: float | None = None


class Gate:
    """Lets requests to one source pass, or says why not."""

    def __init__(
        self,
        source: Source,
        *,
        upstream: str,
        clock: Clock,
        events: Events,
        metrics: UpstreamMetrics,
        rng: Random,
    ) -> None:
        self.source = source
        self.metrics = metrics
        self._upstream = upstream
        self._clock = clock
        self._events = events
        self._rng = rng
        self._breaker = machine.Breaker()
        self._bucket = limits.Bucket.full(source.requests_per_minute, clock.monotonic())
        self._pace = limits.Pace(source.bytes_per_second)
        self._slots = asyncio.Semaphore(source.dial.connections_max)
        self._blocked_until = 0.0
        self._in_flight = 0
        self._troubles: Tally[str] = Tally()
        self._last_success_at: float | None = None
        self._last_failure_at: float | None = None
        self._last_trouble = ""
        self._failing_since: float | None = None
        self._remaining: int | None = None
        self.refusals = Refusals(metrics.failures, events, "/".join(self.labels))
        metrics.watch(upstream, source.name, self.statistics)

    @property
    def labels(self) -> tuple[str, str]:
        return (self._upstream, self.source.name)

    def refusal(self) -> TransportError | None:
        """Why a request would not pass now, or None."""
        now = self._clock.monotonic()
        if now < self._blocked_until:
            left = self._blocked_until - now
            return TransportError(
                Trouble.RATE_LIMITED, f"asked not to be asked again for {left:.0f} s"
            )
        left = machine.refused_seconds(self._breaker, now)
        if left > 0:
            why = f" after: {self._last_trouble}" if self._last_trouble else ""
            return TransportError(
                Trouble.BREAKER_OPEN, f"is left alone for another {left:.0f} s{why}"
            )
        return None

    def answers(self) -> bool:
        """Whether the source answered when it was last asked, as far as is known.

        Not the same as that it may be asked now: while nobody asks, an outage does not end.
        """
        closed = self._breaker.state is machine.State.CLOSED
        return closed and self.refused_seconds() == 0

    def refused_seconds(self) -> float:
        """How long a request would not pass from now; 0 when it would."""
        now = self._clock.monotonic()
        return max(0.0, self._blocked_until - now, machine.refused_seconds(self._breaker, now))

    async def admit(self, *, patience_seconds: float) -> Lease:
        """Waits for a connection and a request of the budget; then asks the breaker.

        Raises TransportError BREAKER_OPEN or RATE_LIMITED at once, BUDGET after the patience.
        """
        self._check()
        if self._slots.locked():
            try:
                async with asyncio.timeout(patience_seconds):
                    await self._slots.acquire()
            except TimeoutError:
                raise self._over_budget(
                    f"all {self.source.dial.connections_max} connections are busy"
                ) from None
        else:
            await self._slots.acquire()
        try:
            await self._take_request(patience_seconds)
            self._check()
            ticket = self._pass()
        except BaseException:
            self._slots.release()
            raise
        self._in_flight += 1
        return Lease(self, ticket)

    def _check(self) -> None:
        if (refused := self.refusal()) is not None:
            raise refused

    async def _take_request(self, patience_seconds: float) -> None:
        now = self._clock.monotonic()
        wait = limits.wait_seconds(self._bucket, now)
        if wait > patience_seconds:
            raise self._over_budget(f"{self.source.requests_per_minute} requests/min are used up")
        self._bucket = limits.spend(self._bucket, now)
        if wait > 0:
            await self._clock.sleep(wait)

    def _over_budget(self, what: str) -> TransportError:
        self._troubles[Trouble.BUDGET] += 1
        self.metrics.requests.add(1, *self.labels, Trouble.BUDGET)
        return TransportError(Trouble.BUDGET, what)

    def _pass(self) -> int:
        for command in self._step(machine.Asked()):
            if isinstance(command, machine.Allow):
                return command.ticket
        raise self.refusal() or TransportError(Trouble.BREAKER_OPEN, "is left alone")

    def sent_again(self) -> None:
        """One more request than was admitted went to the source itself."""
        self._bucket = limits.spend(self._bucket, self._clock.monotonic())

    def heard(self, status: int, headers: Headers) -> None:
        """Takes note of what an answer says about limits."""
        remaining = limits.remaining_requests(headers)
        if remaining is not None:
            self._remaining = remaining
        if status not in (429, 503):
            return
        seconds = limits.retry_after_seconds(headers, self._clock.now())
        if seconds is None and status == 429:
            seconds = limits.RATE_LIMITED_SECONDS
        if seconds is None:
            return
        until = self._clock.monotonic() + seconds
        if until > self._blocked_until:
            self._blocked_until = until
            self._events.emit(
                "source.rate_limited",
                "/".join(self.labels),
                cause=f"answered {status}; not asked again for {seconds:.0f} s",
                next_step="raise the limit at the source, or set requests_per_minute below it",
                level=Level.WARNING,
            )

    def received(self, count: int) -> float:
        """Counts body bytes; returns how long to wait before reading on."""
        self.metrics.bytes.add(count, *self.labels)
        self._pace, wait = limits.pay(self._pace, count, self._clock.monotonic())
        return wait

    def wrong_content(self) -> None:
        """What the source gave failed its digest."""
        self._note_failure(Trouble.WRONG_CONTENT, "gave bytes that do not match their digest")
        self._events.emit(
            "source.wrong_content",
            "/".join(self.labels),
            cause="bytes did not match their digest",
            next_step="check the source; what it sent was not kept",
            level=Level.ERROR,
        )
        self._step(machine.Failed(0, self._last_trouble, self._rng.random()))

    def _outcome(self, ticket: int, trouble: Trouble | None, what: str) -> None:
        if trouble is None:
            self._last_success_at, self._failing_since = self._clock.now(), None
            self._step(machine.Succeeded(ticket))
            return
        self._note_failure(trouble, what)
        if is_outage(trouble):
            self._step(machine.Failed(ticket, what, self._rng.random()))
        else:
            self._step(machine.Released(ticket))

    def _note_failure(self, trouble: Trouble, what: str) -> None:
        self._troubles[trouble] += 1
        if is_outage(trouble):
            self._last_failure_at = self._clock.now()
            self._failing_since = self._failing_since or self._last_failure_at
            self._last_trouble = what

    def _step(self, event: machine.Event) -> tuple[machine.Command, ...]:
        self._breaker, commands = machine.step(self._breaker, event, self._clock.monotonic())
        for command in commands:
            if isinstance(command, machine.Opened):
                self.metrics.openings.add(1, *self.labels)
                self._events.emit(
                    "breaker.opened",
                    "/".join(self.labels),
                    cause=command.cause,
                    next_step=f"tried again in {command.cooldown_seconds:.0f} s",
                    level=Level.WARNING,
                )
            elif isinstance(command, machine.Closed):
                self._events.emit(
                    "breaker.closed",
                    "/".join(self.labels),
                    cause=f"answers again after {command.outage_seconds:.0f} s",
                )
        return commands

    def statistics(self) -> SourceStatistics:
        """A snapshot."""
        now = self._clock.monotonic()
        bucket = limits.refill(self._bucket, now)
        return SourceStatistics(
            name=self.source.name,
            kind=self.source.kind.value,
            breaker=self._breaker.state.value,
            blocked_seconds=self.refused_seconds(),
            last_success_at=self._last_success_at,
            last_failure_at=self._last_failure_at,
            last_trouble=self._last_trouble,
            troubles=tuple(sorted(self._troubles.items())),
            requests_left=max(0, int(bucket.tokens)) if bucket.per_minute else None,
            remaining=self._remaining,
            in_flight=self._in_flight,
            left_alone=not self.answers(),
            failing_since=self._failing_since,
        )


class Lease:
    """Leave for one request. Told how it went; gives its connection back on `close`."""

    def __init__(self, gate: Gate, ticket: int) -> None:
        self._gate = gate
        self._ticket = ticket
        self._told = False
        self._closed = False

    def alive(self) -> None:
        """A good body has begun."""
        self._gate._step(machine.Alive(self._ticket))

    def succeeded(self, outcome: str = "ok") -> None:
        """The answer was whole."""
        self._tell(None, "", outcome)

    def failed(self, trouble: Trouble, what: str) -> None:
        """The answer was none, or broke off."""
        self._tell(trouble, what, trouble.value)

    def passed(self, outcome: str) -> None:
        """It ended in a way that says nothing of health."""
        if not self._told:
            self._told = True
            self._gate.metrics.requests.add(1, *self._gate.labels, outcome)
            self._gate._step(machine.Released(self._ticket))

    def _tell(self, trouble: Trouble | None, what: str, outcome: str) -> None:
        if not self._told:
            self._told = True
            self._gate.metrics.requests.add(1, *self._gate.labels, outcome)
            self._gate._outcome(self._ticket, trouble, what)

    def close(self) -> None:
        """Ends the request; one that nobody told about says nothing of health (T30)."""
        if not self._closed:
            self._closed = True
            self._gate._in_flight -= 1
            self._gate._slots.release()
            if not self._told:
                self._told = True
                self._gate._step(machine.Released(self._ticket))
