"""What tag lists that are here say of tags that are not: enough to answer a flood of them.

Owns how long a list's silence is believed: as long as any other word that a name does not exist,
only of a whole list, and only of one that a flood was the reason to ask for. Else a tag pushed just
after its list was fetched would be missing here. Every list vouches for the names it has.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from skerry.base.clock import Clock
from skerry.registry.listings import Listings
from skerry.registry.ports import Listing, Repository
from skerry.registry.tolls import Toll
from skerry.upstream.misses import Spent
from skerry.upstream.ports import Absent

OPEN_MAX = 16
"""Lists at hand; one has 20,000 names at most."""
LONG_MAX, LONG_SECONDS = 1024, 600.0
"""So many repositories are known to have no list, or one of many pages, for so long."""


@dataclass(frozen=True, slots=True)
class TagsListedStatistics:
    """A snapshot: repositories whose lists are in memory."""

    remembered_count: int


class TagsListed:
    """`registry.tolls.TagLists` over what upstreams list."""

    def __init__(self, listings: Listings, *, believed_seconds: float, clock: Clock) -> None:
        self._listings = listings
        self._believed_seconds = believed_seconds
        self._clock = clock
        self._open: OrderedDict[Repository, tuple[Listing, bool]] = OrderedDict()
        self._long: OrderedDict[Repository, float] = OrderedDict()
        self._flooded: dict[Repository, float] = {}
        listings.on_tags = self._listed

    def has_tag(self, repository: Repository, name: str) -> bool | None:
        """Whether the upstream lists a tag; None when what is here does not tell."""
        if repository not in self._open:
            known = self._listings.known_tags(repository)
            if known is None:
                return None
            self._keep(known, whole=False)
        listing, whole = self._open[repository]
        # No tag needs an escape in JSON: looking for the text is looking for the name.
        if f'"{name}"' in listing.body:
            return True
        flooded = self._flooded.get(repository, 0.0) > self._clock.monotonic()
        told = whole and flooded and self._is_fresh(listing)
        return False if told else None

    def look_behind(self, repository: Repository, toll: Toll) -> None:
        """Asks for the list behind an answer, if that may tell and was not done just now."""
        if self._long.get(repository, 0.0) > self._clock.monotonic():
            return
        found = self._open.get(repository)
        flooded = self._flooded.get(repository, 0.0) > self._clock.monotonic()
        if flooded and found is not None and self._is_fresh(found[0]):
            return
        self._note_flood(repository)
        try:
            self._listings.tags_behind(repository, toll)
        except (Absent, Spent):
            return  # it has none, or nothing may be asked: the flood is answered as before

    def _note_flood(self, repository: Repository) -> None:
        """From now on, and until it is over, what its list does not name is nowhere."""
        now = self._clock.monotonic()
        self._flooded = {each: until for each, until in self._flooded.items() if until > now}
        if len(self._flooded) < OPEN_MAX or repository in self._flooded:
            self._flooded[repository] = now + self._believed_seconds

    def _is_fresh(self, listing: Listing) -> bool:
        return 0 <= self._clock.now() - listing.confirmed_at < self._believed_seconds

    def _listed(
        self, repository: Repository, listing: Listing | None, *, pages: int, whole: bool
    ) -> None:
        """A list has come, in so many pages; None when there is none to be had."""
        if listing is None or pages > 1:
            self._long[repository] = self._clock.monotonic() + LONG_SECONDS
            self._long.move_to_end(repository)
            if len(self._long) > LONG_MAX:
                self._long.popitem(last=False)
        if listing is not None:
            self._keep(listing, whole=whole)

    def _keep(self, listing: Listing, *, whole: bool) -> None:
        self._open[listing.repository] = (listing, whole)
        self._open.move_to_end(listing.repository)
        if len(self._open) > OPEN_MAX:
            self._open.popitem(last=False)

    def statistics(self) -> TagsListedStatistics:
        """A snapshot."""
        return TagsListedStatistics(len(self._open) + len(self._long))
