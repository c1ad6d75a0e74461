"""The watch over the domains that this node's names are under.

Owns when each is looked at, what comes of it (an event, a count, a hold on its names), and the
floor under the versions of signed states. What differs is `core.delegation`'s to say, what is told
`core.drift`'s, which state is believed `core.domain_state`'s. Requirements D4, S4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.telemetry.events import Events, Level
from skerry.telemetry.horizon import Expires, Expiry
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core import drift as machine
from skerry.trust.core.delegation import (
    NEXT_STEPS,
    Aspect,
    Delegation,
    Drift,
    Expected,
    Registration,
    compare,
    known,
)
from skerry.trust.core.domain_state import Accepted, Floor, StateRefused, accept, read_state
from skerry.trust.core.threshold import Policy
from skerry.trust.ports import NamePins, PinsUnusable
from skerry.trust.watch_ports import (
    Authorities,
    Kept,
    Registrars,
    RegistrarUnavailable,
    WatchBook,
    WatchUnusable,
    Zone,
)

AGAIN_SECONDS = 5.0
"""A look that found something else is made sure of this soon: with the interval, under 60 s."""
REGISTRAR_RETRY_SECONDS = 3600.0
"""After the first failure; twice as long after each further one."""
REGISTRAR_FAILURES_TOLD = 3
FORGOTTEN = {Aspect.EXPIRY: "domain.expires", Aspect.STATE: "domain.no_state"}
"""Events of what somebody forgot: nobody is in control who should not be."""
HOLD_REASON = "delegation: "
"""How a hold of this watch begins; others are left alone."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One domain.

    Attributes:
        read: the signed state's file as it is now. Raises OSError.
        policy: whose signatures it needs.
        near_seconds: how long before its end a registration is told of.
        registrar: whether its registrar is asked.
    """

    zone: Zone
    read: Callable[[], Awaitable[bytes]]
    policy: Policy
    near_seconds: float
    registrar: bool = True


@dataclass(frozen=True, slots=True)
class DomainStatistics:
    """One domain as it is now. Times are in seconds since the epoch, 0 for never.

    Attributes:
        version: of the state it is compared with; 0 without one.
        seen: what its name servers said last; fields nobody could be asked about are None.
        trouble: why the signed state is not taken, "" when it is.
        heard_at: when its name servers last said anything.
        held: nothing new is believed of names below.
    """

    domain: str
    version: int
    expected: Expected | None
    seen: Delegation
    registration: Registration | None
    drifts: tuple[Drift, ...]
    trouble: str
    looked_at: float
    heard_at: float
    held: bool


class DomainWatch:
    """One domain's."""

    def __init__(
        self,
        watched: Watched,
        kept: Kept,
        *,
        authorities: Authorities,
        pins: NamePins,
        now: Callable[[], float],
        events: Events,
        failures: ValidationFailures,
        save: Callable[[str, Kept], Awaitable[None]],
    ) -> None:
        self.watched = watched
        self.domain = watched.zone.domain
        self.kept = kept
        self._authorities = authorities
        self._pins = pins
        self._now = now
        self._events = events
        self._failures = failures
        self._save = save
        self._expected = read_state(kept.payload) if kept.payload else None
        self._told = machine.Told(kept.drifts)
        self._read = b""
        self._seen = Delegation()
        self._trouble = ""
        self._looked_at = self._heard_at = 0.0
        self._turn = asyncio.Lock()

    async def look(self) -> None:
        """Looks once, and does what comes of it. Never raises for what others do."""
        async with self._turn:
            await self._read_state()
            self._seen = await self._authorities.look(self.watched.zone)
            self._looked_at = self._now()
            if self._seen != Delegation():
                self._heard_at = self._looked_at
            await self._judge(self._seen)

    async def registered(self, registration: Registration) -> None:
        """Takes what the registrar said, and judges anew."""
        async with self._turn:
            kept = replace(self.kept, registration=registration, registered_at=self._now())
            await self._keep(kept)
            # Nothing new was seen of its name servers: what is doubted of them stays so.
            await self._judge(Delegation())

    def registrar_is_silent(self, error: RegistrarUnavailable) -> None:
        """Says that dates and status are not looked at now. Not a drift: an outage."""
        self._events.emit(
            "domain.registrar_silent",
            self.domain,
            cause=error.what,
            next_step="nothing: it is asked again; name its service in rdap if it has another",
            level=Level.WARNING,
        )

    @property
    def doubtful(self) -> bool:
        """Whether the last look found something else than was told."""
        return machine.doubted(self._told)

    def expiry(self) -> Expiry | None:
        """When the registration ends, as far as anybody said."""
        told = self.kept.registration
        at = told.expires_at if told else None
        if at is None and self._expected is not None:
            at = self._expected.expires_at
        return None if at is None else Expiry(Expires.DOMAIN, self.domain, at)

    def statistics(self) -> DomainStatistics:
        """A snapshot."""
        expected = self._expected
        return DomainStatistics(
            domain=self.domain,
            version=expected.version if expected else 0,
            expected=expected,
            seen=self._seen,
            registration=self.kept.registration,
            drifts=self._told.drifts,
            trouble=self._trouble,
            looked_at=self._looked_at,
            heard_at=self._heard_at,
            held=self._told.holds,
        )

    async def _read_state(self) -> None:
        """Takes a state that was newly signed; one that is refused leaves the last in force."""
        try:
            data = await self.watched.read()
        except OSError as error:
            self._trouble = f"the signed state cannot be read: {error.strerror}"
            return
        if data == self._read and not self._trouble:
            return
        try:
            accepted = await asyncio.to_thread(self._accepted, data)
        except StateRefused as error:
            self._trouble = error.what
            return
        self._read, self._trouble = data, ""
        if accepted.digest == self.kept.digest:
            return
        self._expected = accepted.expected
        await self._keep(replace(self.kept, payload=accepted.payload, digest=accepted.digest))
        self._events.emit(
            "domain.state_accepted",
            self.domain,
            cause=f"version {accepted.expected.version}, signed by {', '.join(accepted.signers)}",
        )

    def _accepted(self, data: bytes) -> Accepted:
        floor = None
        if self._expected is not None and self.kept.digest is not None:
            floor = Floor(self._expected.version, self.kept.digest)
        return accept(data, self.domain, self.watched.policy, now=self._now(), floor=floor)

    async def _judge(self, seen: Delegation) -> None:
        found: list[Drift] = []
        aspects = frozenset({Aspect.STATE})
        if self._trouble:
            # Before the first state there is nothing that names could be held to.
            found.append(Drift(Aspect.STATE, self._trouble, holds=self._expected is not None))
        if self._expected is not None:
            registration = self.kept.registration
            found += compare(
                self._expected,
                seen,
                registration,
                now=self._now(),
                near_seconds=self.watched.near_seconds,
            )
            aspects |= known(seen, registration)
        self._told, commands = machine.look(self._told, found, aspects)
        if self._told.drifts != self.kept.drifts:
            await self._keep(replace(self.kept, drifts=self._told.drifts))
        for command in commands:
            await self._perform(command)

    async def _perform(self, command: machine.Command) -> None:
        match command:
            case machine.Tell(drift):
                kind = "domain.drift" if drift.holds else FORGOTTEN[drift.aspect]
                if drift.holds:
                    self._failures.failed(Cause.DELEGATION_DRIFT)
                self._events.emit(
                    kind,
                    self.domain,
                    cause=f"{drift.aspect}: {drift.what}",
                    next_step=NEXT_STEPS[drift.aspect],
                    level=Level.ERROR if drift.holds else Level.WARNING,
                )
            case machine.Over(drift):
                if drift.holds:
                    self._events.emit("domain.drift_over", self.domain, cause=f"{drift.aspect}")
            case machine.Hold(reason):
                await self._hold(reason)
            case machine.Release():
                await self._release()

    async def _hold(self, reason: str) -> None:
        try:
            await self._pins.hold(self.domain, f"{HOLD_REASON}{reason}")
        except SkerryError as error:  # in memory it is held all the same
            self._not_kept(error)

    async def _release(self) -> None:
        """Only what this watch holds: an operator's own hold is theirs to release."""
        hold = self._pins.hold_of(self.domain)
        if hold is None or hold.name != self.domain or not hold.reason.startswith(HOLD_REASON):
            return
        try:
            await self._pins.release(self.domain)
        except PinsUnusable as error:
            self._not_kept(error)

    async def _keep(self, kept: Kept) -> None:
        self.kept = kept
        try:
            await self._save(self.domain, kept)
        except WatchUnusable as error:
            self._not_kept(error)

    def _not_kept(self, error: SkerryError) -> None:
        self._events.emit(
            "domain.not_kept", self.domain, cause=error.what, next_step=error.next_step,
            level=Level.WARNING,
        )  # fmt: skip


