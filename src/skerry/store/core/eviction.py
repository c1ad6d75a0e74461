"""Which groups of blobs go when room is needed.

Owns the order: whole groups, least recently used first, those that could not be fetched again now
after all that could, pinned and busy ones never. Shared members count once and go only with the
last group that holds them. Never touches a file or a clock. Requirements D3; known failures T37.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from skerry.base.digest import Digest
from skerry.store.ports import Group, Room


@dataclass(frozen=True, slots=True)
class Plan:
    """What to drop, in this order, and what that frees.

    Attributes:
        groups: the groups to forget first.
        digests: the blobs nobody else holds, to delete after.
        freed_bytes: the sum of their lengths.
        enough: whether that reaches the goal.
    """

    groups: tuple[Group, ...]
    digests: tuple[Digest, ...]
    freed_bytes: int
    enough: bool

    @property
    def group_ids(self) -> list[str]:
        return [group.id for group in self.groups]


def plan_eviction(groups: Iterable[Group], *, room: Room, need_bytes: int = 0) -> Plan:
    """What must go for `need_bytes` more: nothing below the high watermark, else down to the low.

    `enough` is judged by the high watermark: reaching the low one is a wish, not a need.
    """
    plan = plan_freeing(groups, goal_bytes=room.goal_bytes(need_bytes))
    enough = plan.freed_bytes >= room.shortage_bytes(need_bytes)
    return Plan(plan.groups, plan.digests, plan.freed_bytes, enough)


def plan_freeing(groups: Iterable[Group], *, goal_bytes: int) -> Plan:
    """What goes to free so many bytes, or all that may go when that is not enough."""
    everything = list(groups)
    holders = Counter(digest for group in everything for digest in group.members)
    chosen: list[Group] = []
    freed_bytes = 0
    for group in sorted(filter(_may_go, everything), key=_order):
        if freed_bytes >= goal_bytes:
            break
        chosen.append(group)
        freed_bytes += _take(group, holders)
    chosen = _without_the_useless(chosen, holders)
    digests = {d: None for group in chosen for d in group.members if not holders[d]}
    return Plan(tuple(chosen), tuple(digests), freed_bytes, freed_bytes >= goal_bytes)


def _may_go(group: Group) -> bool:
    return not (group.pinned or group.busy)


def _order(group: Group) -> tuple[bool, float, str]:
    return (not group.refetchable, group.last_used, group.id)


def _take(group: Group, holders: Counter[Digest]) -> int:
    """Lets go of a group's members; the bytes that nobody holds any more."""
    freed_bytes = 0
    for digest, size_bytes in group.members.items():
        holders[digest] -= 1
        if not holders[digest]:
            freed_bytes += size_bytes
    return freed_bytes


def _without_the_useless(chosen: list[Group], holders: Counter[Digest]) -> list[Group]:
    """Spares groups whose going frees nothing: all their bytes are held by some that stay."""
    useful = []
    for group in chosen:
        if any(size and not holders[digest] for digest, size in group.members.items()):
            useful.append(group)
        else:
            for digest in group.members:
                holders[digest] += 1
    return useful
