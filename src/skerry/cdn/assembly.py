"""The edge's rooms, made and joined.

Owns the order in which they need each other. Takes ports and plain values, so that a test builds
a whole edge over twins in a few lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from skerry.aio.tasks import Nursery
from skerry.base.chain import Sign
from skerry.base.clock import Clock
from skerry.cdn.answers import Answers, Names
from skerry.cdn.core.route import RouteTable, Site
from skerry.cdn.entries import Entries
from skerry.cdn.fetches import Fetches
from skerry.cdn.inventory import EdgeInventory
from skerry.cdn.measures import EdgeMeters
from skerry.cdn.nearer import Nearer
from skerry.cdn.ports import Backing, Deeper, Origin, PurgeBook, ReadyAnswers, Tier, Variants
from skerry.cdn.prewarm import Prewarm
from skerry.cdn.purges import Purges
from skerry.cdn.ranged import Ranged
from skerry.cdn.rationing import Identify, Rationing, nobody
from skerry.cdn.reclassing import may_be_stored
from skerry.cdn.repeatable import Repeatable
from skerry.cdn.service import Edge, Rooms
from skerry.cdn.sibling_assembly import Around, SiblingParts, SiblingRooms, assemble_siblings
from skerry.cdn.slice_recall import SliceRecall
from skerry.cdn.slicing import Slicing
from skerry.cdn.steward import FreeHand, Steward
from skerry.cdn.through import Through
from skerry.cdn.tunnels import Tunnels
from skerry.cdn.yielding import Yielding
from skerry.store.ports import Store
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.upstream.fills import Fills
from skerry.upstream.misses import Misses


@dataclass(frozen=True, slots=True)
class EdgeParts:
    """What the edge stands on.

    Attributes:
        origins: by the name that `Route.origin` gives.
        node_name: the pseudonym in Via, Cache-Status and Proxy-Status; a token.
        loop_id: what CDN-Loop knows this node by; a token, of this process alone.
        sign: signs purge receipts with the node's key.
        admits: whether a body of a length should be kept.
        backing: what keeps copies elsewhere of all that `variants` is told of.
        deeper: what may hold objects in slices that this disk has not.
        ready: where answers of the edge are kept to be given again.
        tiers: made of the rooms they stand on; asked after the siblings and before the origin,
            nearest first.
        siblings: those that are trusted; their keys, and how to reach them.
        steward: accounts for what is served, and holds back what costs money.
        prewarm_bytes_per_second: what prewarming takes at most; 0 for no bound.
        prewarm_share: of the time, that it takes while visitors are about.
    """

    store: Store
    variants: Variants
    book: PurgeBook
    fills: Fills
    origins: Mapping[str, Origin]
    clock: Clock
    events: Events
    metrics: Registry
    nursery: Nursery
    node_name: str
    loop_id: str
    chance: Random
    sign: Sign
    ready: ReadyAnswers
    admits: Callable[[str, int], bool] = lambda key, size_bytes: True
    backing: Backing | None = None
    deeper: Deeper | None = None
    tiers: Callable[[Entries, Purges], Sequence[Tier]] = lambda entries, purges: ()
    prewarm_bytes_per_second: int = 0
    prewarm_share: float = 1.0
    siblings: SiblingParts | None = None
    misses: Misses | None = None
    identify: Identify = nobody
    steward: Steward = field(default_factory=FreeHand)


@dataclass(frozen=True, slots=True)
class EdgeRooms:
    """The edge of one node. `front.use(sites)` is a reload."""

    front: Edge
    entries: Entries
    purges: Purges
    inventory: EdgeInventory
    prewarm: Prewarm
    siblings: SiblingRooms


def assemble_edge(parts: EdgeParts, sites: Sequence[Site]) -> EdgeRooms:
    """Makes and joins the rooms; starts nothing. Raises BadInput for contradictory sites."""
    purges = _purges(parts)
    entries = Entries(
        variants=parts.variants,
        store=parts.store,
        purges=purges,
        clock=parts.clock,
        nursery=parts.nursery,
        ready=parts.ready,
    )
    siblings = assemble_siblings(
        parts.siblings, _around(parts, entries, purges, lambda: front.table)
    )
    fetches = _fetches(parts, entries, purges, siblings.tier)
    meters = EdgeMeters(parts.metrics)
    answers = _answers(parts)
    slicing = _slicing(parts, entries, purges)
    parts.metrics.gauge(
        "skerry_edge_storing",
        "Bodies of the edge that are on their way to the disk, their rows included",
        lambda: {(): entries.statistics().growing_count + slicing.statistics().coming_count},
    )
    rooms = Rooms(
        answers=answers,
        ranged=Ranged(slicing=slicing, answers=answers, clock=parts.clock),
        entries=entries,
        fetches=fetches,
        rationing=Rationing(parts.misses, parts.identify),
        tunnels=_tunnels(parts),
        repeatable=Repeatable(entries=entries, meters=meters),
        through=Through(entries=entries, purges=purges, clock=parts.clock, hop=parts.loop_id),
    )
    front = Edge(
        rooms=rooms,
        origins=parts.origins,
        sites=sites,
        meters=meters,
        ready=parts.ready,
        loop_id=parts.loop_id,
        clock=parts.clock,
        steward=parts.steward,
    )
    entries.allows = lambda key: may_be_stored(front.table, key)
    inventory = EdgeInventory(
        variants=parts.variants,
        entries=entries,
        slicing=slicing,
        origins=parts.origins,
        backing=parts.backing,
    )
    prewarm = _prewarm(parts, front, rooms, slicing)
    return EdgeRooms(front, entries, purges, inventory, prewarm, siblings)


def _around(
    parts: EdgeParts, entries: Entries, purges: Purges, table: Callable[[], RouteTable]
) -> Around:
    """What the siblings' rooms stand on."""
    return Around(
        store=parts.store,
        entries=entries,
        purges=purges,
        table=table,
        node_name=parts.node_name,
        clock=parts.clock,
        nursery=parts.nursery,
        events=parts.events,
        metrics=parts.metrics,
        chance=parts.chance,
    )