class DelegationWatch:
    """All of them."""

    def __init__(
        self,
        watched: Sequence[Watched],
        *,
        authorities: Authorities,
        registrars: Registrars,
        book: WatchBook,
        pins: NamePins,
        clock: Clock,
        now: Callable[[], float],
        events: Events,
        failures: ValidationFailures,
        nursery: Nursery,
        chance: Random,
        every_seconds: float,
        registrar_seconds: float,
    ) -> None:
        """`now` never goes back; versions and ends are judged by it. Raises WatchUnusable."""
        self._authorities = authorities
        self._registrars = registrars
        self._book = book
        self._clock = clock
        self._nursery = nursery
        self._chance = chance
        self._every_seconds = every_seconds
        self._registrar_seconds = registrar_seconds
        self._now = now
        self._kept = dict(book.load())
        self.domains = {
            each.zone.domain: DomainWatch(
                each,
                self._kept.get(each.zone.domain, Kept()),
                authorities=authorities,
                pins=pins,
                now=now,
                events=events,
                failures=failures,
                save=self._save,
            )
            for each in watched
        }

    def start(self) -> None:
        """Watches from now on."""
        for domain in self.domains.values():
            self._nursery.start(self._look(domain), name=f"watch {domain.domain}")
            if domain.watched.registrar:
                self._nursery.start(self._ask(domain), name=f"registrar {domain.domain}")

    def expiries(self) -> tuple[Expiry, ...]:
        """For the horizon: when each registration ends, as far as anybody said."""
        found = (domain.expiry() for domain in self.domains.values())
        return tuple(each for each in found if each is not None)

    async def seen(self, domain: str) -> tuple[Delegation, Registration | None]:
        """What is seen of any domain now, for a state that is to be signed."""
        watch = self.domains.get(domain)
        zone = watch.watched.zone if watch is not None else Zone(domain)
        delegation = await self._authorities.look(zone)
        try:
            return delegation, await self._registrars.ask(domain)
        except RegistrarUnavailable:
            return delegation, watch.kept.registration if watch is not None else None

    async def check(self, domain: DomainWatch) -> None:
        """Asks everybody and looks until two looks agree, for somebody who waits."""
        if domain.watched.registrar:
            try:
                await domain.registered(await self._registrars.ask(domain.domain))
            except RegistrarUnavailable:
                pass  # what it said last stands
        await domain.look()
        if domain.doubtful:
            await domain.look()

    async def _look(self, domain: DomainWatch) -> None:
        while True:
            await domain.look()
            soon = min(self._every_seconds, AGAIN_SECONDS)
            await self._clock.sleep(soon if domain.doubtful else self._every_seconds)

    async def _ask(self, domain: DomainWatch) -> None:
        """Rarely: registrars bound how often they are asked (RFC 7480 section 5.5)."""
        since = self._now() - domain.kept.registered_at
        if 0 <= since < self._registrar_seconds:
            await self._clock.sleep(self._registrar_seconds - since)
        failures = 0
        while True:
            try:
                registration = await self._registrars.ask(domain.domain)
            except RegistrarUnavailable as error:
                wait = min(REGISTRAR_RETRY_SECONDS * 2**failures, self._registrar_seconds)
                wait = max(wait, error.again_seconds or 0.0)
                failures += 1
                if failures == REGISTRAR_FAILURES_TOLD:
                    domain.registrar_is_silent(error)
            else:
                failures, wait = 0, self._registrar_seconds
                await domain.registered(registration)
            # Many nodes that were started together must not ask together for ever.
            await self._clock.sleep(wait * (0.9 + 0.2 * self._chance.random()))

    async def _save(self, domain: str, kept: Kept) -> None:
        self._kept[domain] = kept
        await self._book.save(self._kept)
