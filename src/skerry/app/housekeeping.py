"""The housekeeper of a node's store, and the upkeep of its records, as they are joined.

Owns what each of them is given. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.adapters.sqlite_departures import SqliteDepartures
from skerry.app.site import Ground, Site
from skerry.app.telemetry.gauges import show_rooms
from skerry.app.upkeep import Upkeep
from skerry.base.errors import SkerryError
from skerry.registry.assembly import RegistryRooms
from skerry.store.core.admission import AdmissionPolicy
from skerry.store.housekeeping import ScrubPolicy
from skerry.store.ports import Inventory
from skerry.store.service import Housekeeper
from skerry.store.shared_inventory import SharedInventory
from skerry.telemetry.events import Event, Level


def keep_house(
    node: Site, ground: Ground, owners: Mapping[str, Inventory], rooms: RegistryRooms
) -> Housekeeper:
    """The housekeeper over all inventories; it is not started."""
    given = node.settings.store
    housekeeper = Housekeeper(
        store=ground.store,
        inventory=SharedInventory(owners),
        clock=node.clock,
        events=node.events,
        nursery=node.nursery,
        on_corrupt=rooms.healing.start,
        admission=AdmissionPolicy(object_share_max=given.object_share_max),
        scrub=ScrubPolicy(given.scrub_period_seconds, given.scrub_bytes_per_second),
    )
    try:
        housekeeper.departures.keep_in(
            SqliteDepartures(ground.book.file),
            veil=lambda name: node.events.veil(Event(0.0, "store.evicted", name)).subject,
        )
    except SkerryError as error:
        node.events.emit("store.departures_unread", "store", cause=error.what, level=Level.WARNING)
    show_rooms(node.metrics, ground.store, ground.parts.fills, housekeeper)
    return housekeeper


def keep_up(
    node: Site,
    catalog: SqliteCatalog,
    flushes: Sequence[Callable[[], Awaitable[None]]],
    sweep: Callable[[], Awaitable[int]],
) -> None:
    """Starts what is done now and then for the records."""
    upkeep = Upkeep(
        catalog=catalog, flushes=flushes, sweep=sweep, clock=node.clock, events=node.events
    )
    upkeep.tell_of_restore()
    node.nursery.start(upkeep.run(), name="upkeep")
