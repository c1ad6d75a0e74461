"""Who may have upstream work done now, when more is asked for than may be spent.

Owns the fairness between askers of one upstream (requirements D5, L1). Hits never come here. Never
waits, never reads a clock, never binds to one address: many clients may stand behind it.

A budget is a pool that empties by use and fills again on its own: what was used counts less and
less, by half about every 40 s of a window of a minute. Every flow (a network, a connection of it,
a topic it asks about, or a proven name) may use up to a factor of what is left above it, as in
buffers with dynamic thresholds (Choudhury and Hahne 1998). So the more one has used, the fuller
the pool must be for it, and one who has used nothing gets through while anything is left: heavy
ones end up with equal shares and leave a part of the pool to newcomers, however much they ask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

RESERVE_SHARE = 0.5
"""Of the budget, for what is known to exist and for askers who have proven who they are."""
FLOWS_MAX = 4096
"""Flows remembered in each pool; of more, the lightest quarter is forgotten."""
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 1, 60
STEP = 1.0
"""The least that must be left for another request; a byte, where bytes are counted."""

KNOWN_FACTOR, IDENTITY_FACTOR, NETWORK_FACTOR = 4.0, 1.0, 1.0
TOPIC_FACTOR, CONNECTION_FACTOR = 0.5, 0.25
"""Of what is left for the network, and of what is left of that for the topic: however many
connections ask about one topic, they leave room to one more who does."""


class Standing(StrEnum):
    """What is known of a thing before anybody is asked."""

    KNOWN = "known"  # something here says that it exists: a manifest, a tag list, an older copy
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as far as that can be told.

    Attributes:
        identity: a name that was proven, "" for nobody's.
        network: what counts as one client's address, see `base.address.near_of`.
        connection: tells connections of one network apart; "" when unknown.
    """

    identity: str = ""
    network: str = ""
    connection: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """Upstream work that one asker would cause; `topic` is what floods have in common."""

    asker: Asker
    topic: str = ""
    standing: Standing = Standing.NEW
    amount: float = 1.0


class Why(StrEnum):
    """Why work is refused. Bounded: a metric label."""

    OVER_SHARE = "over_share"  # this asker has used its share, others have not
    SPENT = "spent"  # nothing is left for anybody of this standing


@dataclass(frozen=True, slots=True)
class Refused:
    """`retry_after_seconds`: when it would pass if nobody else asked, from 1 to 60."""

    why: Why
    retry_after_seconds: int


@dataclass(frozen=True, slots=True)
class SharesStatistics:
    """A snapshot. `used` and `capacity` are of one window, in requests or bytes."""

    used: float
    capacity: float
    flows: int


@dataclass(slots=True)
class _Flow:
    used: float
    at: float


