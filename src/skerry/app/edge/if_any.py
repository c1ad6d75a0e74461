"""The edge of a node that has sites; nothing of it is loaded on one that has none.

Owns that choice.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

from skerry.app.budget.room import NodeBudget
from skerry.app.doors.hot_tables import HotTables
from skerry.app.outside import Outside
from skerry.app.settings.schema import Settings
from skerry.registry.assembly import Parts

if TYPE_CHECKING:
    from skerry.app.edge.room import OpenEdge


class Site(Protocol):
    """What the node hands over."""

    settings: Settings
    hot: HotTables
    ends: AsyncExitStack
    budget: NodeBudget


def edge_of(node: Site, parts: Parts, outside: Outside) -> OpenEdge | None:
    """The edge, opened. Raises EdgeUnusable, NodeKeyError, BadInput."""
    if not node.settings.sites:
        return None
    from skerry.app.edge.room import open_edge

    return open_edge(
        parts,
        outside,
        node.settings,
        ready=node.hot,
        ends=node.ends,
        steward=node.budget.edge_steward(),
    )
