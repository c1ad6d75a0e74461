"""What was lost to rot is fetched again.

Owns the heal of a quarantined content: for a repository that held it, from any other place that
has it. Never on a client's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.registry.contents import Contents
from skerry.registry.ports import Catalog, Link
from skerry.telemetry.events import Events, Level


class Elsewhere(Protocol):
    """Another owner of contents on this disk, with a way of its own to have them again."""

    def holds(self, digest: Digest) -> bool:
        """Whether a content of its own is here."""

    async def heal(self, digest: Digest) -> bool:
        """Fetches a content again, if it can; whether it is here and proven."""


@dataclass(frozen=True, slots=True)
class HealingStatistics:
    """A snapshot: blobs that are fetched anew."""

    flying_count: int


class Healing:
    """Fetches contents again; `elsewhere` is asked first, if there is one."""

    def __init__(
        self, *, contents: Contents, catalog: Catalog, events: Events, nursery: Nursery
    ) -> None:
        self._contents = contents
        self._catalog = catalog
        self._events = events
        self.elsewhere: Elsewhere | None = None
        self._flights: SingleFlight[Digest, bool] = SingleFlight(nursery, name="heal")

    def start(self, digest: Digest) -> None:
        """Begins a heal behind whoever found the rot."""
        self._flights.start(digest, lambda: self._heal(digest))

    async def settled(self, digest: Digest) -> bool:
        """Waits for the heal of a content, if one is under way; whether it is whole and here."""
        if digest in self._flights:
            return await self._flights.run(digest, lambda: self._heal(digest))
        if self.elsewhere is not None and self.elsewhere.holds(digest):
            return True
        holders = self._catalog.repositories_of(digest)
        return any(self._contents.size_here(each, digest) is not None for each in holders)

    async def _heal(self, digest: Digest) -> bool:
        why = "no repository holds it"
        if self.elsewhere is not None and await self.elsewhere.heal(digest):
            self._events.emit("blob.healed", str(digest), cause="fetched again from the vault")
            return True
        for repository in self._catalog.repositories_of(digest):
            if repository.local:
                why = f"{repository} was pushed here and has no other source"
                continue
            try:
                if self._catalog.manifest(digest) is not None:
                    await self._contents.manifest(repository, digest)
                else:
                    await self._contents.obtain(repository, Link(digest, "layer", "", 0))
            except SkerryError as error:
                why = error.what
                continue
            self._events.emit("blob.healed", str(digest), cause=f"fetched again for {repository}")
            return True
        self._events.emit(
            "blob.lost",
            str(digest),
            cause=why,
            next_step="the next pull that reaches a source fetches it; push a local one again",
            level=Level.ERROR,
        )
        return False

    def statistics(self) -> HealingStatistics:
        """A snapshot."""
        return HealingStatistics(len(self._flights))
