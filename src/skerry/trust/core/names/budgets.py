"""How much each client of the site's resolver may ask, and how much a zone may cost.

Owns the buckets: per client, so that one cannot keep the others out and none can be made to shower
a third party with answers; per zone, so that made-up names of one domain do not use up what the
others need. Pure: times are arguments.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

from skerry.trust.core.names.values import Name

CLIENT_PER_SECOND, CLIENT_BURST = 100.0, 400.0
PROVEN_SHARE = 20.0
"""A client that has shown its address to be its own (by TCP or a cookie) may ask so much more:
there may be a whole network behind it."""
CLIENTS_MAX = 4096
UNKNOWN_PER_SECOND, UNKNOWN_BURST = 5.0, 100.0
"""Names of one zone that prove not to exist."""
ZONES_MAX = 1024
WAITING_MAX, WAITING_SHARE_MIN = 512, 32
"""Questions that wait for servers at once, and what each client may have whatever the others do."""


class Verdict(Enum):
    """What a client gets for a datagram."""

    ANSWER = "its answer"
    SHORT = "a short answer that says: ask again over TCP"
    NOTHING = "nothing"


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float

    def refill(self, now: float, per_second: float, burst: float) -> None:
        self.left = min(burst, self.left + max(0.0, now - self.at) * per_second)
        self.at = now


class ClientBudgets:
    """One bucket per client, as `base.address.near_of` tells them apart."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, bool], _Bucket] = OrderedDict()

    def take(self, client: str, now: float, *, proven: bool = False) -> Verdict:
        """What one more question gets."""
        scale = PROVEN_SHARE if proven else 1.0
        burst = CLIENT_BURST * scale
        key = (client, proven)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(burst, now)
            if len(self._buckets) > CLIENTS_MAX:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        bucket.refill(now, CLIENT_PER_SECOND * scale, burst)
        bucket.left = max(-burst, bucket.left - 1)
        if bucket.left >= 0:
            return Verdict.ANSWER
        # Short answers make no one's traffic larger; but reading the questions costs, too.
        return Verdict.SHORT if bucket.left > -burst else Verdict.NOTHING


class ZoneBudgets:
    """One bucket per zone that has denied names."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[Name, _Bucket] = OrderedDict()
        self._flooded: set[Name] = set()

    def denied(self, zone: Name, now: float) -> bool:
        """A zone has said of one more name that it does not exist. Whether that is a flood that
        has just begun."""
        bucket = self._buckets.get(zone)
        if bucket is None:
            bucket = self._buckets[zone] = _Bucket(UNKNOWN_BURST, now)
            if len(self._buckets) > ZONES_MAX:
                gone, _ = self._buckets.popitem(last=False)
                self._flooded.discard(gone)
        self._buckets.move_to_end(zone)
        bucket.refill(now, UNKNOWN_PER_SECOND, UNKNOWN_BURST)
        if bucket.left > UNKNOWN_BURST / 2:
            self._flooded.discard(zone)
        bucket.left -= 1
        begins = bucket.left < 1 and zone not in self._flooded
        if begins:
            self._flooded.add(zone)
        return begins

    def is_flooded(self, name: Name, now: float) -> Name | None:
        """The zone above a name that has denied too many lately; None when it may be asked."""
        while len(name) > 1:
            name = name.parent()
            bucket = self._buckets.get(name)
            if bucket is not None:
                bucket.refill(now, UNKNOWN_PER_SECOND, UNKNOWN_BURST)
                return name if bucket.left < 1 else None
        return None


class Waiting:
    """Who has questions under way; a full house is shared out evenly."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.total = 0

    def enter(self, client: str) -> bool:
        """Whether one more of a client's may wait."""
        mine = self._counts.get(client, 0)
        share = max(WAITING_SHARE_MIN, WAITING_MAX // (len(self._counts) + (mine == 0)))
        if mine >= share or (self.total >= WAITING_MAX and mine >= WAITING_SHARE_MIN):
            return False
        if self.total >= WAITING_MAX * 4:
            return False
        self._counts[client] = mine + 1
        self.total += 1
        return True

    def leave(self, client: str) -> None:
        """One has its answer."""
        self.total -= 1
        self._counts[client] -= 1
        if not self._counts[client]:
            del self._counts[client]
