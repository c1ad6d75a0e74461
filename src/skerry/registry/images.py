"""Whole images, as an operator speaks of them.

Owns the reading of references and what is done to images by hand: `Operations` but for the
store's own work (scrub, evict). What an image is made of is `Wholeness`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError
from skerry.base.reference import Reference, looks_like_host
from skerry.registry.companions import Companions
from skerry.registry.core.names import NameTable, resolve
from skerry.registry.operations import NotHeld, Pinned, Removed, WarmEvent, WarmStep
from skerry.registry.ports import Catalog, Pin, Repository
from skerry.registry.tags import Tags
from skerry.registry.verdicts import Verdicts
from skerry.registry.wholeness import Progress, Wanted, Wholeness
from skerry.store.ports import Inventory, Store
from skerry.upstream.ports import Trouble, Unavailable

WARM_BEAT_SECONDS = 0.25
"""How often a warming image tells how far it is."""


@dataclass(frozen=True, slots=True)
class Named:
    """An image that somebody named: a repository and a tag or a digest."""

    repository: Repository
    tag: str | None
    digest: Digest | None

    @property
    def reference(self) -> str:
        """As the catalog keeps pins: the tag, else the digest."""
        return str(self.digest) if self.digest else self.tag or "latest"

    def __str__(self) -> str:
        mark = "@" if self.digest else ":"
        return f"{self.repository}{mark}{self.reference}"


class Images:
    """Warm, pin and remove."""

    def __init__(
        self,
        *,
        names: NameTable,
        tags: Tags,
        wholeness: Wholeness,
        companions: Companions,
        verdicts: Verdicts,
        catalog: Catalog,
        store: Store,
        inventory: Inventory,
        clock: Clock,
        nursery: Nursery,
        may_warm: Callable[[Repository], bool] = lambda repository: True,
    ) -> None:
        """`may_warm` says whether the node's budget allows fetching ahead."""
        self._names = names
        self._tags = tags
        self._wholeness = wholeness
        self._companions = companions
        self._verdicts = verdicts
        self._catalog = catalog
        self._store = store
        self._inventory = inventory
        self._clock = clock
        self._nursery = nursery
        self._may_warm = may_warm

    def named(self, text: str) -> Named:
        """A reference as this node means it. Raises InvalidReference, RegistryError."""
        reference = Reference.parse(text)
        hosted = looks_like_host(text.partition("/")[0])
        name = f"{reference.host}/{reference.name}" if hosted else reference.name
        return Named(resolve(name, None, self._names), reference.tag, reference.digest)

    def root(self, named: Named) -> Digest | None:
        """The manifest an image means here, whatever is held of it."""
        if named.digest is not None:
            held = self._catalog.is_member(named.repository, named.digest)
            return named.digest if held else None
        tag = self._tags.record(named.repository, named.reference)
        return tag.digest if tag else None

    async def warm(
        self,
        images: Sequence[str],
        *,
        platforms: Sequence[str],
        all_platforms: bool,
        bytes_max: int | None,
    ) -> AsyncIterator[WarmEvent]:
        """See `Operations.warm`."""
        wanted = None
        if platforms or all_platforms:
            wanted = Wanted(frozenset(platforms), every=all_platforms)
        left = bytes_max
        for image in images:
            fetched = 0
            async for event in self._warm_one(image, wanted, left):
                fetched = max(fetched, event.done_bytes)
                yield event
            left = None if left is None else max(0, left - fetched)

    async def _warm_one(
        self, image: str, wanted: Wanted | None, bytes_max: int | None
    ) -> AsyncIterator[WarmEvent]:
        progress = Progress()
        try:
            named = self.named(image)
            if not self._may_warm(named.repository):
                step = "see `skerry costs`; raise budget.amount, or wait for the next period"
                what = "nothing is warmed: too much of the budget is spent, or it burns above 1"
                raise SkerryError(what, next_step=step, party=Party.OPERATOR)
            root = await self._root_now(named)
            task = self._nursery.start(
                self._settle(
                    self._wholeness.complete(
                        named.repository,
                        root,
                        wanted=wanted,
                        bytes_max=bytes_max,
                        progress=progress,
                    )
                ),
                name="warm",
            )
            planned = False
            while not task.done():
                await asyncio.wait({task}, timeout=WARM_BEAT_SECONDS)
                if progress.planned and (not planned or not task.done()):
                    step = WarmStep.PROGRESS if planned else WarmStep.PLANNED
                    planned = True
                    yield _warming(step, image, root, progress)
            if (error := task.result()) is not None:
                raise error
            await self._companions.fetch(named.repository, root)
            self._verdicts.forget_refusals()  # who asks by hand has just signed, mostly
            await self._verdicts.admit(named.repository, root)
            yield _warming(WarmStep.DONE, image, root, progress)
        except SkerryError as error:
            yield WarmEvent(
                WarmStep.FAILED,
                image,
                done_bytes=progress.fetched_bytes,
                what=error.what,
                next_step=_after(error),
            )

    async def _settle(self, work: Awaitable[object]) -> SkerryError | None:
        """An expected failure as a value: the asker may have left, and it is no crash."""
        try:
            await work
        except SkerryError as error:
            return error
        return None

    async def _root_now(self, named: Named) -> Digest:
        """The manifest an image means upstream now, or here when nobody can be asked."""
        if named.digest is not None:
            return named.digest
        known = self._tags.record(named.repository, named.reference)
        if known is None or named.repository.local:
            meaning = self._tags.meaning_here(named.repository, named.reference)
            return (meaning or await self._tags.fetch(named.repository, named.reference)).digest
        await self._tags.check_now(named.repository, named.reference)
        tag = self._tags.record(named.repository, named.reference)
        if tag is None:
            raise NotHeld(f"{named} went away while it was being warmed")
        if tag.pending is not None:
            raise SkerryError(
                f"{named} moved to {tag.pending} upstream, which cannot be had whole now",
                next_step="the last whole image is served until it can; see `skerry events`",
                party=Party.UPSTREAM,
            )
        return tag.digest

    async def pin(self, text: str) -> Pinned:
        """See `Operations.pin`."""
        named = self.named(text)
        known = self._pin_of(named) is not None
        if not known:
            await self._catalog.put_pin(Pin(named.repository, named.reference, self._clock.now()))
        return Pinned(str(named), pinned=True, changed=not known)

    async def unpin(self, text: str) -> Pinned:
        """See `Operations.unpin`."""
        named = self.named(text)
        gone = await self._catalog.delete_pin(named.repository, named.reference)
        return Pinned(str(named), pinned=False, changed=gone)

    async def remove(self, text: str) -> Removed:
        """See `Operations.remove`."""
        named = self.named(text)
        root = self.root(named)
        if root is None:
            raise NotHeld(f"{named} is not on this node", next_step="see `skerry ls`")
        if self._is_pinned(named.repository, root):
            raise SkerryError(f"{named} is pinned", next_step=f"`skerry unpin {named}` first")
        others = [
            tag
            for tag in self._catalog.tags(named.repository)
            if tag.digest == root and tag.name != named.tag
        ]
        if named.digest is None and others:
            await self._catalog.delete_tag(named.repository, named.reference)
            self._tags.forget()
            return Removed(str(named), str(root), 0)
        return Removed(str(named), str(root), await self.drop(named.repository, root))

    async def drop(self, repository: Repository, root: Digest) -> int:
        """Forgets an image and deletes what only it used; returns the bytes freed."""
        part = [root, *self._wholeness.below(root)]
        await self._catalog.drop([(repository, root)])
        self._tags.forget()
        freed = 0
        for digest in part:
            if not self._inventory.still_wanted(digest):
                freed += await self._store.delete(digest)
        return freed

    def _pin_of(self, named: Named) -> Pin | None:
        wanted = (named.repository, named.reference)
        return next(
            (pin for pin in self._catalog.pins() if (pin.repository, pin.reference) == wanted),
            None,
        )

    def _is_pinned(self, repository: Repository, root: Digest) -> bool:
        references = {pin.reference for pin in self._catalog.pins() if pin.repository == repository}
        return str(root) in references or any(
            tag.digest == root and tag.name in references for tag in self._catalog.tags(repository)
        )


def _warming(step: WarmStep, image: str, root: Digest, progress: Progress) -> WarmEvent:
    return WarmEvent(
        step,
        image,
        digest=str(root),
        planned_bytes=progress.to_fetch_bytes,
        done_bytes=progress.fetched_bytes,
    )


def _after(error: SkerryError) -> str:
    """What an operator does: a link that is down is not up again in the seconds that a client is
    told to wait."""
    if not isinstance(error, Unavailable) or any(c.trouble is Trouble.BUDGET for c in error.causes):
        return error.next_step
    return (
        "nothing is lost, and what is here is served; fetch it again once `skerry status` shows"
        f" {error.upstream} as reached"
    )
