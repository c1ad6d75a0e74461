"""What is stored of routes that may not be stored any more.

Owns its removal after the operator changed a route's class, here and from the copies kept
elsewhere. That it is not served is not owed to this: `core.reuse` looks at the class at each
request.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import Mode, by_url
from skerry.cdn.core.route import Matched, RouteTable
from skerry.cdn.ports import DataClass, EdgeUnusable, Variants

STEP = 256
"""Entries looked at before others get their turn."""


def may_be_stored(table: RouteTable, key: CacheKey) -> bool:
    """Whether the route of a key is public. What no site has any more is not in question: it is
    not served, and makes way when room is needed."""
    found = table.match(host=key.host, path=key.path, method="GET")
    return not isinstance(found, Matched) or found.route.policy.data_class is DataClass.PUBLIC


async def drop_what_is_not_public(variants: Variants, table: RouteTable) -> int:
    """Removes every entry whose route is not public, with its copies; how many URLs."""
    going: set[CacheKey] = set()
    with suppress(EdgeUnusable):
        await variants.touch(())  # writes that wait for others come first
    for number, entry in enumerate(variants.all()):
        if not may_be_stored(table, entry.key):
            going.add(entry.key)
        if number % STEP == 0:
            await asyncio.sleep(0)
    try:
        for key in going:
            await variants.purge(by_url(key), Mode.HARD)
    except EdgeUnusable:
        return 0  # said elsewhere; none of it is served
    return len(going)
