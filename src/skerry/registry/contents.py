"""Manifests and blobs by digest: from the store at once, else by a fill.

Owns what it takes for a content to be served in a repository: the bytes are here, they are what
their name says, and this repository is known to hold them (known failures T17, T23). Never
decides what a tag means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from skerry.aio.offload import off_loop
from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest, digest_of
from skerry.base.errors import SkerryError
from skerry.registry.access import Rights
from skerry.registry.core.manifests import MANIFEST_BYTES_MAX, parse_manifest
from skerry.registry.ports import Catalog, CatalogReadOnly, Link, Manifest, Repository
from skerry.registry.refusals import Refusals
from skerry.registry.remote import Remote, blob_fetch, manifest_fetch
from skerry.registry.tolls import FREE, Toll
from skerry.store.ports import BlobMissing, Store, StoreError, StoreFull
from skerry.upstream.core.judge import content_length
from skerry.upstream.fills import Fill, FillKey, Fills
from skerry.upstream.ports import Absent, Reply
from skerry.wire.message import BodyAborted, Segment

BODY_IN_MEMORY_BYTES_MAX = 64 * 1024
"""Nearly all manifests are shorter."""


@dataclass(frozen=True, slots=True)
class Held:
    """A manifest with its exact bytes.

    `kept` says whether it is in the store and the catalog; a full or read-only disk may make it
    pass through. `source` is where it came from just now, "" when it was here. `joined`: somebody
    else was fetching it.
    """

    manifest: Manifest
    body: bytes
    kept: bool = True
    source: str = ""
    joined: bool = False


@dataclass(frozen=True, slots=True)
class ContentsStatistics:
    """A snapshot: contents that somebody waits for."""

    flying_count: int


class Contents:
    """What repositories hold, by digest."""

    def __init__(
        self,
        *,
        store: Store,
        catalog: Catalog,
        fills: Fills,
        remotes: Mapping[str, Remote],
        clock: Clock,
        nursery: Nursery,
        refusals: Refusals,
        admits: Callable[[str, int], bool],
        rights: Rights,
    ) -> None:
        """`admits` says whether a content of a length should be kept when nobody asked for that."""
        self._store = store
        self._catalog = catalog
        self._fills = fills
        self._remotes = remotes
        self._clock = clock
        self.refusals = refusals
        self._admits = admits
        self._rights = rights
        self._manifests: SingleFlight[tuple[Repository, Digest], Held] = SingleFlight(
            nursery, name="manifest"
        )
        self._blobs: SingleFlight[tuple[Repository, Digest], None] = SingleFlight(
            nursery, name="blob"
        )

    def remote(self, repository: Repository) -> Remote | None:
        """The upstream of a repository; None for a local one."""
        return None if repository.local else self._remotes[repository.upstream]

    def size_here(self, repository: Repository, digest: Digest) -> int | None:
        """Length of a content this repository may serve from the store now, else None."""
        return self._store.size_of(digest) if self._may_serve(repository, digest) else None

    def _may_serve(self, repository: Repository, digest: Digest) -> bool:
        """Whether the repository holds a content, as far as is known here.

        A manifest that names it is enough while anybody may read it somewhere: a layer shared by
        two images stays pullable through both. What only private repositories hold has to be
        proven to be in this very one, or a forged manifest would give it away (T17, T23).
        """
        if not self._catalog.is_member(repository, digest):
            return False
        if self._rights.open_to_all:
            return True
        holders = self._catalog.holders(digest)
        return repository in holders or not all(map(self._rights.is_private, holders))

    def admits(self, key: str, size_bytes: int) -> bool:
        """Whether so many bytes should be kept when nobody asked for that."""
        return self._admits(key, size_bytes)

    def from_sibling(self, repository: Repository, source: str) -> bool:
        """Whether what a source gave came from another node of the site."""
        remote = self.remote(repository)
        return remote is not None and remote.client.is_sibling(source)

    def word_suffices(self, repository: Repository, digest: Digest) -> bool:
        """Whether the bytes are here, and a place that says it has them may be believed.

        What only private repositories are known to hold, another upstream has to give once more:
        to say "I have that" takes the digest alone, and would open what is not its own (T17).
        """
        if repository.local or self._store.size_of(digest) is None:
            return False
        if self._rights.open_to_all:
            return True
        return any(
            holder.upstream == repository.upstream or not self._rights.is_private(holder)
            for holder in self._catalog.holders(digest)
        )

    async def manifest_here(self, repository: Repository, digest: Digest) -> Held | None:
        """A manifest from the store alone; None when it is not held in this repository."""
        if not self._may_serve(repository, digest):
            return None
        known = self._catalog.manifest(digest)
        if known is None:
            return None
        try:
            return Held(known, await self._store.read(digest, bytes_max=MANIFEST_BYTES_MAX))
        except BlobMissing:
            return None

    def body_of(self, held: Held) -> bytes | Segment:
        """A manifest on its way out; a long one from its file, or slow readers fill the memory."""
        if not held.kept or len(held.body) <= BODY_IN_MEMORY_BYTES_MAX:
            return held.body
        try:
            return self._store.open(held.manifest.digest)
        except StoreError:
            return held.body

    async def manifest(self, repository: Repository, digest: Digest, toll: Toll = FREE) -> Held:
        """A manifest from the store, else from siblings and sources.

        Raises Absent, Denied, Unavailable, DigestMismatch, RegistryError (not a manifest).
        """
        held = await self.manifest_here(repository, digest)
        if held is not None:
            return held
        joined = (repository, digest) in self._manifests
        if not joined:
            toll.pay()
        try:
            held = await self._manifests.run(
                (repository, digest), lambda: self._fetch_manifest(repository, digest)
            )
        except Absent as error:
            toll.found_nothing(error.what)
            raise
        return replace(held, joined=joined)

    async def accept(self, repository: Repository, reply: Reply) -> Held:
        """Takes in a manifest that came by tag: parsed, stored, then known, in that order.

        Its name is the one the upstream gave, already checked, else its sha256.
        """
        said = reply.headers.get("Docker-Content-Digest")
        digest = Digest.parse(said) if said else digest_of(reply.body)
        return await self._keep(repository, digest, reply.body, reply.headers.get("Content-Type"))

    async def obtain(self, repository: Repository, link: Link) -> None:
        """Makes sure a blob is here, whole and durable.

        Raises Absent, Denied, Unavailable, DigestMismatch, StoreFull (no room to keep it).
        """
        if self.size_here(repository, link.child) is None:
            await self._blobs.run(
                (repository, link.child), lambda: self._fetch_blob(repository, link)
            )

    async def confirm(
        self, repository: Repository, digest: Digest, toll: Toll = FREE
    ) -> int | None:
        """Asks siblings and the upstream whether a repository holds a blob; its length if said.

        A yes makes the blob a member, if it suffices. Raises Absent, Denied, Unavailable.
        """
        remote = self._remote_of(repository, digest)
        fetch = blob_fetch("HEAD", repository.name, digest)
        toll.pay()
        try:
            reply = await remote.client.ask(fetch, body_bytes_max=0, siblings=True)
        except Absent as error:
            toll.found_nothing(error.what)
            raise
        if self.word_suffices(repository, digest):
            await self._join(repository, digest)
        return content_length(reply.headers)

    def fill(
        self,
        repository: Repository,
        digest: Digest,
        *,
        explicit: bool = False,
        toll: Toll = FREE,
    ) -> Fill:
        """Starts or joins the fill of a blob. Raises Absent for a local repository, Spent.

        Unless `explicit`, one that is too large for the store's good passes through.
        """
        remote = self._remote_of(repository, digest)
        size = self.announced_size(repository, digest)
        key = FillKey(digest, authority=repository.upstream, scope=repository.name)
        if not self._fills.joins(key):
            toll.pay(size or 0)
        return self._fills.get(
            key,
            lambda: remote.client.places(blob_fetch("GET", repository.name, digest)),
            size_bytes=size,
            keep=explicit or size is None or self._admits(str(digest), size),
            admits=None if explicit or size is not None else partial(self._admits, str(digest)),
        )

    def is_filling(self, digest: Digest) -> bool:
        """Whether the content is on its way in, whoever asked."""
        return digest in self._fills

    def is_root(self, repository: Repository, manifest: Manifest) -> bool:
        """Whether a manifest stands alone: no part of an index here, attached to nothing."""
        return manifest.subject is None and not self._catalog.parents(repository, manifest.digest)

    def announced_size(self, repository: Repository, digest: Digest) -> int | None:
        """The length some manifest of the repository gives for a blob."""
        return self._catalog.linked_size(repository, digest)

    async def _fetch_blob(self, repository: Repository, link: Link) -> None:
        if self.word_suffices(repository, link.child):
            await self.confirm(repository, link.child)
            return
        await self.fill(repository, link.child, explicit=True).done()
        await self._join(repository, link.child)

    async def joined(self, repository: Repository, fill: Fill, digest: Digest) -> None:
        """Waits for a fill that a client follows and makes its blob a member of the repository.

        A failure is the followers' to report, and a blob that was not kept is not a member.
        """
        try:
            await fill.done()
            await self._join(repository, digest)
        except SkerryError:
            return

    async def _join(self, repository: Repository, digest: Digest) -> None:
        if repository not in self._catalog.holders(digest):
            await self._catalog.put_member(repository, digest, "blob", now=self._clock.now())

    async def _fetch_manifest(self, repository: Repository, digest: Digest) -> Held:
        if self.word_suffices(repository, digest):
            # Here through another repository: knowing a digest is not a right to it (T17).
            remote = self._remote_of(repository, digest)
            head = manifest_fetch("HEAD", repository.name, str(digest))
            await remote.client.ask(head, body_bytes_max=0, siblings=True)
            body = await self._store.read(digest, bytes_max=MANIFEST_BYTES_MAX)
            return await self._keep(repository, digest, body, None)
        remote = self._remote_of(repository, digest)
        fill = self._fills.get(
            FillKey(digest, authority=repository.upstream, scope=f"{repository.name} manifests"),
            lambda: remote.client.places(manifest_fetch("GET", repository.name, str(digest))),
            size_bytes=self.announced_size(repository, digest),
            size_bytes_max=MANIFEST_BYTES_MAX,
        )
        with self.refusals.reading(repository, digest):
            body = await _whole(fill)
        held = await self._keep(repository, digest, body, None)
        return replace(held, source=fill.source)

    async def _keep(
        self, repository: Repository, digest: Digest, body: bytes, content_type: str | None
    ) -> Held:
        with self.refusals.reading(repository, digest):
            manifest = await off_loop(
                len(body), lambda: parse_manifest(body, content_type, digest=digest)
            )
        try:
            await self._store.put(digest, body)
            await self._catalog.put_manifest(repository, manifest, now=self._clock.now())
        except (StoreFull, CatalogReadOnly):
            return Held(manifest, body, kept=False)
        return Held(manifest, body)

    def _remote_of(self, repository: Repository, digest: Digest) -> Remote:
        remote = self.remote(repository)
        if remote is None:
            raise Absent(f"{repository} holds no {digest}", next_step="push it first")
        return remote

    def statistics(self) -> ContentsStatistics:
        """A snapshot."""
        return ContentsStatistics(len(self._manifests) + len(self._blobs))


async def _whole(fill: Fill) -> bytes:
    """All bytes of a small fill. Raises what the fill failed with, whenever that was."""
    try:
        return b"".join([chunk async for chunk in fill.stream()])
    except BodyAborted as aborted:
        if isinstance(aborted.__cause__, SkerryError):
            raise aborted.__cause__ from aborted
        raise
