"""One store, several owners: the registry's images and the edge's pages share one disk.

Owns the joining of their inventories; each keeps its own policy of what belongs together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skerry.base.digest import Digest
from skerry.store.ports import Group, Inventory


class SharedInventory:
    """Several owners of one store as one. Group ids never collide: each owner's carry its mark."""

    def __init__(self, owners: Mapping[str, Inventory]) -> None:
        self._owners = owners

    def groups(self) -> list[Group]:
        return [
            Group(
                f"{mark}\n{group.id}",
                group.members,
                group.last_used,
                pinned=group.pinned,
                busy=group.busy,
                refetchable=group.refetchable,
            )
            for mark, owner in self._owners.items()
            for group in owner.groups()
        ]

    def names(self, group_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {
            f"{mark}\n{group_id}": names
            for mark, ids in _by_owner(group_ids).items()
            for group_id, names in self._owners[mark].names(ids).items()
        }

    async def drop(self, group_ids: list[str]) -> None:
        for mark, ids in _by_owner(group_ids).items():
            await self._owners[mark].drop(ids)

    def still_wanted(self, digest: Digest) -> bool:
        return any(owner.still_wanted(digest) for owner in self._owners.values())


def _by_owner(group_ids: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group_id in group_ids:
        mark, _, rest = group_id.partition("\n")
        found.setdefault(mark, []).append(rest)
    return found
