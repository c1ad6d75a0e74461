"""What makes a cached image whole beside its layers: signatures, referrers and the tag list.

Owns when they are fetched: behind the first answer for an image, and again behind a check of its
tag now and then, since images are signed after they are pushed. Never on a client's time. Without
them a signature check fails exactly when nobody can be asked (requirements R4).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.registry.core.referrers import companion_tags
from skerry.registry.listings import Listings
from skerry.registry.ports import Repository
from skerry.registry.tags import Tags
from skerry.registry.wholeness import Wanted, Wholeness
from skerry.telemetry.events import Events, Level
from skerry.upstream.ports import Absent

BYTES_MAX = 64 * 2**20
"""All companions of one image together: signatures and SBOMs are small. Anything larger is fetched
when somebody asks for it, or a tiny image could make the node fetch gigabytes."""
REFERRERS_MAX = 32
TOLD_MAX, CAUSE_CHARS_MAX = 4, 800

Missed = list[tuple[str, SkerryError]]
"""What did not come, and why."""
AGAIN_SECONDS = 900.0
"""Companions that came are not asked about again for so long; those that did not, at once."""
ASKED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class CompanionsStatistics:
    """A snapshot: images whose companions came lately, and those that are on their way."""

    remembered_count: int
    flying_count: int


class Companions:
    """Fetches what travels with an image."""

    def __init__(
        self,
        *,
        tags: Tags,
        listings: Listings,
        wholeness: Wholeness,
        clock: Clock,
        events: Events,
        nursery: Nursery,
        enabled: bool,
        may_warm: Callable[[Repository], bool] = lambda repository: True,
    ) -> None:
        """`may_warm` says whether the node's budget allows fetching ahead."""
        self._tags = tags
        self._listings = listings
        self._wholeness = wholeness
        self._clock = clock
        self._events = events
        self._enabled = enabled
        self._may_warm = may_warm
        self._came: OrderedDict[tuple[Repository, Digest], float] = OrderedDict()
        self._flights: SingleFlight[tuple[Repository, Digest], str] = SingleFlight(
            nursery, name="companions"
        )

    def start(self, repository: Repository, digest: Digest) -> None:
        """Begins fetching behind the answer that is going out, unless all came lately.

        Does nothing for local images.
        """
        key = (repository, digest)
        since = self._clock.monotonic() - self._came.get(key, -AGAIN_SECONDS)
        wanted = self._enabled and not repository.local and since >= AGAIN_SECONDS
        if wanted and self._may_warm(repository):
            self._flights.start(key, lambda: self.fetch(repository, digest))

    async def fetch_now(self, repository: Repository, digest: Digest) -> str:
        """Fetches all companions on the asker's time, with whoever is at it; what did not come
        and why, "" when all did."""
        key = (repository, digest)
        return await self._flights.run(key, lambda: self.fetch(repository, digest))

    async def fetch(self, repository: Repository, digest: Digest) -> str:
        """Fetches all companions; what cannot be had is one event and stops nothing. Returns what
        that was and why, "" when all came."""
        missed: Missed = []
        try:
            await self._listings.tags(repository, now=True)
        except Absent:
            pass  # an upstream need not list tags
        except SkerryError as error:
            missed.append(("the tag list", error))
        try:
            found, _ = await self._listings.referrers(repository, digest, now=True)
        except SkerryError as error:
            missed.append(("the list of referrers", error))
            found = self._listings.known_referrers(repository, digest)
        companions = [descriptor.digest for descriptor in found[:REFERRERS_MAX]]
        for tag in companion_tags(digest):
            try:
                meaning = await self._tags.fetch_if_there(repository, tag)
            except SkerryError as error:
                missed.append((tag, error))
                continue
            companions += [meaning.digest] if meaning is not None else []
        missed += await self._take(repository, companions)
        if missed:
            return self._tell(repository, digest, missed)
        self._came[repository, digest] = self._clock.monotonic()
        self._came.move_to_end((repository, digest))
        if len(self._came) > ASKED_MAX:
            self._came.popitem(last=False)
        return ""

    async def _take(self, repository: Repository, companions: Sequence[Digest]) -> Missed:
        """Makes these whole here; which of them are not."""
        missed: Missed = []
        left_bytes = BYTES_MAX
        for digest in companions:
            try:
                done = await self._wholeness.complete(
                    repository, digest, wanted=Wanted(every=True), bytes_max=left_bytes
                )
                left_bytes -= done.fetched_bytes
            except SkerryError as error:
                missed.append((str(digest), error))
        return missed

    def _tell(self, repository: Repository, digest: Digest, missed: Missed) -> str:
        whats = ", ".join(what for what, _ in missed[:TOLD_MAX])
        more = f" and {len(missed) - TOLD_MAX} more" if len(missed) > TOLD_MAX else ""
        reasons = "; ".join(dict.fromkeys(error.what for _, error in missed))
        cause = f"{whats}{more}: {reasons}"[:CAUSE_CHARS_MAX]
        self._events.emit(
            "companion.missing",
            f"{repository}@{digest}",
            cause=cause,
            next_step="they are fetched after the next good check of the tag, or by `skerry warm`",
            level=Level.WARNING,
        )
        return cause

    def statistics(self) -> CompanionsStatistics:
        """A snapshot."""
        return CompanionsStatistics(len(self._came), len(self._flights))
