"""What the edge's bodies belong to, for eviction.

Owns the grouping: one stored response is one group. The policy itself is the store's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skerry.base.digest import Digest
from skerry.cdn.entries import Entries
from skerry.cdn.ports import Backing, Entry, Origin, Variants
from skerry.cdn.slicing import Slicing
from skerry.store.ports import Group

GROUPS_MAX = 20_000
"""So many of the least recently used are told at a time: memory does not grow with what is stored.
What else is stored is safe: nothing goes that `still_wanted` knows."""


class EdgeInventory:
    """`store.ports.Inventory` of the edge."""

    def __init__(
        self,
        *,
        variants: Variants,
        entries: Entries,
        slicing: Slicing,
        origins: Mapping[str, Origin],
        backing: Backing | None = None,
    ) -> None:
        self._backing = backing
        self._slicing = slicing
        self._variants = variants
        self._entries = entries
        self._origins = origins
        self._listed: dict[str, Entry] = {}

    def groups(self) -> list[Group]:
        """The least recently used stored responses that have a body, `GROUPS_MAX` at most."""
        refetchable = any(origin.reachable() for origin in self._origins.values())
        listed: dict[str, Entry] = {}
        groups: list[Group] = []
        for entry in self._variants.oldest(GROUPS_MAX):
            members = self._members(entry)
            if not members:
                continue
            group_id = f"edge\n{entry.key.digest}\n{len(listed)}"
            listed[group_id] = entry
            # What is safe in the vault goes first; what still waits to be sent there goes last.
            safe = self._backing.safe(entry) if self._backing is not None else None
            again = refetchable if safe is None else safe
            groups.append(Group(group_id, members, entry.last_used, refetchable=again))
        self._listed = listed
        return groups

    def names(self, group_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The URLs of responses that were listed and not dropped since."""
        found = {each: self._listed.get(each) for each in group_ids}
        return {group_id: (entry.key.text,) for group_id, entry in found.items() if entry}

    async def drop(self, group_ids: list[str]) -> None:
        """Forgets these responses durably; their bytes go after this returns."""
        listed = [self._listed.pop(each) for each in group_ids if each in self._listed]
        try:
            await self._variants.remove(listed)
        finally:
            self._entries.forget_ready(listed)

    def still_wanted(self, digest: Digest) -> bool:
        """Whether a stored response or a fill holds the content now."""
        coming = self._entries.is_filling(digest) or self._slicing.holds(digest)
        return coming or self._variants.holds(digest)

    def _members(self, entry: Entry) -> dict[Digest, int]:
        if entry.slice_bytes:
            return dict(self._variants.slices(entry).values())
        return {entry.digest: entry.stored.size_bytes or 0} if entry.digest else {}

    async def flush(self) -> None:
        """Writes noted uses; at upkeep and at the end."""
        await self._entries.flush()
