"""Whether an image is whole here, for which platforms, and what is missing.

Owns the walk over a manifest's links, through index, nested index, config and layers. Never
fetches and never believes a catalog row about bytes: presence is what `size_of` says.

An index is whole for the platforms it holds: each child whose manifest is here must be wholly
here, and at least one must be. Foreign layers are not ours to keep (known failures T6) and are
not needed. Depth is bounded, which ends a cycle, too (T22).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from skerry.base.digest import Digest
from skerry.registry.ports import Link, Manifest

DEPTH_MAX = 8
"""Indexes inside indexes beyond this are not followed: the rest counts as missing."""

MANIFESTS_MAX = 1000
LINKS_MAX = 20_000
"""An image of more manifests or links than these is no image: it is never whole and never
completed. Each of them costs the node a look, and a few kilobytes can name millions (T22)."""

MISSING_MAX = 1000
"""More missing digests than this are not listed."""

UNKNOWN_PLATFORM = "unknown/unknown"
"""What builders write on attestations: no platform that anybody runs."""

ManifestOf = Callable[[Digest], Manifest | None]
SizeOf = Callable[[Digest], int | None]


@dataclass(frozen=True, slots=True)
class Completeness:
    """What is here of one image.

    Attributes:
        whole: everything needed is here.
        missing: what is needed and not here, in the order of the walk.
        held_bytes, total_bytes: of what is needed, each content counted once. What a manifest
            that is not here would need is not known and not counted.
        platforms_held: wholly here. `platforms_part`: manifest here, some bytes are not.
        platforms_missing: manifest not here.
    """

    whole: bool
    missing: tuple[Digest, ...]
    held_bytes: int
    total_bytes: int
    platforms_held: tuple[str, ...] = ()
    platforms_part: tuple[str, ...] = ()
    platforms_missing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tally:
    """What one walk has found so far."""

    sizes: dict[Digest, int] = field(default_factory=dict)
    missing: dict[Digest, None] = field(default_factory=dict)
    platforms: dict[str, dict[str, None]] = field(
        default_factory=lambda: {"held": {}, "part": {}, "missing": {}}
    )

    def absorb(self, other: _Tally) -> None:
        self.sizes.update(other.sizes)
        self.missing.update(other.missing)
        for state, names in other.platforms.items():
            self.platforms[state].update(names)


def completeness(
    root: Digest,
    manifest_of: ManifestOf,
    size_of: SizeOf,
    *,
    platforms: frozenset[str] | None = None,
) -> Completeness:
    """What is here of the image `root`.

    With `platforms` (`os/arch[/variant]`) exactly those are needed, here or not; an index that
    names none of them is not whole. `manifest_of` is the catalog's, `size_of` the store's.
    """
    walk = _Walk(manifest_of, size_of, platforms)
    tally = walk.of(root, None, 0)
    sizes = tally.sizes
    return Completeness(
        whole=not tally.missing,
        missing=tuple(tally.missing)[:MISSING_MAX],
        held_bytes=sum(size for digest, size in sizes.items() if digest not in tally.missing),
        total_bytes=sum(sizes.values()),
        platforms_held=tuple(tally.platforms["held"]),
        platforms_part=tuple(tally.platforms["part"]),
        platforms_missing=tuple(tally.platforms["missing"]),
    )


def platforms_held(root: Digest, manifest_of: ManifestOf, size_of: SizeOf) -> tuple[str, ...]:
    """The platforms of an index that are wholly here, in its order; () for a single image."""
    return completeness(root, manifest_of, size_of).platforms_held


def reachable(root: Digest, manifest_of: ManifestOf) -> Iterator[Link]:
    """Every link below a manifest that is known, each child once, parents first."""
    seen = {root}
    todo = deque([(root, 0)])
    while todo:
        digest, depth = todo.popleft()
        manifest = manifest_of(digest)
        for link in manifest.links if manifest else ():
            if link.child in seen:
                continue
            seen.add(link.child)
            yield link
            if link.kind == "manifest" and depth < DEPTH_MAX:
                todo.append((link.child, depth + 1))


@dataclass(slots=True)
class _Walk:
    manifest_of: ManifestOf
    size_of: SizeOf
    wanted: frozenset[str] | None
    done: dict[Digest, _Tally] = field(default_factory=dict)
    link_count: int = 0

    def of(self, digest: Digest, link: Link | None, depth: int) -> _Tally:
        """What is needed of one manifest and all below it."""
        if digest in self.done:  # the same child under a thousand names costs one walk (T22)
            return self.done[digest]
        tally = _Tally()
        manifest = self.manifest_of(digest)
        size = manifest.size_bytes if manifest else (link.size_bytes if link else 0)
        self._need(tally, digest, size)
        self.link_count += len(manifest.links) if manifest else 0
        if manifest is None or depth > DEPTH_MAX or self.link_count > LINKS_MAX:
            tally.missing[digest] = None
            return tally
        children = [child for child in manifest.links if child.kind == "manifest"]
        for blob in manifest.links:
            if blob.kind != "manifest" and not blob.foreign:
                self._need(tally, blob.child, blob.size_bytes)
        if children:
            self._children(tally, children, depth)
        self.done[digest] = tally
        return tally

    def _need(self, tally: _Tally, digest: Digest, size_bytes: int) -> None:
        held = self.size_of(digest)
        tally.sizes[digest] = size_bytes if held is None else held
        if held is None:
            tally.missing[digest] = None

    def _children(self, tally: _Tally, children: list[Link], depth: int) -> None:
        runnable = [c for c in children if c.platform != UNKNOWN_PLATFORM] or children
        wanted = [child for child in runnable if self._wants(child)]
        here: set[Digest] = set()
        absent: list[Link] = []
        for child in wanted:
            if self.manifest_of(child.child) is None:
                absent.append(child)
                _note(tally, "missing", child)
                continue
            below = self.of(child.child, child, depth + 1)
            _note(tally, "part" if below.missing else "held", child)
            if child.child not in here:
                tally.absorb(below)
            here.add(child.child)
        # Without a wish, the platforms nobody asked for are not missing, unless none is here.
        if self.wanted is not None or not here:
            for child in absent if wanted else children:
                tally.missing[child.child] = None
                tally.sizes[child.child] = child.size_bytes

    def _wants(self, child: Link) -> bool:
        return (
            self.wanted is None
            or not child.platform
            or any(
                child.platform == wish or child.platform.startswith(f"{wish}/")
                for wish in self.wanted
            )
        )


def _note(tally: _Tally, state: str, child: Link) -> None:
    if child.platform:
        tally.platforms[state][child.platform] = None
