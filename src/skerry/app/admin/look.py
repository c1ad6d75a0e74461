"""The pages of one node, joined to its rooms.

Owns what their facts are read from. Nothing of it is loaded before somebody looks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from skerry.aio.tasks import Nursery
from skerry.app.admin.door import AdminDoor
from skerry.app.admin.pages import AdminPages
from skerry.app.budget.room import NodeBudget
from skerry.app.settings.schema import Settings
from skerry.app.telemetry.room import TelemetryRoom
from skerry.base.clock import Clock
from skerry.registry.assembly import Parts
from skerry.registry.operations import Operations, Verified
from skerry.store.departures import Departures
from skerry.telemetry.horizon import Horizon
from skerry.telemetry.metrics import Registry

if TYPE_CHECKING:
    from skerry.app.admin.page_facts import NodeFacts
    from skerry.app.edge.room import OpenEdge


class Site(Protocol):
    """What the pages need of a node."""

    clock: Clock
    metrics: Registry
    horizon: Horizon
    nursery: Nursery
    budget: NodeBudget
    record: TelemetryRoom
    departures: Departures


def pages_of(
    node: Site,
    admin: AdminDoor,
    operations: Operations,
    parts: Parts,
    edge: OpenEdge | None,
    *,
    settings: Callable[[], Settings],
) -> AdminPages:
    """The pages; `settings` are those that hold when somebody looks."""

    def facts(verify: Callable[[str], Awaitable[Verified]]) -> NodeFacts:
        # Late: most nodes are looked at rarely.
        from skerry.app.admin.page_facts import Counted, EdgeSide, NodeFacts

        side = None
        if edge is not None:
            side = EdgeSide(edge.variants, lambda: edge.rooms.front.table, edge.desk.sites)
        return NodeFacts(
            operations,
            admin.status,
            Counted(node.metrics, node.horizon, parts.fills, node.clock),
            settings=settings,
            not_ready=admin.not_ready,
            verify=verify,
            budget=node.budget,
            edge=side,
            incidents=node.record.watch.incidents,
            departures=node.departures,
        )

    return AdminPages(
        facts=facts,
        api=admin.api,
        prove=admin.prove,
        sessions=admin.sessions,
        clock=node.clock,
        nursery=node.nursery,
    )
