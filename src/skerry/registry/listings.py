"""Tag lists and referrers: small documents of the upstream, kept so that they outlive it.

Owns their fetching, keeping and freshness. Shapes and paging are `core.paging` and
`core.referrers`.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from skerry.aio.offload import off_loop
from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.registry.contents import Contents
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.paging import LISTING_BYTES_MAX, next_query, tags_in
from skerry.registry.core.referrers import (
    Descriptor,
    descriptor_of,
    fallback_tag,
    listing_body,
    merge,
    parse_body,
    parse_referrers,
)
from skerry.registry.ports import Catalog, CatalogReadOnly, Listing, Repository
from skerry.registry.remote import Remote, manifest_fetch, referrers_fetch, tags_fetch
from skerry.registry.replies import Outcome
from skerry.registry.tolls import FREE, Toll
from skerry.upstream.misses import Spent
from skerry.upstream.ports import Absent, Unavailable

TAG_PAGE = 1000
TAG_PAGES_MAX = 20
TAGS_MAX = TAG_PAGE * TAG_PAGES_MAX
"""Whatever page size an upstream likes: each name costs memory here, and time at every answer."""
NOTED_MAX, NOTED_CHARS_MAX = 256, 64 * 2**10
"""Documents about what is not here are noted in memory alone, so many and none longer."""
TAGS, REFERRERS = "tags", "referrers"


class OnTags(Protocol):
    """Told what came of asking for a tag list: None when there is none to be had."""

    def __call__(
        self, repository: Repository, listing: Listing | None, *, pages: int, whole: bool
    ) -> None: ...


def _untold(repository: Repository, listing: Listing | None, *, pages: int, whole: bool) -> None:
    """Nobody wants to know."""


Key = tuple[Repository, str, str]
"""Repository, kind and subject of a listing."""


@dataclass(frozen=True, slots=True)
class _TagNames:
    """Tag names in order, how many pages held them, and whether these are all."""

    names: list[str]
    pages: int
    whole: bool


@dataclass(frozen=True, slots=True)
class ListingsStatistics:
    """A snapshot: lists in memory, and those that are asked for now."""

    remembered_count: int
    flying_count: int


class Listings:
    """What upstreams list, and what was pushed here."""

    def __init__(
        self,
        *,
        contents: Contents,
        catalog: Catalog,
        window_seconds: float,
        clock: Clock,
        nursery: Nursery,
    ) -> None:
        self._contents = contents
        self._catalog = catalog
        self._window_seconds = window_seconds
        self._clock = clock
        self._flights: SingleFlight[Key, Listing] = SingleFlight(nursery, name="listing")
        self._noted: OrderedDict[Key, Listing] = OrderedDict()
        self.on_tags: OnTags = _untold

    async def tags(
        self, repository: Repository, *, now: bool = False, toll: Toll = FREE
    ) -> tuple[list[str], Outcome]:
        """Every tag name in ASCII order, and how the list was had; STALE may be out of date.

        `now`: a list whose window is over is asked for before it is given, not behind that.

        An upstream that cannot be reached and was never listed leaves the tags held here.
        Raises Absent, Denied, Unavailable, RegistryError (nothing known of the repository).
        """
        held = [tag.name for tag in self._catalog.tags(repository)]
        if repository.local:
            # What was pushed by digest alone, or lost its last tag, is still a repository.
            if not held and not any(True for _ in self._catalog.members(repository)):
                raise RegistryError(Code.NAME_UNKNOWN, f"nothing was pushed to {repository}")
            return held, Outcome.LOCAL
        try:
            listing, outcome = await self._listing(repository, TAGS, "", at_once=now, toll=toll)
        except Unavailable:
            if not held:
                raise
            return held, Outcome.STALE
        names: list[str] = json.loads(listing.body)
        return sorted({*names, *held}) if outcome is Outcome.STALE else names, outcome

    async def referrers(
        self, repository: Repository, subject: Digest, *, now: bool = False, toll: Toll = FREE
    ) -> tuple[tuple[Descriptor, ...], Outcome]:
        """Descriptors of what refers to a manifest, and how they were had.

        `now` as for `tags`.

        Raises Denied, Unavailable.
        """
        here = tuple(descriptor_of(m) for m in self._catalog.referrers(repository, subject))
        if repository.local:
            return here, Outcome.LOCAL
        try:
            listing, outcome = await self._listing(
                repository, REFERRERS, str(subject), at_once=now, toll=toll
            )
        except Unavailable:
            if not here:
                raise
            return here, Outcome.STALE
        listed = await off_loop(len(listing.body), partial(parse_body, listing.body))
        return merge(listed, here), outcome

    def known_referrers(self, repository: Repository, subject: Digest) -> tuple[Descriptor, ...]:
        """What is known here about referrers, without asking anyone."""
        listing = self._catalog.listing(repository, REFERRERS, str(subject))
        here = tuple(descriptor_of(m) for m in self._catalog.referrers(repository, subject))
        return merge(parse_body(listing.body), here) if listing else here

    def known_tags(self, repository: Repository) -> Listing | None:
        """The tag list that is here, however old."""
        return self._catalog.listing(repository, TAGS, "") or self._noted.get(
            (repository, TAGS, "")
        )

    def tags_behind(self, repository: Repository, toll: Toll) -> None:
        """Has the tag list asked for behind the caller. Raises what `toll` raises."""
        key = (repository, TAGS, "")
        if key not in self._flights:
            toll.pay()
            self._flights.start(key, partial(self._fetch, repository, TAGS, "", toll))

    async def _listing(
        self, repository: Repository, kind: str, subject: str, *, at_once: bool, toll: Toll
    ) -> tuple[Listing, Outcome]:
        """The kept document at once, with a check behind it when due; else the upstream's."""
        key = (repository, kind, subject)
        kept = self._catalog.listing(*key) or self._noted.get(key)
        now = self._clock.now()
        due = kept is None or not 0 <= now - kept.checked_at < self._window_seconds
        if kept is None or (due and at_once):
            joins = key in self._flights
            if not joins:
                toll.pay()
            fetch = partial(self._fetch, repository, kind, subject, toll)
            try:
                listing = await self._flights.run(key, fetch)
            except Absent as error:
                toll.found_nothing(error.what)
                raise
            return listing, Outcome.JOINED if joins else Outcome.MISS
        if due:
            self._flights.start(key, lambda: self._refresh(kept))
        current = 0 <= now - kept.confirmed_at < 2 * self._window_seconds
        return kept, Outcome.HIT if current else Outcome.STALE

    async def _refresh(self, kept: Listing) -> Listing:
        try:
            return await self._fetch(kept.repository, kept.kind, kept.subject, FREE)
        except SkerryError:
            moved = replace(kept, checked_at=self._clock.now())
            return await self._keep(moved)

    async def _fetch(self, repository: Repository, kind: str, subject: str, toll: Toll) -> Listing:
        """`toll` is paid for the first request already."""
        remote = self._contents.remote(repository)
        if remote is None:
            raise ValueError(f"{repository} is local and has no upstream")
        if kind == TAGS:
            return await self._fetch_tag_list(remote, repository, toll)
        with self._contents.refusals.reading(repository, f"{kind} {subject}"):
            found = await self._fetch_referrers(remote, repository, Digest.parse(subject), toll)
        now = self._clock.now()
        return await self._keep(Listing(repository, kind, subject, listing_body(found), now, now))

    async def _fetch_tag_list(self, remote: Remote, repository: Repository, toll: Toll) -> Listing:
        try:
            with self._contents.refusals.reading(repository, TAGS):
                found = await self._fetch_tags(remote, repository, toll)
        except Spent:
            raise
        except SkerryError:
            self.on_tags(repository, None, pages=0, whole=False)
            raise
        now = self._clock.now()
        listing = Listing(repository, TAGS, "", json.dumps(found.names), now, now)
        self.on_tags(repository, listing, pages=found.pages, whole=found.whole)
        return await self._keep(listing)

    async def _keep(self, listing: Listing) -> Listing:
        """Writes a document down if something of what it is about is here; else notes it.

        Anybody can ask about digests and names that nobody has: that must not fill the disk.
        """
        if not self._is_known(listing):
            self._noted[_key(listing)] = listing
            self._noted.move_to_end(_key(listing))
            if len(self._noted) > NOTED_MAX or len(listing.body) > NOTED_CHARS_MAX:
                self._noted.popitem(last=len(listing.body) > NOTED_CHARS_MAX)
            return listing
        self._noted.pop(_key(listing), None)
        try:
            await self._catalog.put_listing(listing)
        except CatalogReadOnly:
            pass  # answered all the same; asked again next time
        return listing

    def _is_known(self, listing: Listing) -> bool:
        if listing.kind == REFERRERS:
            return self._catalog.is_member(listing.repository, Digest.parse(listing.subject))
        return any(True for _ in self._catalog.members(listing.repository))

    async def _fetch_tags(self, remote: Remote, repository: Repository, toll: Toll) -> _TagNames:
        names: list[str] = []
        query = f"n={TAG_PAGE}"
        for page in range(TAG_PAGES_MAX):
            if page:
                toll.pay()
            reply = await remote.client.ask(
                tags_fetch(repository.name, query), body_bytes_max=LISTING_BYTES_MAX
            )
            found = await off_loop(len(reply.body), partial(tags_in, reply.body))
            names += found[: TAGS_MAX - len(names)]
            following = next_query(reply.headers.joined("Link"))
            if following is None or len(names) >= TAGS_MAX:
                whole = "Link" not in reply.headers and len(names) < TAGS_MAX
                return _TagNames(sorted(set(names)), page + 1, whole)
            query = following
        return _TagNames(sorted(set(names)), TAG_PAGES_MAX, whole=False)

    async def _fetch_referrers(
        self, remote: Remote, repository: Repository, subject: Digest, toll: Toll
    ) -> tuple[Descriptor, ...]:
        """The referrers API, else the fallback tag (distribution-spec 1.1, "Unavailable")."""
        try:
            reply = await remote.client.ask(
                referrers_fetch(repository.name, subject), body_bytes_max=LISTING_BYTES_MAX
            )
            return await off_loop(len(reply.body), partial(parse_referrers, reply.body))
        except Absent:
            pass
        try:
            # Most images have none, and a GET of a manifest may cost a pull (R3).
            for method, bytes_max in (("HEAD", 0), ("GET", LISTING_BYTES_MAX)):
                toll.pay()
                fetch = manifest_fetch(method, repository.name, fallback_tag(subject))
                reply = await remote.client.ask(fetch, body_bytes_max=bytes_max)
        except Absent:
            return ()
        return await off_loop(len(reply.body), partial(parse_referrers, reply.body))

    def statistics(self) -> ListingsStatistics:
        """A snapshot."""
        return ListingsStatistics(len(self._noted), len(self._flights))


def _key(listing: Listing) -> Key:
    return listing.repository, listing.kind, listing.subject
