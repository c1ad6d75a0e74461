"""Whether an image is whole here, and making it so.

Owns which contents belong to an image on this node and the fetching of those that are missing.
The judgement is `core.whole`; the bytes come through `Contents`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from skerry.aio.each import each
from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError
from skerry.registry.contents import Contents
from skerry.registry.core.whole import (
    DEPTH_MAX,
    LINKS_MAX,
    MANIFESTS_MAX,
    Completeness,
    completeness,
    platforms_held,
    reachable,
)
from skerry.registry.ports import Catalog, Link, Manifest, Repository
from skerry.store.ports import Store, StoreFull

PARALLEL_MAX = 4
"""Contents of one image fetched at once: enough to fill a link, few enough to leave room."""
LOOKS_PER_TURN = 256
"""Contents looked for before others get their turn of the event loop."""


class TooLarge(SkerryError):
    """The image would take more bytes than the caller allowed; nothing more is fetched."""

    party = Party.CLIENT


class NoSuchPlatform(SkerryError):
    """The image has no child for a platform that was asked for; nothing is fetched."""

    party = Party.CLIENT


@dataclass(slots=True)
class Progress:
    """How far completing an image is.

    Attributes:
        planned: the manifests are here, so the sizes below are known.
        total_bytes: of all wanted configs and layers, here or not.
        to_fetch_bytes: of those that were not here at the start.
        fetched_bytes: of these, fetched so far.
    """

    planned: bool = False
    total_bytes: int = 0
    to_fetch_bytes: int = 0
    fetched_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a multi-platform image is wanted.

    Attributes:
        platforms: `os/arch[/variant]`; empty with `every` False means none of the children.
        every: all platforms.
    """

    platforms: frozenset[str] = frozenset()
    every: bool = False

    def takes(self, link: Link) -> bool:
        """Whether a child of an index is wanted; one without a platform always is."""
        if self.every or not link.platform:
            return True
        return any(
            link.platform == wanted or link.platform.startswith(f"{wanted}/")
            for wanted in self.platforms
        )

    def lacking(self, manifest: Manifest) -> list[str]:
        """The wanted platforms that an index has not. A child that names none may hold any."""
        children = [link.platform for link in manifest.links if link.kind == "manifest"]
        if self.every or not all(children):
            return []
        have = {part for name in children for part in (name, name.rpartition("/")[0])}
        return sorted(self.platforms - have) if children else []


