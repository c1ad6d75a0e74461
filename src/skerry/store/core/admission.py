"""Whether a new object may take room that others have now.

Owns the rule, in four sentences. What fits without evicting is kept, and so is what somebody
asked to keep (warm, pin, push). What is larger than its share of the budget is passed through. What
would push out several recently used groups is kept only when it is asked for again within the
window, so that one walk through a large catalog (a scan, a backup) does not empty the cache; nor
may many small first asks do together what one large one may not.
Never touches a clock: times are given. Requirements D3.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from skerry.store.core.eviction import Plan
from skerry.store.ports import Room

ASKS_MAX = 10_000
"""Objects whose first ask is remembered; the oldest are forgotten."""


class Verdict(StrEnum):
    """Bounded: used as a metric label."""

    KEEP = "keep"
    TOO_LARGE = "too_large"
    FIRST_ASK = "first_ask"
    NO_ROOM = "no_room"


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """How much one object may ask of the others.

    Attributes:
        object_share_max: of the budget, for one object nobody asked to keep.
        recent_seconds: a group used within this time is recently used.
        recent_groups_max: so many may be pushed out by an object's first ask.
        window_groups_max: so many may all first asks of `second_ask_seconds` push out.
        second_ask_seconds: within this time a second ask counts.
    """

    object_share_max: float = 0.5
    recent_seconds: float = 24 * 3600.0
    recent_groups_max: int = 2
    window_groups_max: int = 16
    second_ask_seconds: float = 3600.0


def too_large(size_bytes: int, *, room: Room, policy: AdmissionPolicy) -> bool:
    """Whether an object is more than its share of the budget."""
    return size_bytes > room.budget_bytes * policy.object_share_max


def recent_groups(plan: Plan, *, now: float, policy: AdmissionPolicy) -> tuple[str, ...]:
    """The recently used groups that a plan would push out."""
    recent = policy.recent_seconds
    return tuple(group.id for group in plan.groups if now - group.last_used < recent)


def judge(
    plan: Plan, *, asked_before: bool, now: float, policy: AdmissionPolicy, displaced: int = 0
) -> Verdict:
    """What becomes of an object that does not fit, given what would go for it.

    `displaced`: how many recently used groups first asks have pushed out within the window.
    """
    if not plan.enough:
        return Verdict.NO_ROOM
    if asked_before:
        return Verdict.KEEP
    recent = len(recent_groups(plan, now=now, policy=policy))
    too_many = recent > policy.recent_groups_max
    if too_many or (recent and displaced + recent > policy.window_groups_max):
        return Verdict.FIRST_ASK
    return Verdict.KEEP


class Displaced:
    """Recently used groups that first asks have pushed out lately: bounded by the policy."""

    def __init__(self) -> None:
        self._at: OrderedDict[str, float] = OrderedDict()

    def note(self, groups: Iterable[str], *, now: float) -> None:
        """These go, or would have gone before."""
        for group in groups:
            self._at[group] = now
            self._at.move_to_end(group)

    def others(self, groups: Iterable[str], *, now: float, within_seconds: float) -> int:
        """How many but these went within the time; a plan that was made twice is one."""
        for group, at in list(self._at.items()):
            if 0 <= now - at < within_seconds:
                break
            del self._at[group]
        return len(self._at.keys() - set(groups))


class Asks:
    """Who was asked for lately: bounded, in memory."""

    def __init__(self, *, asks_max: int = ASKS_MAX) -> None:
        self._asks_max = asks_max
        self._last: OrderedDict[str, float] = OrderedDict()

    def ask(self, key: str, *, now: float, within_seconds: float) -> bool:
        """Remembers an ask; whether there was one before within the time."""
        last = self._last.pop(key, None)
        self._last[key] = now
        while len(self._last) > self._asks_max:
            self._last.popitem(last=False)
        return last is not None and now - last <= within_seconds

    def __len__(self) -> int:
        return len(self._last)
