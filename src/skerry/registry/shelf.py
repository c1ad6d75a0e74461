"""Which images are here, row by row.

Owns the view only: what an operator sees of tags, digests, wholeness and freshness.
"""

from __future__ import annotations

from collections.abc import Sequence

from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.registry.core.freshness import TagWindow, judge, window_for
from skerry.registry.core.referrers import subject_of_tag
from skerry.registry.inventory import RegistryInventory
from skerry.registry.operations import Freshness, ImageRow, MissingPart
from skerry.registry.ports import Catalog, Repository, Tag
from skerry.registry.wholeness import Wholeness


class Shelf:
    """The images of one node."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        wholeness: Wholeness,
        inventory: RegistryInventory,
        windows: Sequence[TagWindow],
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._wholeness = wholeness
        self._inventory = inventory
        self._windows = windows
        self._clock = clock

    def rows(self) -> list[ImageRow]:
        """Every tagged image, and every image that only a digest names; by reference.

        Signatures and other companions are not images of their own.
        """
        rows: list[ImageRow] = []
        for repository in self._catalog.repositories():
            tags = [
                tag for tag in self._catalog.tags(repository) if subject_of_tag(tag.name) is None
            ]
            tagged = {tag.digest for tag in self._catalog.tags(repository)}
            rows += [self._row(repository, tag.digest, tag) for tag in tags]
            for root in self._inventory.roots(repository):
                manifest = self._catalog.manifest(root)
                if root not in tagged and manifest is not None and manifest.subject is None:
                    rows.append(self._row(repository, root, None))
        return sorted(rows, key=lambda row: row.reference)

    def _row(self, repository: Repository, root: Digest, tag: Tag | None) -> ImageRow:
        found = self._wholeness.completeness(repository, root)
        manifest = self._catalog.manifest(root)
        mark = f":{tag.name}" if tag else f"@{root}"
        return ImageRow(
            reference=f"{repository}{mark}",
            digest=str(root),
            media_type=manifest.media_type if manifest else "",
            size_bytes=found.held_bytes,
            whole=found.whole,
            missing=tuple(self._missing(root, found.missing)),
            platforms=found.platforms_held,
            pinned=bool(self._inventory.pinned(repository) & {root, *self._wholeness.below(root)}),
            last_used=self._inventory.last_used(repository, root),
            freshness=self._freshness(repository, tag),
            confirmed_at=tag.confirmed_at if tag and not repository.local else None,
        )

    def _missing(self, root: Digest, digests: Sequence[Digest]) -> list[MissingPart]:
        links = {link.child: link for link in self._wholeness.links_below(root)}
        parts = []
        for digest in digests:
            link = links.get(digest)
            kind, size, platform = "manifest", 0, ""
            if link is not None:
                kind, size, platform = link.kind, link.size_bytes, link.platform
            parts.append(MissingPart(str(digest), kind, size, platform))
        return parts

    def _freshness(self, repository: Repository, tag: Tag | None) -> Freshness:
        if tag is None:
            return Freshness.DIGEST
        if repository.local:
            return Freshness.LOCAL
        if tag.gone_at is not None:
            return Freshness.GONE
        if tag.pending is not None:
            return Freshness.MOVED
        verdict = judge(tag, self._clock.now(), window_for(tag.name, self._windows))
        return Freshness.STALE if verdict.stale else Freshness.FRESH
