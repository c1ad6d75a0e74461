"""What makes a cached image whole beside its layers: signatures, referrers and the tag list.

Owns when they are fetched: once, behind the first answer for an image, never on a client's time.
Without them a signature check fails exactly when nobody can be asked (requirements R4).
"""

from __future__ import annotations

from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.registry.core.referrers import companion_tags
from skerry.registry.listings import Listings
from skerry.registry.ports import Repository
from skerry.registry.tags import Tags
from skerry.registry.wholeness import Wanted, Wholeness
from skerry.telemetry.events import Events, Level

BYTES_MAX = 64 * 2**20
"""A signature or an SBOM is small; anything larger is fetched when somebody asks for it."""
REFERRERS_MAX = 32


class Companions:
    """Fetches what travels with an image."""

    def __init__(
        self,
        *,
        tags: Tags,
        listings: Listings,
        wholeness: Wholeness,
        events: Events,
        nursery: Nursery,
        enabled: bool,
    ) -> None:
        self._tags = tags
        self._listings = listings
        self._wholeness = wholeness
        self._events = events
        self._enabled = enabled
        self._flights: SingleFlight[tuple[Repository, Digest], None] = SingleFlight(
            nursery, name="companions"
        )

    def start(self, repository: Repository, digest: Digest) -> None:
        """Begins fetching behind the answer that is going out; does nothing for local images."""
        if self._enabled and not repository.local:
            self._flights.start((repository, digest), lambda: self.fetch(repository, digest))

    async def fetch(self, repository: Repository, digest: Digest) -> None:
        """Fetches all companions; one that cannot be had is an event and stops nothing."""
        try:
            await self._listings.tags(repository)
        except SkerryError as error:
            self._missed(repository, digest, "tag list", error)
        try:
            found, _ = await self._listings.referrers(repository, digest)
        except SkerryError as error:
            self._missed(repository, digest, "referrers", error)
            found = ()
        for descriptor in found[:REFERRERS_MAX]:
            await self._take(repository, descriptor.digest, of=digest)
        for tag in companion_tags(digest):
            await self._take_tag(repository, tag, of=digest)

    async def _take_tag(self, repository: Repository, tag: str, *, of: Digest) -> None:
        try:
            meaning = await self._tags.fetch_if_there(repository, tag)
        except SkerryError as error:
            self._missed(repository, of, tag, error)
            return
        if meaning is not None:
            await self._take(repository, meaning.digest, of=of)

    async def _take(self, repository: Repository, digest: Digest, *, of: Digest) -> None:
        try:
            await self._wholeness.complete(
                repository, digest, wanted=Wanted(every=True), bytes_max=BYTES_MAX
            )
        except SkerryError as error:
            self._missed(repository, of, str(digest), error)

    def _missed(
        self, repository: Repository, digest: Digest, what: str, error: SkerryError
    ) -> None:
        self._events.emit(
            "companion.missing",
            f"{repository}@{digest}",
            cause=f"{what}: {error.what}",
            next_step="it is fetched with the next pull that reaches the upstream",
            level=Level.WARNING,
        )