@dataclass(slots=True)
class _Pool:
    """One part of a budget, and who used it."""

    capacity: float
    window_seconds: float
    used: float = 0.0
    at: float = 0.0
    flows: dict[int, _Flow] = field(default_factory=dict)

    @property
    def left(self) -> float:
        return self.capacity - self.used

    def advance(self, age: float) -> None:
        self.used *= math.exp((self.at - age) / self.window_seconds)
        self.at = age

    def used_by(self, flow: int) -> float:
        found = self.flows.get(flow)
        if found is None:
            return 0.0
        return found.used * math.exp((found.at - self.at) / self.window_seconds)

    def charge(self, flows: tuple[int, ...], amount: float) -> None:
        self.used += amount
        for flow in flows:
            self.flows[flow] = _Flow(self.used_by(flow) + amount, self.at)
        if len(self.flows) > FLOWS_MAX:
            self._forget_the_lightest()

    def _forget_the_lightest(self) -> None:
        """Whoever goes had used less than a thousandth of what all had."""
        by_weight = sorted(self.flows, key=self.used_by)
        for flow in by_weight[: FLOWS_MAX // 4]:
            del self.flows[flow]

    def refusal(self, flow: int, factor: float, above: float) -> Refused | None:
        """Why a flow may use no more of what is left `above` it."""
        allowed = factor * (above - STEP)
        used = self.used_by(flow)
        if above >= STEP and used <= allowed:
            return None
        if self.left < STEP:
            return Refused(Why.SPENT, self._retry_seconds(self.used, self.capacity - STEP))
        return Refused(Why.OVER_SHARE, self._retry_seconds(used, allowed))

    def _retry_seconds(self, used: float, allowed: float) -> int:
        wait = self.window_seconds * math.log(max(used, STEP) / max(allowed, STEP / 8))
        return max(RETRY_SECONDS_MIN, min(RETRY_SECONDS_MAX, math.ceil(wait)))


class Shares:
    """The budget of one upstream.

    What is granted in any T seconds is at most capacity * (1 + T / window), a last amount larger
    than `STEP` apart.
    """

    def __init__(
        self, *, capacity: float, window_seconds: float = 60.0, reserve: float = RESERVE_SHARE
    ) -> None:
        """`capacity` may be used in one go, and again in every window."""
        self._reserve = _Pool(capacity * reserve, window_seconds)
        self._open = _Pool(capacity * (1.0 - reserve), window_seconds)
        self._age = 0.0
        self._at: float | None = None

    def ask(self, wish: Wish, now: float) -> Refused | None:
        """Charges the work, or says why not. `now` in seconds; one that steps back stands still."""
        self._advance(now)
        if wish.asker.identity:
            return self._identified(wish)
        if wish.standing is Standing.KNOWN:
            flow = hash(("network", wish.asker.network))
            if self._reserve.refusal(flow, KNOWN_FACTOR, self._reserve.left) is None:
                self._reserve.charge((flow,), wish.amount)
                return None
        return self._anonymous(wish)

    def owe(self, wish: Wish, now: float) -> None:
        """Charges what was used already and could not be known before."""
        if self.ask(wish, now) is not None:
            key = ("identity", wish.asker.identity) if wish.asker.identity else (
                "network", wish.asker.network)  # fmt: skip
            self._open.charge((hash(key),), wish.amount)

    def statistics(self) -> SharesStatistics:
        """A snapshot, as of the last wish."""
        both = (self._reserve, self._open)
        return SharesStatistics(
            used=sum(pool.used for pool in both),
            capacity=sum(pool.capacity for pool in both),
            flows=sum(len(pool.flows) for pool in both),
        )

    def _advance(self, now: float) -> None:
        if self._at is not None:
            self._age += max(0.0, now - self._at)
        self._at = now
        for pool in (self._reserve, self._open):
            pool.advance(self._age)

    def _identified(self, wish: Wish) -> Refused | None:
        """Who is known by name has a share of its own, of both parts."""
        flow = hash(("identity", wish.asker.identity))
        known = wish.standing is Standing.KNOWN
        order = (self._reserve, self._open) if known else (self._open, self._reserve)
        refused: Refused | None = None
        for pool in order:
            factor = KNOWN_FACTOR if known and pool is self._reserve else IDENTITY_FACTOR
            refused = pool.refusal(flow, factor, pool.left)
            if refused is None:
                pool.charge((flow,), wish.amount)
                return None
        return refused

    def _anonymous(self, wish: Wish) -> Refused | None:
        pool, asker = self._open, wish.asker
        network = hash(("network", asker.network))
        topic = hash(("topic", asker.network, wish.topic))
        connection = hash(("connection", asker.network, asker.connection))
        left = NETWORK_FACTOR * pool.left - pool.used_by(network)
        left = TOPIC_FACTOR * left - pool.used_by(topic)
        refused = pool.refusal(connection, CONNECTION_FACTOR, left)
        if refused is None:
            pool.charge((network, topic, connection), wish.amount)
        elif pool.left * TOPIC_FACTOR < STEP:  # nor would anybody else get through
            return replace(refused, why=Why.SPENT)
        return refused
