"""What the registry's blobs belong to, for eviction.

Owns the grouping of contents into images, and the uses that tell which image was wanted last.
The policy itself is the store's.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.registry.core.attached import gathered
from skerry.registry.core.referrers import subject_of_tag
from skerry.registry.core.whole import reachable
from skerry.registry.ports import Catalog, CatalogReadOnly, Manifest, Member, Repository
from skerry.registry.remote import Remote
from skerry.store.ports import Group, Store

USES_MAX = 100_000


class RegistryInventory:
    """`store.ports.Inventory` of the registry."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        store: Store,
        remotes: Mapping[str, Remote],
        is_filling: Callable[[Digest], bool],
        is_uploading: Callable[[Digest], bool],
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._remotes = remotes
        self._is_filling = is_filling
        self._is_uploading = is_uploading
        self._clock = clock
        self._changed = changed
        self._uses: dict[tuple[Repository, Digest], float] = {}

    def used(self, repository: Repository, digest: Digest) -> None:
        """Notes that an image was asked for; written out by `flush`."""
        if len(self._uses) < USES_MAX:
            self._uses[repository, digest] = self._clock.now()

    async def flush(self) -> None:
        """Writes noted uses to the catalog; a disk that takes no writes loses them."""
        uses, self._uses = self._uses, {}
        try:
            await self._catalog.touch((where, what, at) for (where, what), at in uses.items())
        except CatalogReadOnly:
            return

    def groups(self) -> list[Group]:
        """Every image, and every blob that no manifest here needs, each as a group."""
        members: dict[Repository, dict[Digest, Member]] = defaultdict(dict)
        for member in self._catalog.members():
            members[member.repository][member.digest] = member
        return [
            group
            for repository, held in members.items()
            for group in self._groups_of(repository, held)
        ]

    def names(self, group_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Each image by its tags, or by its digest where it has none; those that are here."""
        wanted: dict[Repository, dict[Digest, str]] = defaultdict(dict)
        for group_id in group_ids:
            repository, root = _parse(group_id)
            wanted[repository][root] = group_id
        found: dict[str, Sequence[str]] = {}
        for repository, images in wanted.items():
            held = {member.digest for member in self._catalog.members(repository)}
            tags = [
                tag for tag in self._catalog.tags(repository) if subject_of_tag(tag.name) is None
            ]
            for root in held & images.keys():
                named = [f"{repository}:{tag.name}" for tag in tags if tag.digest == root]
                found[images[root]] = named or [f"{repository}@{root}"]
        return found

    async def drop(self, group_ids: list[str]) -> None:
        """Forgets these images durably, with what goes with them alone; their bytes go after
        this returns. What was pinned or became busy since it was listed stays."""
        going: dict[Repository, set[Digest]] = defaultdict(set)
        for group_id in group_ids:
            repository, root = _parse(group_id)
            going[repository].add(root)
        roots: list[tuple[Repository, Digest]] = []
        for repository, images in going.items():
            held = {member.digest for member in self._catalog.members(repository)}
            together, parts = await asyncio.to_thread(self._together, repository, held)
            kept = self.pinned(repository)
            for image in list(images):
                whole = set[Digest]().union(*(parts[root] for root in together.get(image, ())))
                if whole & kept or any(map(self._is_filling, whole)):
                    images.discard(image)
            staying = [goes for image, goes in together.items() if image not in images]
            gone = images.union(*(together.get(image, ()) for image in images))
            roots += [(repository, root) for root in sorted(gone.difference(*staying))]
        await self._catalog.drop(roots)
        self._changed()

    def still_wanted(self, digest: Digest) -> bool:
        """Whether a repository, a fill or a push holds the content now."""
        return (
            bool(self._catalog.repositories_of(digest))
            or self._is_filling(digest)
            or self._is_uploading(digest)
        )

    def roots(self, repository: Repository) -> list[Digest]:
        """The contents of a repository that no other manifest there links."""
        held = {member.digest for member in self._catalog.members(repository)}
        return sorted(_parts(held, self._known(held)))

    def last_used(self, repository: Repository, digest: Digest) -> float:
        """When an image was last asked for, in seconds since the epoch; 0 for never."""
        noted = self._uses.get((repository, digest), 0.0)
        return max(
            (noted, *(m.last_used for m in self._catalog.members(repository) if m.digest == digest))
        )

    def _known(self, held: Iterable[Digest]) -> dict[Digest, Manifest]:
        """Those of some contents that are manifests."""
        found = ((digest, self._catalog.manifest(digest)) for digest in held)
        return {digest: manifest for digest, manifest in found if manifest is not None}

    def _together(
        self, repository: Repository, held: Set[Digest]
    ) -> tuple[dict[Digest, set[Digest]], dict[Digest, set[Digest]]]:
        """Each image of a repository with the roots that go with it; each root with its parts."""
        known = self._known(held)
        parts = _parts(held, known)
        subjects = {
            tag.digest: subject
            for tag in self._catalog.tags(repository)
            if (subject := subject_of_tag(tag.name)) is not None
        }
        for digest, manifest in known.items():
            if manifest.subject is not None:
                subjects[digest] = manifest.subject
        return gathered(parts, subjects), parts

    def _groups_of(self, repository: Repository, held: dict[Digest, Member]) -> list[Group]:
        together, parts = self._together(repository, held.keys())
        pinned = self.pinned(repository)
        refetchable = self._refetchable(repository)
        gone = {tag.digest for tag in self._catalog.tags(repository) if tag.gone_at is not None}
        found = []
        for root, roots in together.items():
            part = set[Digest]().union(*(parts[each] for each in roots))
            here = {digest: self._store.size_of(digest) for digest in part}
            found.append(
                Group(
                    id=f"{repository.upstream}\n{repository.name}\n{root}",
                    members={digest: size for digest, size in here.items() if size is not None},
                    last_used=max(self._last_used(held[digest]) for digest in part),
                    pinned=repository.local or bool(part & pinned),
                    busy=any(self._is_filling(digest) for digest in part),
                    refetchable=refetchable and not roots & gone,
                )
            )
        return found

    def _last_used(self, member: Member) -> float:
        noted = self._uses.get((member.repository, member.digest), 0.0)
        return max(noted, member.last_used)

    def pinned(self, repository: Repository) -> set[Digest]:
        """What pins of the repository mean now: the served and the pending image of a tag."""
        found: set[Digest] = set()
        for pin in self._catalog.pins():
            if pin.repository != repository:
                continue
            tag = self._catalog.tag(repository, pin.reference)
            if tag is not None:
                found |= {tag.digest, *([tag.pending] if tag.pending else [])}
            elif ":" in pin.reference:
                found.add(Digest.parse(pin.reference))
        return found

    def _refetchable(self, repository: Repository) -> bool:
        remote = self._remotes.get(repository.upstream)
        return remote is not None and remote.client.reachable()


def _parts(held: Set[Digest], known: Mapping[Digest, Manifest]) -> dict[Digest, set[Digest]]:
    """For each root of what a repository holds, what it leads to there, itself included."""
    below = {
        digest: {link.child for link in reachable(digest, known.get)} & held for digest in known
    }
    linked = {child for children in below.values() for child in children}
    return {root: {root, *below.get(root, ())} for root in held - linked}


def _parse(group_id: str) -> tuple[Repository, Digest]:
    upstream, name, digest = group_id.split("\n")
    return Repository(upstream, name), Digest.parse(digest)
