"""What is not here costs upstream work: charged to whoever asks for it, before it is done.

Owns the budgets of upstream work by authority, and what was spent and refused by source class. The
fairness is `core.shares`. Never limits a hit, never binds to one address, and never tells who a
person is: what is counted is where an address is, roughly (requirements D5, L1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from skerry.base.address import AddressClass, class_of, network_of
from skerry.base.clock import Clock
from skerry.base.errors import Party, SkerryError
from skerry.telemetry.events import Events, Level
from skerry.telemetry.labels import Values
from skerry.telemetry.metrics import Registry
from skerry.upstream.core.shares import Asker, Refused, Shares, Standing, Why, Wish
from skerry.upstream.measures import AUTHORITIES
from skerry.upstream.ports import Cause, Trouble, Unavailable
from skerry.wire.message import Request

IDENTIFIED = "identified"
"""The source class of whoever has proven who they are, wherever they are."""
SOURCES = (IDENTIFIED, *(each.value for each in AddressClass))
DAY_SECONDS = 86400.0
OUTCOMES = ("asked", "absent", *(each.value for each in Why))
TELL_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class MissRules:
    """What may be spent on one authority; 0 for no limit.

    Attributes:
        misses_per_minute: requests that clients cause.
        bytes_per_day: of bodies that clients cause.
    """

    misses_per_minute: int = 0
    bytes_per_day: int = 0


@dataclass(frozen=True, slots=True)
class Payer:
    """Who the work of one request is charged to, and its bounded source class."""

    asker: Asker
    source: str


def payer_of(request: Request, identity: str = "") -> Payer:
    """The payer of a request; `identity` is a proven name, "" for none."""
    asker = Asker(identity, network_of(request.client), str(request.client_port))
    return Payer(asker, IDENTIFIED if identity else class_of(request.client).value)


class Spent(Unavailable):
    """This asker's share of upstream work is used up, or everybody's. Always passing."""

    party = Party.CLIENT

    def __init__(self, authority: str, refused: Refused) -> None:
        what = (
            f"too much that is not here was asked of {authority} from where this request comes"
            if refused.why is Why.OVER_SHARE
            else f"what may be asked of {authority} in a minute is used up"
        )
        seconds = refused.retry_after_seconds
        step = f"try again in {seconds} s; what is here is served all the while"
        SkerryError.__init__(self, what, next_step=step)
        self.upstream = authority
        self.causes = (Cause(authority, Trouble.BUDGET, what),)
        self.retry_after_seconds = seconds
        self.why = refused.why


class MissMeters:
    """The metric families, declared once per node."""

    def __init__(self, registry: Registry) -> None:
        labels: dict[str, Values] = {
            "upstream": AUTHORITIES,
            "source": SOURCES,
        }
        self.misses = registry.counter(
            "skerry_misses",
            "Requests that needed upstream work, by where they came from and what became of them.",
            {**labels, "outcome": OUTCOMES},
        )
        self.bytes = registry.counter(
            "skerry_miss_bytes",
            "Bytes that clients had fetched from upstreams, by where they came from.",
            labels,
        )


@dataclass(frozen=True, slots=True)
class Spending:
    """What one source class cost one authority since start.

    Attributes:
        source: `identified`, `loopback`, `private`, `shared`, `public` or `unknown`.
        asked_count: pieces of upstream work that were done.
        absent_count: of these, how many found nothing.
        refused_count: pieces that were not done.
        fetched_bytes: of bodies.
    """

    upstream: str
    source: str
    asked_count: int
    absent_count: int
    refused_count: int
    fetched_bytes: int


@dataclass(slots=True)
class _Authority:
    rules: MissRules
    requests: Shares | None
    bytes: Shares | None
    refused_count: int = 0
    tell_at: float = 0.0

    @classmethod
    def of(cls, rules: MissRules) -> _Authority:
        minute, day = rules.misses_per_minute, rules.bytes_per_day
        return cls(
            rules,
            Shares(capacity=minute) if minute else None,
            Shares(capacity=day, window_seconds=DAY_SECONDS) if day else None,
        )


class Misses:
    """The budgets of one door's upstreams."""

    def __init__(
        self, rules: Mapping[str, MissRules], *, clock: Clock, events: Events, meters: MissMeters
    ) -> None:
        self._clock = clock
        self._events = events
        self._meters = meters
        self._authorities: dict[str, _Authority] = {}
        self.use(rules)

    def use(self, rules: Mapping[str, MissRules]) -> None:
        """Takes other rules; a budget that stays as it was keeps what is known of its askers."""
        before = self._authorities
        self._authorities = {
            name: kept
            if (kept := before.get(name)) is not None and kept.rules == each
            else _Authority.of(each)
            for name, each in rules.items()
        }

    def charge(
        self,
        authority: str,
        payer: Payer,
        *,
        topic: str,
        standing: Standing = Standing.NEW,
        size_bytes: int = 0,
    ) -> None:
        """One piece of upstream work, about to be done. Raises Spent when it must not be."""
        found = self._authorities.get(authority)
        now = self._clock.monotonic()
        if found is not None:
            refused = None
            if found.requests is not None:
                refused = found.requests.ask(Wish(payer.asker, topic, standing), now)
            if refused is None and found.bytes is not None and size_bytes:
                amount = float(size_bytes)
                refused = found.bytes.ask(Wish(payer.asker, topic, standing, amount), now)
            if refused is not None:
                self._refused(authority, found, payer, refused)
                raise Spent(authority, refused)
        self._meters.misses.add(1, authority, payer.source, "asked")
        if size_bytes:
            self._meters.bytes.add(size_bytes, authority, payer.source)

    def owe(
        self, authority: str, payer: Payer, *, topic: str, count: int = 0, size_bytes: int = 0
    ) -> None:
        """Work that is done whatever is left: it could not be known when the first was let pass."""
        found = self._authorities.get(authority)
        now = self._clock.monotonic()
        if found is not None and found.requests is not None and count:
            found.requests.owe(Wish(payer.asker, topic, amount=float(count)), now)
        if found is not None and found.bytes is not None and size_bytes:
            found.bytes.owe(Wish(payer.asker, topic, amount=float(size_bytes)), now)
        if count:
            self._meters.misses.add(count, authority, payer.source, "asked")
        if size_bytes:
            self._meters.bytes.add(size_bytes, authority, payer.source)

    def found_nothing(self, authority: str, payer: Payer) -> None:
        """The work that was charged was for nothing."""
        self._meters.misses.add(1, authority, payer.source, "absent")

    def statistics(self) -> tuple[Spending, ...]:
        """Of this door's authorities, what cost most first."""
        counts = self._meters.misses.series()
        sizes = self._meters.bytes.series()
        places = {key[:2] for key in (*counts, *sizes) if key[0] in self._authorities}
        found = (_spending(place, counts, sizes) for place in places)
        return tuple(sorted(found, key=_weight, reverse=True))

    def _refused(self, name: str, found: _Authority, payer: Payer, refused: Refused) -> None:
        self._meters.misses.add(1, name, payer.source, refused.why.value)
        found.refused_count += 1
        now = self._clock.monotonic()
        if now < found.tell_at:
            return
        count, found.refused_count = found.refused_count, 0
        found.tell_at = now + TELL_AGAIN_SECONDS
        self._events.emit(
            "misses.refused",
            name,
            cause=f"{count} since it was last told; this one from a {payer.source} address: "
            + ("its share is used up" if refused.why is Why.OVER_SHARE else "all is used up"),
            next_step="see who spends with `skerry status`; raise misses_per_minute if they are "
            "welcome",
            level=Level.WARNING,
        )


def _spending(
    place: tuple[str, ...],
    counts: Mapping[tuple[str, ...], float],
    sizes: Mapping[tuple[str, ...], float],
) -> Spending:
    def count(outcome: str) -> int:
        return int(counts.get((*place, outcome), 0))

    refused = sum(count(why.value) for why in Why)
    upstream, source = place
    size = int(sizes.get(place, 0))
    return Spending(upstream, source, count("asked"), count("absent"), refused, size)


def _weight(spending: Spending) -> tuple[int, int, str, str]:
    asked = spending.asked_count + spending.refused_count
    return asked, spending.fetched_bytes, spending.upstream, spending.source
