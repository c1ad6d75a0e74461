"""Who has a budget: the node, and tenants with an amount of their own.

Owns what each of them has spent. Knows no ladder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WHOLE = "node"
"""The scope of the node's own budget."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a scope may spend in a period: the node, or one tenant."""

    scope: str
    amount_micro: int


def spent_of(scope: str, tenants: Mapping[str, int]) -> int:
    """What a scope has spent, of what each tenant has. No tenant is called as the node is."""
    return sum(tenants.values()) if scope == WHOLE else tenants.get(scope, 0)
