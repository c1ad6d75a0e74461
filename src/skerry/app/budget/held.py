"""Who holds what of the disk.

Owns the walk over what is stored, for the share that each pays of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from skerry.app.budget.room import Holder
from skerry.base.errors import SkerryError
from skerry.budget.accounts import Accounts
from skerry.budget.core.plan import LOCAL
from skerry.registry.assembly import Parts

if TYPE_CHECKING:
    from skerry.app.edge.room import OpenEdge


def survey_of(
    parts: Parts, accounts: Accounts, edge: OpenEdge | None
) -> Callable[[], Iterator[Holder | None]]:
    """What walks over it: each content once for each that holds it, and each stored answer."""

    def walk() -> Iterator[Holder | None]:
        try:
            yield from _contents(parts, accounts)
            if edge is not None:
                yield from _answers(edge, accounts)
        except SkerryError:
            return  # unreadable now: the shares that were found hold

    return walk


def _contents(parts: Parts, accounts: Accounts) -> Iterator[Holder | None]:
    for member in parts.catalog.members():
        size = parts.store.size_of(member.digest)
        where = member.repository
        who = accounts.plan.repository(where.upstream or LOCAL, where.name)
        yield (who, size) if size else None


def _answers(edge: OpenEdge, accounts: Accounts) -> Iterator[Holder | None]:
    from skerry.cdn.core.route import Matched

    for entry in edge.variants.all():
        table = edge.rooms.front.table
        found = table.match(host=entry.key.host, path=entry.key.path, method="GET")
        if not isinstance(found, Matched):
            yield None
            continue
        route = found.route
        who = accounts.plan.route(route.origin, route.prefix, route.policy.data_class)
        yield who, entry.stored.size_bytes or 0
