"""The registry's rooms, made and joined.

Owns the order in which they need each other. Takes ports and plain values, so that a test builds
a whole registry over twins in a few lines.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.registry.access import Access, Rights
from skerry.registry.blobs import Blobs
from skerry.registry.companions import Companions
from skerry.registry.contents import Contents
from skerry.registry.core.freshness import TagWindow
from skerry.registry.core.names import NameTable
from skerry.registry.front import Front, Rooms
from skerry.registry.gate import Gate
from skerry.registry.healing import Healing
from skerry.registry.images import Images
from skerry.registry.inventory import RegistryInventory
from skerry.registry.listings import Listings
from skerry.registry.manifests import Manifests
from skerry.registry.meters import Meters
from skerry.registry.patience import Patience
from skerry.registry.ports import Catalog
from skerry.registry.push import Pushes
from skerry.registry.refusals import Refusals
from skerry.registry.remote import Remote
from skerry.registry.shelf import Shelf
from skerry.registry.steward import FreeHand, Steward
from skerry.registry.tags import Tags
from skerry.registry.tags_listed import TagsListed
from skerry.registry.tolls import Identify, RegistryAbsences, Tolls, nobody
from skerry.registry.uploads import Uploads
from skerry.registry.verdicts import JUDGED, Verdicts
from skerry.registry.wholeness import Wholeness
from skerry.store.ports import Store
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.trust.core.policies import Policies
from skerry.trust.ports import VerdictBook
from skerry.trust.tokens.core.rules import Rules as AccessRules
from skerry.upstream.fills import Fills
from skerry.upstream.misses import Misses, MissMeters


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator decided.

    Attributes:
        answer_seconds: to the first byte of an answer that needs the upstream.
        serve_deleted: whether a tag that the upstream deleted goes on being served.
        own_platform: `os/arch[/variant]` fetched when nobody says which.
        listing_seconds: how long tag lists and referrers are fresh.
        access: who is known, and what they may do; None when nobody is.
        local_deletion, local_overwriting: whether clients may delete, and move tags, of what is
            pushed here.
        policies: what must be signed before it leaves.
    """

    names: NameTable
    windows: Sequence[TagWindow] = ()
    answer_seconds: float = 10.0
    serve_deleted: bool = True
    companions: bool = True
    negative_seconds: float = 10.0
    listing_seconds: float = 300.0
    own_platform: str = "linux/amd64"
    local_enabled: bool = False
    access: Access | None = None
    local_deletion: bool = True
    local_overwriting: bool = True
    policies: Policies = field(default_factory=Policies)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the registry stands on.

    Attributes:
        failures: counts what is not believed.
        changed: called when ready answers may have become wrong.
        admits: whether a content of a length should be kept when nobody asked for that.
        verdicts: what was accepted before.
        expiry_now: seconds since the epoch that never go back, for what expires; the clock's own
            when absent.
        misses: what clients may have fetched; without it they have no limit.
        identify: the name that a request has proven.
        check: re-hashes a blob, puts a bad one away and has it healed; the store's own `verify`
            when absent.
        steward: accounts for what is served, and holds back what costs money.
    """

    store: Store
    catalog: Catalog
    fills: Fills
    remotes: Mapping[str, Remote]
    verdicts: VerdictBook
    clock: Clock
    events: Events
    metrics: Registry
    failures: ValidationFailures
    nursery: Nursery
    node_id: str
    chance: Random
    changed: Callable[[], None] = lambda: None
    admits: Callable[[str, int], bool] = lambda key, size_bytes: True
    misses: Misses | None = None
    identify: Identify = nobody
    check: Callable[[Digest], Awaitable[bool]] | None = None
    expiry_now: Callable[[], float] | None = None
    steward: Steward = field(default_factory=FreeHand)


@dataclass(frozen=True, slots=True)
class RegistryRooms:
    """The registry of one node."""

    front: Front
    images: Images
    inventory: RegistryInventory
    pushes: Pushes
    healing: Healing
    shelf: Shelf
    verdicts: Verdicts
    misses: Misses
    rights: Rights


@dataclass(frozen=True, slots=True)
class _Pulling:
    """What pulling takes, in the order in which each needs the one before."""

    contents: Contents
    wholeness: Wholeness
    tags: Tags
    listings: Listings
    companions: Companions
    verdicts: Verdicts
    tolls: Tolls
    rights: Rights
    gate: Gate


def assemble(parts: Parts, rules: Rules) -> RegistryRooms:
    """Makes and joins the rooms; starts nothing."""
    catalog, store, clock = parts.catalog, parts.store, parts.clock
    pulling = _pulling(parts, rules)
    pushes = Pushes(
        store=store,
        catalog=catalog,
        clock=clock,
        uploads=Uploads(store=store, catalog=catalog, clock=clock, chance=parts.chance),
        changed=parts.changed,
        refusals=pulling.contents.refusals,
        deletion=rules.local_deletion,
        overwriting=rules.local_overwriting,
    )
    inventory = RegistryInventory(
        catalog=catalog,
        store=store,
        remotes=parts.remotes,
        is_filling=pulling.contents.is_filling,
        is_uploading=pushes.is_uploading,
        clock=clock,
        changed=parts.changed,
    )
    return RegistryRooms(
        front=_front(parts, rules, pulling=pulling, pushes=pushes, inventory=inventory),
        verdicts=pulling.verdicts,
        misses=pulling.tolls.misses,
        rights=pulling.rights,
        images=Images(
            names=rules.names,
            tags=pulling.tags,
            wholeness=pulling.wholeness,
            companions=pulling.companions,
            verdicts=pulling.verdicts,
            catalog=catalog,
            store=store,
            inventory=inventory,
            clock=clock,
            nursery=parts.nursery,
            may_warm=parts.steward.may_warm,
        ),
        inventory=inventory,
        pushes=pushes,
        healing=Healing(
            contents=pulling.contents, catalog=catalog, events=parts.events, nursery=parts.nursery
        ),
        shelf=Shelf(
            catalog=catalog,
            wholeness=pulling.wholeness,
            inventory=inventory,
            windows=rules.windows,
            clock=clock,
        ),
    )


def _pulling(parts: Parts, rules: Rules) -> _Pulling:
    catalog, clock, nursery = parts.catalog, parts.clock, parts.nursery
    rights = _rights(parts, rules)
    contents = Contents(
        rights=rights,
        store=parts.store,
        catalog=catalog,
        fills=parts.fills,
        remotes=parts.remotes,
        clock=clock,
        nursery=nursery,
        refusals=Refusals(parts.failures, parts.events),
        admits=parts.admits,
    )
    wholeness = Wholeness(
        contents=contents, catalog=catalog, store=parts.store, own_platform=rules.own_platform
    )
    listings = Listings(
        contents=contents,
        catalog=catalog,
        window_seconds=rules.listing_seconds,
        clock=clock,
        nursery=nursery,
    )
    absences = RegistryAbsences(window_seconds=rules.negative_seconds)
    verdicts = _verdicts(parts, rules, listings)
    tags = Tags(
        contents=contents,
        catalog=catalog,
        wholeness=wholeness,
        verdicts=verdicts,
        windows=rules.windows,
        serve_deleted=rules.serve_deleted,
        absences=absences,
        clock=clock,
        events=parts.events,
        nursery=nursery,
        changed=parts.changed,
        window_factor=parts.steward.window_factor,
    )
    companions = Companions(
        tags=tags,
        listings=listings,
        wholeness=wholeness,
        clock=clock,
        events=parts.events,
        nursery=nursery,
        enabled=rules.companions,
        may_warm=parts.steward.may_warm,
    )
    tags.on_confirmed = companions.start
    verdicts.bring = companions.fetch_now
    gate = Gate(
        access=rules.access,
        rights=rights,
        local_enabled=rules.local_enabled,
        failures=parts.failures,
    )
    tolls = _tolls(parts, rules, absences, listings, gate)
    return _Pulling(contents, wholeness, tags, listings, companions, verdicts, tolls, rights, gate)


def _tolls(
    parts: Parts, rules: Rules, absences: RegistryAbsences, listings: Listings, gate: Gate
) -> Tolls:
    misses = parts.misses or Misses(
        {}, clock=parts.clock, events=parts.events, meters=MissMeters(parts.metrics)
    )
    return Tolls(
        misses=misses,
        absences=absences,
        catalog=parts.catalog,
        lists=TagsListed(listings, believed_seconds=rules.negative_seconds, clock=parts.clock),
        clock=parts.clock,
        identify=gate.name_of if rules.access is not None else parts.identify,
    )


def _rights(parts: Parts, rules: Rules) -> Rights:
    private = frozenset(name for name, remote in parts.remotes.items() if remote.private)
    given = AccessRules() if rules.access is None else rules.access.rules
    return Rights(
        given,
        names=rules.names,
        private=private.__contains__,
        open_to_all=not private and not given.rules,
    )


def _verdicts(parts: Parts, rules: Rules, listings: Listings) -> Verdicts:
    judged = parts.metrics.counter(
        "skerry_trust_judged", "Images judged by their signatures, by outcome", {"outcome": JUDGED}
    )
    return Verdicts(
        policies=rules.policies,
        book=parts.verdicts,
        catalog=parts.catalog,
        store=parts.store,
        listings=listings,
        clock=parts.clock,
        now=parts.expiry_now or parts.clock.now,
        events=parts.events,
        failures=parts.failures,
        count=lambda outcome: judged.add(1, outcome),
    )


def _front(
    parts: Parts,
    rules: Rules,
    *,
    pulling: _Pulling,
    pushes: Pushes,
    inventory: RegistryInventory,
) -> Front:
    meters = Meters(parts.metrics)
    patience = Patience(answer_seconds=rules.answer_seconds)
    manifests = Manifests(
        contents=pulling.contents,
        tags=pulling.tags,
        companions=pulling.companions,
        clock=parts.clock,
        patience=patience,
        tolls=pulling.tolls,
        used=inventory.used,
        meters=meters,
        steward=parts.steward,
    )
    blobs = Blobs(
        contents=pulling.contents,
        store=parts.store,
        clock=parts.clock,
        nursery=parts.nursery,
        patience=patience,
        tolls=pulling.tolls,
        check=parts.check or parts.store.verify,
    )
    return Front(
        rooms=Rooms(manifests, blobs, pulling.listings, pushes),
        names=rules.names,
        gate=pulling.gate,
        verdicts=pulling.verdicts,
        meters=meters,
        node_id=parts.node_id,
        clock=parts.clock,
        patience=patience,
        tolls=pulling.tolls,
        steward=parts.steward,
    )
