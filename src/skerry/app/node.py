"""One node: every room made, joined and started, and ended in the reverse order.

Owns the composition; alone knows which adapter is in use. Holds no policy.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from skerry import __version__
from skerry.adapters.file_mark import FileMark
from skerry.adapters.http_server import Door
from skerry.adapters.http_server_metrics import DoorMetrics
from skerry.adapters.http_server_tls import CertificateNews
from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.aio.tasks import Nursery
from skerry.app.admin.door import AdminDoor
from skerry.app.admin.kept_sessions import keep_sessions
from skerry.app.admin.look import pages_of
from skerry.app.admin.replies import Routes
from skerry.app.admin.tokens import TokenDesk
from skerry.app.admin.trust import trust_routes
from skerry.app.budget.held import survey_of
from skerry.app.budget.room import NodeBudget
from skerry.app.budget.routes import budget_routes
from skerry.app.clock_upkeep import ClockUpkeep
from skerry.app.doors.behind import Behind
from skerry.app.doors.descriptors import admin_limits, door_limits, raise_limit
from skerry.app.doors.hot_tables import HotTables
from skerry.app.doors.public import PublicDoors
from skerry.app.edge.if_any import edge_of
from skerry.app.ground import open_ground
from skerry.app.housekeeping import keep_house, keep_up
from skerry.app.names.domain_desk import DomainDesk
from skerry.app.names.room import listen
from skerry.app.registry_rules import rules_of
from skerry.app.reload import Reloading, Reread
from skerry.app.settings.addresses import split_address
from skerry.app.settings.schema import Settings
from skerry.app.site import Ground
from skerry.app.telemetry.bundle_routes import bundle_routes, bundles_of
from skerry.app.telemetry.exporting import export
from skerry.app.telemetry.following import Following
from skerry.app.telemetry.horizon_desk import HorizonDesk
from skerry.app.telemetry.rollbacks import rollbacks_of
from skerry.app.telemetry.room import TelemetryRoom, open_record
from skerry.app.trust.access import admin_access, open_access, registry_handler
from skerry.app.trust.people import People
from skerry.app.trust.root import OpenTrust, open_trust
from skerry.app.vault.desk import vault_routes
from skerry.app.wiring import edge_tls, registry_tls
from skerry.base.clock import Clock, SystemClock
from skerry.base.errors import SkerryError
from skerry.base.high_water import HighWater
from skerry.registry.assembly import Parts, RegistryRooms, assemble
from skerry.registry.desk import Desk
from skerry.store.ports import Inventory
from skerry.store.service import Housekeeper
from skerry.telemetry.alarms import Alarms, Silence
from skerry.telemetry.events import KINDS, Events, Level
from skerry.telemetry.horizon import Horizon
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.wire.forwarded import Trusted
from skerry.wire.message import Handler

if TYPE_CHECKING:
    from skerry.app.edge.room import OpenEdge
    from skerry.app.telemetry.bundle_room import BundleRoom
    from skerry.registry.access import Access as Known

DRAIN_SECONDS = 5.0

_log = logging.getLogger("skerry.node")


class Node:
    """A running node. `start` opens its doors, `stop` closes them and loses nothing."""

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, reread: Reread | None = None
    ) -> None:
        """`reread` reads the settings again for `reload`."""
        self.settings = settings
        self.clock = clock or SystemClock()
        self.high_water = HighWater(self.clock)
        self.metrics = Registry(self.clock.now, group_min=settings.telemetry.sensitive_group_min)
        counter = self.metrics.counter("skerry_events", "Events by kind.", {"kind": KINDS})
        self.events = Events(self.clock.now, count=lambda kind: counter.add(1, kind))
        self.failures = ValidationFailures(self.metrics)
        self.horizon = Horizon(self.high_water.now, self.metrics)
        self.registry_door: Door | None = None
        self.edge_door: Door | None = None
        self.edge_tls_door: Door | None = None
        self.admin_door: Door | None = None
        self.admin: AdminDoor | None = None
        self.hot = HotTables()
        self.alarms: Alarms = Silence()
        self.chance: random.Random = random.SystemRandom()
        self.following = Following(settings, clock=self.clock, chance=self.chance)
        # Host names repeat (a default Debian is "debian"): two nodes of one name are no loop.
        self.loop_id = f"{settings.node.name}-{secrets.token_hex(4)}"
        self.public: PublicDoors | None = None
        self.known: Known | None = None
        self._reread = reread
        self._reloading: Reloading | None = None
        self._reload_wanted = False
        self._horizon_desk = HorizonDesk(
            settings, horizon=self.horizon, events=self.events, clock=self.clock
        )
        self.nursery = Nursery(on_crash=self._crashed)
        self.ends = AsyncExitStack()
        self.housekeeper: Housekeeper
        self._own_routes: tuple[Routes, ...] = ()
        self.budget: NodeBudget
        self.record: TelemetryRoom
        self.bundles: BundleRoom | None = None

    @property
    def registry_port(self) -> int:
        """Where the registry door listens; 0 while it is closed."""
        return self.registry_door.port if self.registry_door else 0

    @property
    def edge_port(self) -> int:
        """Where the edge door listens; 0 while it is closed, as on a node without sites."""
        return self.edge_door.port if self.edge_door else 0

    @property
    def edge_tls_port(self) -> int:
        """Where the edge's TLS door listens; 0 while it is closed."""
        return self.edge_tls_door.port if self.edge_tls_door else 0

    @property
    def admin_port(self) -> int:
        """Where the admin door listens; 0 while it is closed."""
        return self.admin_door.port if self.admin_door else 0

    async def start(self) -> None:
        """Opens the data directory and the doors. Raises SkerryError, with nothing left open."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Closes the doors, ends what runs, writes what was noted. May be called twice."""
        await self.ends.aclose()

    async def _start(self) -> None:
        settings, end = self.settings, self.ends.push_async_callback
        nursery = self.nursery
        end(nursery.close)
        # The housekeeper needs the inventories, and their owners the housekeeper.
        budget = self.budget = NodeBudget(self)
        steward = budget.registry_steward
        ground = open_ground(self, housekeeper=lambda: self.housekeeper, steward=steward)
        budget.open(ground.outside.transport, rollbacks_of(ground.book))
        await self._keep_time()
        self._domain_desk = DomainDesk(ground.watch, self.clock.now)
        store, catalog, parts, outside = ground.store, ground.catalog, ground.parts, ground.outside
        self.known = await open_access(self, outside)
        rooms = assemble(parts, rules_of(self.settings, self.known))
        end(rooms.inventory.flush)
        end(rooms.pushes.close)
        owners: dict[str, Inventory] = {"registry": rooms.inventory}
        edge = edge_of(self, parts, outside)
        if edge is not None:
            owners["edge"] = edge.rooms.inventory
            rooms.healing.elsewhere = edge.vault.healer if edge.vault else None
        trust = await open_trust(self, rooms, ground.verdicts)
        end(nursery.close)
        self.housekeeper = house = keep_house(self, ground, owners, rooms)
        self.departures = house.departures
        if edge is not None:
            # What was purged while this node was down is learned before anything is served.
            await edge.rooms.siblings.siblings.start()
        name = settings.node.name
        desk = Desk(node=name, version=__version__, rooms=rooms, housekeeper=house, parts=parts)
        names = await listen(self, ground.names, ground.pins)
        not_ready = partial(self._not_ready, catalog)
        self.record = open_record(self, ground, rooms, edge, not_ready)
        self.bundles = bundles_of(self, ground, outside.transport)
        export(self, outside.transport)
        self._own_routes = (names.routes, self.record.routes, bundle_routes(self.bundles))
        await self._open_doors(rooms, parts, desk, edge, trust, not_ready)
        await self.record.began()
        if self.bundles is not None:
            await self.bundles.start()
        house.start()
        flushes = [rooms.inventory.flush, trust.watch, *([edge.keep_up] if edge else [])]
        budget.start(
            outside=outside.metrics,
            held_bytes=lambda: store.statistics().blob_bytes,
            survey=survey_of(parts, budget.accounts, edge),
        )
        keep_up(self, catalog, flushes, rooms.pushes.sweep)
        self._look_out(ground)
        if self._reload_wanted:
            self.reload_soon()

    async def _keep_time(self) -> None:
        mark = FileMark(self.settings.node.data_path)
        keeping = ClockUpkeep(self.high_water, mark, clock=self.clock, events=self.events)
        await keeping.begin()
        self.ends.push_async_callback(keeping.end)
        self.nursery.start(keeping.run(), name="clock")

    def _look_out(self, ground: Ground) -> None:
        """From now on: for what ends, and for what is done to the domains that names are under."""
        self.nursery.start(self._horizon_desk.run(), name="horizon")
        if ground.watch is not None:
            ground.watch.start()

    def _make_public_doors(
        self, public: PublicDoors, rooms: RegistryRooms, edge: OpenEdge | None
    ) -> None:
        front = registry_handler(rooms, self.known, self.clock)
        front = self.following.told(front if edge is None else edge.beside(front), "registry")
        self.registry_door = public.make(
            front,
            name="registry",
            address=self.settings.doors.registry,
            tls=registry_tls(self.settings),
        )
        if edge is not None:
            self._make_edge_doors(public, edge.rooms.front)

    def _make_edge_doors(self, public: PublicDoors, front: Handler) -> None:
        from skerry.app.edge.room import hot_fields

        doors, tls = self.settings.doors, edge_tls(self.settings)
        front = self.following.told(front, "edge")
        make = partial(public.make, front, hot_fields=hot_fields(), plain_refusals=True)
        if doors.edge:
            self.edge_door = make(name="edge", address=doors.edge)
        if doors.edge_tls and tls is not None:
            self.edge_tls_door = make(name="edge_tls", address=doors.edge_tls, tls=tls)

    def reload_soon(self) -> None:
        """Takes what is written in the settings now, or as soon as the node has started; how it
        went is an event."""
        if self._reloading is None:
            self._reload_wanted = True
        else:
            self.nursery.start(self._reload(self._reloading), name="reload")

    async def _reload(self, reloading: Reloading) -> None:
        try:
            await reloading.reload()
        except SkerryError as error:
            _log.error("the settings are not taken: %s", error)

    def _use_certificates(self, settings: Settings) -> None:
        names = {"registry": registry_tls(settings), "edge_tls": edge_tls(settings)}
        if self.public is not None:
            self.public.use_certificates({n: each for n, each in names.items() if each})
        self._horizon_desk.use(settings)

    def _tell_certificates(self, news: CertificateNews) -> None:
        level = Level.WARNING if news.trouble else Level.INFO
        self.events.emit(
            news.kind, news.subject, cause=news.cause, next_step=news.next_step, level=level
        )

    async def _open_doors(
        self,
        rooms: RegistryRooms,
        parts: Parts,
        desk: Desk,
        edge: OpenEdge | None,
        trust: OpenTrust,
        not_ready: Callable[[], str],
    ) -> None:
        metrics = DoorMetrics(self.metrics)
        processes = self.settings.node.workers
        self.public = public = PublicDoors(
            processes,
            limits=door_limits(raise_limit() // ((2 if edge else 1) * processes)),
            clock=self.clock,
            metrics=metrics,
            tell_certificates=self._tell_certificates,
            trusted=Trusted(self.settings.doors.trusted_proxies),
        )
        self.horizon.add(public.expiries)
        access = admin_access(self.settings, self.known, self.clock)
        await keep_sessions(self, access)
        reloading = Reloading(
            self.settings,
            reread=self._reread,
            edge=edge.reload if edge else None,
            certificates=self._use_certificates,
            follow=self.budget.use,
            prices=self.budget.prices,
            events=self.events,
            roots=trust.reload,
            people=People(self.known, access.sessions, self.events),
        )
        self._make_public_doors(public, rooms, edge)
        vault = vault_routes(edge.vault if edge else None)
        looks = (self._horizon_desk.routes, self._domain_desk.routes, *self._own_routes)
        routes = (vault, reloading.routes, *looks, trust.routes)
        people = TokenDesk(access, self.events).routes
        admin = AdminDoor(
            desk,
            metrics=self.metrics,
            access=access,
            not_ready=not_ready,
            edge=edge.desk if edge else None,
            processes=public.processes,
            ends_first=self.horizon.first,
            more=(*routes, budget_routes(self.budget), trust_routes(rooms, parts), people),
        )
        admin.show(pages_of(self, admin, desk, parts, edge, settings=lambda: reloading.settings))
        self.admin = admin
        self.admin_door = self._make_admin_door(admin, metrics)
        self.hot.add(public)
        self.hot.add(self.admin_door.hot)
        self.ends.push_async_callback(self.admin_door.close, DRAIN_SECONDS)
        self.ends.push_async_callback(public.close, DRAIN_SECONDS)
        await public.open(events=self.events, metrics=self.metrics, on_crash=self._crashed)
        await self.admin_door.open()
        self._reloading = reloading

    def _make_admin_door(self, admin: AdminDoor, metrics: DoorMetrics) -> Door:
        host, port = split_address(self.settings.doors.admin)
        trusted = Trusted(self.settings.doors.trusted_proxies)
        return Door(
            Behind(admin, trusted) if trusted else admin,
            name="admin",
            host=host,
            port=port,
            clock=self.clock,
            metrics=metrics,
            limits=admin_limits(),
        )

    def _not_ready(self, catalog: SqliteCatalog) -> str:
        """Why what is cached cannot be served, "" when it can."""
        if catalog.damaged:
            return "the catalog is damaged: restart the node, it saves what can be read"
        blobs = self.settings.node.data_path / "blobs"
        return "" if os.access(blobs, os.R_OK | os.X_OK) else f"{blobs} cannot be read"

    def _crashed(self, name: str, error: BaseException) -> None:
        _log.error("task %s crashed", name, exc_info=error)
        self.events.emit(
            "task.crashed",
            name,
            cause=type(error).__name__,
            next_step="report it with the log's traceback",
            level=Level.ERROR,
        )
