"""The rooms for siblings, made and joined.

Owns the order in which they need each other; starts nothing. A node without siblings has none of
them but an empty `Siblings`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.cdn.core.route import RouteTable
from skerry.cdn.entries import Entries
from skerry.cdn.purges import Purges
from skerry.cdn.sibling_door import SiblingDoor
from skerry.cdn.sibling_giver import SiblingGiver
from skerry.cdn.sibling_keys import SiblingKeys
from skerry.cdn.sibling_link import Line, SiblingLink
from skerry.cdn.sibling_tier import SiblingTier
from skerry.cdn.siblings import Siblings
from skerry.store.ports import Store
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry


@dataclass(frozen=True, slots=True)
class SiblingParts:
    """Who the siblings are, and the way to each, by name."""

    keys: SiblingKeys
    lines: Mapping[str, Line]


@dataclass(frozen=True, slots=True)
class Around:
    """What the rooms for siblings stand on."""

    store: Store
    entries: Entries
    purges: Purges
    table: Callable[[], RouteTable]
    node_name: str
    clock: Clock
    nursery: Nursery
    events: Events
    metrics: Registry
    chance: Random


@dataclass(frozen=True, slots=True)
class SiblingRooms:
    """The siblings of one node; `siblings.start` comes before the doors open."""

    siblings: Siblings
    tier: SiblingTier | None = None
    door: SiblingDoor | None = None


def assemble_siblings(parts: SiblingParts | None, around: Around) -> SiblingRooms:
    """Makes and joins them."""
    links = [
        SiblingLink(
            name,
            line=line,
            keys=parts.keys,
            purges=around.purges,
            clock=around.clock,
            chance=around.chance,
            events=around.events,
        )
        for name, line in (parts.lines.items() if parts is not None else ())
        if parts is not None
    ]
    siblings = Siblings(
        links,
        purges=around.purges,
        clock=around.clock,
        nursery=around.nursery,
        metrics=around.metrics,
    )
    if parts is None or not links:
        return SiblingRooms(siblings)
    giver = SiblingGiver(
        entries=around.entries,
        store=around.store,
        purges=around.purges,
        table=around.table,
        node_name=around.node_name,
        clock=around.clock,
    )
    return SiblingRooms(
        siblings,
        SiblingTier(links, keys=parts.keys, nursery=around.nursery),
        SiblingDoor(keys=parts.keys, siblings=siblings, giver=giver, metrics=around.metrics),
    )