class Wholeness:
    """Images and what they are made of."""

    def __init__(
        self, *, contents: Contents, catalog: Catalog, store: Store, own_platform: str
    ) -> None:
        self._contents = contents
        self._catalog = catalog
        self._store = store
        self._own_platform = own_platform

    def completeness(
        self, repository: Repository, root: Digest, wanted: Wanted | None = None
    ) -> Completeness:
        """What of an image is here, for the platforms that are here or those wanted."""
        platforms = wanted.platforms if wanted is not None and not wanted.every else None
        return completeness(
            root,
            self._manifest_in(repository),
            lambda digest: self._contents.size_here(repository, digest),
            platforms=platforms,
        )

    def is_whole(self, repository: Repository, root: Digest, *, like: Digest | None = None) -> bool:
        """Whether an image is whole here, at least for the platforms another one has here."""
        if self._catalog.manifest(root) is None:
            return False
        wanted = None if like is None else self._wanted_like(repository, like, root)
        return self.completeness(repository, root, wanted).whole

    def links_below(self, root: Digest) -> list[Link]:
        """Every link that a known manifest leads to, each child once."""
        return list(reachable(root, self._catalog.manifest))

    def below(self, root: Digest) -> list[Digest]:
        """Every content that a known manifest leads to, each once."""
        return [link.child for link in self.links_below(root)]

    def storable(self) -> bool:
        """Whether the disk takes new bytes."""
        return self._store.statistics().writable

    async def complete(
        self,
        repository: Repository,
        root: Digest,
        *,
        like: Digest | None = None,
        wanted: Wanted | None = None,
        bytes_max: int | None = None,
        progress: Progress | None = None,
        explicit: bool = True,
    ) -> Progress:
        """Fetches what is missing of an image; returns when all of it is durable here.

        Args:
            like: want the platforms that this other image has here.
            wanted: or want these; with neither, the node's own platform.
            bytes_max: raise TooLarge rather than fetch more than this.
            explicit: somebody asked for it; else it must not push out what others use.

        Raises what `Contents` raises, StoreFull when it cannot be kept, TooLarge, NoSuchPlatform.
        """
        progress = progress or Progress()
        held = await self._contents.manifest(repository, root)
        if like is not None:
            wanted = self._wanted_like(repository, like, root)
        wanted = wanted or Wanted(frozenset({self._own_platform}))
        if like is None and (lacking := wanted.lacking(held.manifest)):
            has = ", ".join(link.platform for link in held.manifest.links)
            raise NoSuchPlatform(
                f"{repository}@{root} has no {', '.join(lacking)}, only {has}"[:500],
                next_step="choose one of those with --platform",
            )
        links = await self._leaves(repository, held.manifest, wanted, bytes_max)
        missing = await self._missing(repository, links)
        progress.total_bytes = sum(link.size_bytes for link in links)
        progress.to_fetch_bytes = to_fetch = sum(link.size_bytes for link in missing)
        progress.planned = True
        if bytes_max is not None and to_fetch > bytes_max:
            raise TooLarge(
                f"{repository}@{root} needs {to_fetch} more bytes, over the limit of {bytes_max}",
                next_step="raise the limit or choose fewer platforms",
            )
        if not explicit and not self._contents.admits(str(root), to_fetch):
            raise TooLarge(
                f"{repository}@{root} needs {to_fetch} bytes that others use",
                next_step="`skerry warm` it if it is worth that, or raise store.budget",
            )
        await self._obtain_all(repository, missing, progress)
        if not self.storable():
            raise StoreFull("the store takes no bytes", next_step="free some disk space")
        return progress

    async def _obtain_all(
        self, repository: Repository, links: list[Link], progress: Progress
    ) -> None:
        async def obtain(link: Link) -> None:
            await self._contents.obtain(repository, link)
            progress.fetched_bytes += link.size_bytes

        await each(links, obtain, at_once=PARALLEL_MAX)

    async def _leaves(
        self, repository: Repository, root: Manifest, wanted: Wanted, bytes_max: int | None
    ) -> list[Link]:
        """Configs and layers of the wanted parts; fetches the manifests on the way.

        Each manifest is read once, however many name it, and no more of them than an image can
        have: eight small indexes can spell out more paths than there are atoms (T22).
        """
        found: dict[Digest, Link] = {}
        seen = {root.digest}
        todo = deque([(root, 0)])
        link_count = manifest_bytes = 0
        while todo:
            manifest, depth = todo.popleft()
            link_count += len(manifest.links)
            for link in manifest.links:
                if link.kind != "manifest":
                    if not link.foreign:
                        found[link.child] = link
                    continue
                if link.child in seen or depth >= DEPTH_MAX or not wanted.takes(link):
                    continue
                seen.add(link.child)
                manifest_bytes += link.size_bytes
                if manifest_bytes > (manifest_bytes if bytes_max is None else bytes_max):
                    raise TooLarge(f"the manifests of {repository}@{root.digest} are too large")
                if len(seen) > MANIFESTS_MAX or link_count > LINKS_MAX:
                    why = "has too many parts for an image"
                    self._contents.refusals.manifest(repository, root.digest, why)
                    raise TooLarge(f"{repository}@{root.digest} {why}")
                child = await self._contents.manifest(repository, link.child)
                todo.append((child.manifest, depth + 1))
            await asyncio.sleep(0)
        return list(found.values())

    async def _missing(self, repository: Repository, links: list[Link]) -> list[Link]:
        missing = []
        for number, link in enumerate(links):
            if number % LOOKS_PER_TURN == LOOKS_PER_TURN - 1:
                await asyncio.sleep(0)
            if self._contents.size_here(repository, link.child) is None:
                missing.append(link)
        return missing

    def _wanted_like(self, repository: Repository, like: Digest, root: Digest) -> Wanted:
        held = platforms_held(
            like,
            self._manifest_in(repository),
            lambda digest: self._contents.size_here(repository, digest),
        )
        old, new = self._catalog.manifest(like), self._catalog.manifest(root)
        if old is not None and new is not None and _is_index(new) and not _is_index(old):
            return Wanted(frozenset({self._own_platform}))
        return Wanted(frozenset(held))

    def _manifest_in(self, repository: Repository) -> Callable[[Digest], Manifest | None]:
        def manifest_of(digest: Digest) -> Manifest | None:
            if self._contents.size_here(repository, digest) is None:
                return None
            return self._catalog.manifest(digest)

        return manifest_of


def _is_index(manifest: Manifest) -> bool:
    return any(link.kind == "manifest" for link in manifest.links)
