"""How often somebody may try to log in.

Owns the counting of failures by who is claimed to log in and from where, and of the very same wrong
credential. Never by an address alone: hundreds may share one (requirements L1), and never so that
a stranger's failures shut somebody out who comes from where they have come from before.

Three budgets. A credential that was just refused is refused again without a look, and costs
nothing: a program with an old password locks nobody out. The failures for one identity from one
place are bounded; so are those from all new places together, far higher.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
REFUSED_AGAIN_SECONDS = 30.0
REMEMBERED_MAX = 8192


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many failures at once, then one more each `seconds`."""

    burst: int
    seconds: float


HERE = Allowance(burst=8, seconds=10.0)
"""For one identity from one place: an address, or an IPv6 network."""
EVERYWHERE = Allowance(burst=60, seconds=5.0)
"""For one identity from places it has not come from before."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(slots=True)
class Throttle:
    """What has failed lately. Bounded; what is forgotten first is what was touched longest ago."""

    _refused: OrderedDict[bytes, float] = field(default_factory=OrderedDict)
    _here: OrderedDict[tuple[str, str], _Bucket] = field(default_factory=OrderedDict)
    _everywhere: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)
    _known: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)

    def refused_lately(self, credential: bytes, now: float) -> bool:
        """Whether this very credential (a keyed hash) was refused a moment ago."""
        return now < self._refused.get(credential, 0.0)

    def look_again(self) -> None:
        """What was wrong a moment ago may be right now; how often somebody tried still counts."""
        self._refused.clear()

    def wait_seconds(self, identity: str, near: str, now: float) -> float:
        """How long until a try is looked at; 0 for at once."""
        waits = [_wait(self._here.get((identity, near)), HERE, now)]
        if (identity, near) not in self._known:
            waits.append(_wait(self._everywhere.get(identity), EVERYWHERE, now))
        return max(waits)

    def failed(self, identity: str, near: str, credential: bytes, now: float) -> None:
        """A try was wrong."""
        _put(self._refused, credential, now + REFUSED_AGAIN_SECONDS)
        _put(self._here, (identity, near), _spent(self._here.get((identity, near)), HERE, now))
        if (identity, near) not in self._known:
            spent = _spent(self._everywhere.get(identity), EVERYWHERE, now)
            _put(self._everywhere, identity, spent)

    def succeeded(self, identity: str, near: str) -> None:
        """A try was right: this is a place the identity comes from."""
        self._here.pop((identity, near), None)
        _put(self._known, (identity, near), None)


def _wait(bucket: _Bucket | None, allowance: Allowance, now: float) -> float:
    if bucket is None:
        return 0.0
    left = _refilled(bucket, allowance, now)
    return 0.0 if left >= 1 else (1 - left) * allowance.seconds


def _refilled(bucket: _Bucket, allowance: Allowance, now: float) -> float:
    gained = max(0.0, now - bucket.at) / allowance.seconds
    return min(float(allowance.burst), bucket.left + gained)


def _spent(bucket: _Bucket | None, allowance: Allowance, now: float) -> _Bucket:
    left = float(allowance.burst) if bucket is None else _refilled(bucket, allowance, now)
    return _Bucket(max(0.0, left - 1), now)


def _put(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > REMEMBERED_MAX:
        kept.popitem(last=False)
