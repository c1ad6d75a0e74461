"""What the edge's bodies belong to, for eviction."""

from __future__ import annotations


class EdgeInventory:
    """`store.ports.Inventory` of the edge. `await flush()` writes noted uses, at upkeep and end."""