def _prewarm(parts: EdgeParts, front: Edge, rooms: Rooms, slicing: Slicing) -> Prewarm:
    def busy() -> bool:
        coming = rooms.fetches.statistics().flying_count or slicing.statistics().coming_count
        return bool(coming or parts.fills.statistics().flying)

    return Prewarm(
        front=front,
        entries=rooms.entries,
        slicing=slicing,
        clock=parts.clock,
        yielding=Yielding(
            clock=parts.clock,
            busy=busy,
            visits=front.meters.outward,
            share=parts.prewarm_share,
        ),
        bytes_per_second=parts.prewarm_bytes_per_second,
        may_warm=parts.steward.may_warm,
        paused=parts.steward.warming_paused,
    )


def _slicing(parts: EdgeParts, entries: Entries, purges: Purges) -> Slicing:
    return Slicing(
        store=parts.store,
        variants=parts.variants,
        entries=entries,
        purges=purges,
        clock=parts.clock,
        nursery=parts.nursery,
        hop=parts.loop_id,
        deep=SliceRecall(parts.deeper, parts.fills) if parts.deeper else None,
    )


def _purges(parts: EdgeParts) -> Purges:
    return Purges(
        variants=parts.variants,
        book=parts.book,
        clock=parts.clock,
        nursery=parts.nursery,
        events=parts.events,
        sign=parts.sign,
        ready=parts.ready,
    )


def _tunnels(parts: EdgeParts) -> Tunnels:
    return Tunnels(
        clock=parts.clock, nursery=parts.nursery, metrics=parts.metrics, hop=parts.loop_id
    )


def _answers(parts: EdgeParts) -> Answers:
    names = Names(node=parts.node_name, hop=parts.loop_id)
    return Answers(store=parts.store, names=names, chance=parts.chance)


def _fetches(parts: EdgeParts, entries: Entries, purges: Purges, nearest: Tier | None) -> Fetches:
    """What is not here: from a nearer tier, or from the origin."""
    return Fetches(
        fills=parts.fills,
        entries=entries,
        nearer=Nearer(
            tiers=[*([nearest] if nearest else []), *parts.tiers(entries, purges)],
            fills=parts.fills,
            store=parts.store,
            entries=entries,
            purges=purges,
            clock=parts.clock,
            admits=parts.admits,
        ),
        purges=purges,
        clock=parts.clock,
        nursery=parts.nursery,
        hop=parts.loop_id,
        admits=parts.admits,
    )
