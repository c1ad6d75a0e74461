"""What the rooms of a node stand on: its store, its catalog, what it remembers, the way out.

Owns which adapter each of them is. Opens nothing that answers anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from skerry.adapters.disk_store import DiskStore
from skerry.adapters.http_client import HttpTransport
from skerry.adapters.pin_file import PinFile
from skerry.adapters.resolver import NameResolver
from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.app.budget.stewards import RegistrySteward
from skerry.app.misses import miss_rules
from skerry.app.names.room import open_names
from skerry.app.outside import Outside
from skerry.app.site import Ground, Site
from skerry.app.telemetry.room import open_book
from skerry.app.trust.verdict_book import open_verdicts
from skerry.app.wiring import siblings_of, upstream_of
from skerry.registry.assembly import Parts
from skerry.registry.remote import Remote
from skerry.store.core.admission import Verdict
from skerry.store.service import Housekeeper
from skerry.trust.pins import KeptPins
from skerry.upstream.client import UpstreamClient
from skerry.upstream.fills import Fills
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.misses import Misses, MissMeters

if TYPE_CHECKING:
    from skerry.trust.delegation_watch import DelegationWatch


def open_ground(
    node: Site, *, housekeeper: Callable[[], Housekeeper], steward: RegistrySteward
) -> Ground:
    """Opens it. `housekeeper` is asked when there is one. Raises SkerryError."""
    store = _store(node)  # makes the data directory
    book = open_book(node.settings.node.data_path, node.settings.telemetry, node.events)
    node.ends.push_async_callback(book.close)
    node.events.keep_in(book)
    catalog = SqliteCatalog.open(node.settings.node.data_path / "catalog.sqlite")
    node.ends.push_async_callback(catalog.close)
    pins = KeptPins(PinFile(node.settings.node.data_path), clock=node.clock, events=node.events)
    names = open_names(node, pins)
    outside = _outside(node, names)
    verdicts = open_verdicts(node)
    parts = Parts(
        store=store,
        catalog=catalog,
        fills=Fills(store, node.nursery, clock=node.clock, events=node.events,
                    metrics=node.metrics, failures=node.failures),
        remotes=_remotes(node, outside, steward),
        verdicts=verdicts,
        clock=node.clock,
        events=node.events,
        metrics=node.metrics,
        failures=node.failures,
        nursery=node.nursery,
        node_id=node.loop_id,
        chance=node.chance,
        changed=node.hot.forget_all,
        misses=Misses(
            miss_rules(node.settings.upstreams),
            clock=node.clock,
            events=node.events,
            meters=outside.miss_meters,
        ),
        admits=lambda key, size: housekeeper().admits(key, size) is Verdict.KEEP,
        check=lambda digest: housekeeper().check(digest),
        expiry_now=node.high_water.now,
        steward=steward,
    )  # fmt: skip
    watch: DelegationWatch | None = None
    if node.settings.dns.watch:
        # Late: it takes cryptography, and most nodes watch no domain.
        from skerry.app.names.domain_watch import open_watch

        watch = open_watch(node, pins, names.lookup, outside.transport)
    return Ground(store, catalog, parts, outside, pins, names, verdicts, book, watch)


def _store(node: Site) -> DiskStore:
    settings = node.settings.store
    store = DiskStore(
        node.settings.node.data_path,
        clock=node.clock,
        budget_bytes=settings.budget_bytes,
        high_watermark=settings.high_watermark,
        low_watermark=settings.low_watermark,
    )
    store.removed = lambda digest: node.hot.forget(str(digest))
    node.ends.push_async_callback(store.close)
    return store


def _outside(node: Site, names: NameResolver) -> Outside:
    dialled = HttpTransport(resolver=names, nursery=node.nursery)
    outside = Outside(
        node.following.outside(dialled),
        UpstreamMetrics(node.metrics, node.failures),
        MissMeters(node.metrics),
        names,
    )
    node.ends.push_async_callback(outside.transport.close)
    return outside


def _remotes(node: Site, outside: Outside, steward: RegistrySteward) -> dict[str, Remote]:
    """The upstreams, each with pools, breakers and budgets of its own."""
    remotes: dict[str, Remote] = {}
    for each in node.settings.upstreams:
        upstream = upstream_of(each)
        client = UpstreamClient(
            upstream,
            transport=outside.transport,
            clock=node.clock,
            events=node.events,
            metrics=outside.metrics,
            rng=node.chance,
            node_id=node.loop_id,
            siblings=siblings_of(node.settings, each),
            held_back=partial(steward.held_back, each.name),
        )
        node.ends.push_async_callback(client.close)
        remotes[each.name] = Remote(each.name, client, upstream.private)
    return remotes
