"""Images out to an OCI image layout, and in from one: a folder, or a plain `.tar` of it.

Owns the files of the layout. Never believes them: every blob is proven by its digest before it is
kept, and a manifest is accepted only after all it needs is here. What is written appears under
its name when it is complete. image-spec 1.1 "Image Layout Specification".
"""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from skerry.base.clock import Clock
from skerry.base.digest import Digest, digest_of
from skerry.registry.core.layouts import (
    INDEX_FILE,
    LAYOUT_BODY,
    LAYOUT_BYTES_MAX,
    LAYOUT_FILE,
    LayoutError,
    Root,
    blob_name,
    index_body,
    parse_layout,
)
from skerry.registry.core.manifests import MANIFEST_BYTES_MAX, InvalidManifest, parse_manifest
from skerry.registry.core.whole import DEPTH_MAX, completeness, reachable
from skerry.registry.layout_files import (
    PIECE_BYTES,
    FileSlice,
    Sink,
    Source,
    open_sink,
    open_source,
    publish,
    remove,
)
from skerry.registry.ports import Catalog, Link, Manifest, Repository, Tag
from skerry.store.ports import DigestMismatch, SpoolAborted, Store

MANIFESTS_MAX = 10_000

T = TypeVar("T")
Place = Callable[[str], tuple[Repository, str | None]]
"""Reference text of an image in a layout ("" when it has none) -> where it goes here."""


@dataclass(frozen=True, slots=True)
class Written:
    """A layout on the disk: each content counted once."""

    path: Path
    blob_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Placed:
    """One image that was read in."""

    repository: Repository
    tag: str | None
    digest: Digest


@dataclass(frozen=True, slots=True)
class Read:
    """What came out of a layout. Contents that were here already are counted, too."""

    images: tuple[Placed, ...]
    blob_count: int
    size_bytes: int


async def export_layout(
    path: Path, images: Sequence[tuple[str, Digest]], *, store: Store, catalog: Catalog
) -> Written:
    """Writes images (reference, digest) that are whole here; `.tar` in the name makes an archive.

    Of an index the children that are here go out. Raises LayoutError when the path is taken or
    an image is not whole.
    """
    roots = [(reference, _whole(reference, digest, store, catalog)) for reference, digest in images]
    part = path.with_name(f".{path.name}.part")
    digests: dict[Digest, None] = {}
    for _, manifest in roots:
        digests[manifest.digest] = None
        below = (link.child for link in reachable(manifest.digest, catalog.manifest))
        digests.update((child, None) for child in below if store.size_of(child) is not None)
    try:
        await _in_thread(lambda: remove(part))
        size = await _write(part, roots, digests, store, archive=path.suffix == ".tar")
        await _in_thread(lambda: publish(part, path))
    except OSError as error:
        remove(part)
        raise LayoutError(f"{path} cannot be written ({error})") from error
    except BaseException:
        remove(part)  # also when cancelled while it was being opened
        raise
    return Written(path, len(digests), size)


async def import_layout(
    path: Path, *, store: Store, catalog: Catalog, clock: Clock, place: Place
) -> Read:
    """Reads every image of a layout in. A child that an index names and the layout lacks stays
    missing; anything else that is missing or wrong refuses the image. Raises LayoutError,
    StoreError, CatalogReadOnly and what `place` raises.
    """
    source = await _in_thread(lambda: open_source(path))
    try:
        marker = await _in_thread(lambda: source.read(LAYOUT_FILE, LAYOUT_BYTES_MAX))
        index = await _in_thread(lambda: source.read(INDEX_FILE, MANIFEST_BYTES_MAX))
        roots = parse_layout(marker, index)
        places = [place(root.reference) for root in roots]
        work = _Import(source, store, catalog, clock)
        images = []
        for root, (repository, tag) in zip(roots, places, strict=True):
            await work.take(root, repository, tag)
            images.append(Placed(repository, tag, root.digest))
        return Read(tuple(images), len(work.sizes), sum(work.sizes.values()))
    finally:
        source.close()


class _Import:
    """One layout on its way in."""

    def __init__(self, source: Source, store: Store, catalog: Catalog, clock: Clock) -> None:
        self._source = source
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self.sizes: dict[Digest, int] = {}

    async def take(self, root: Root, repository: Repository, tag: str | None) -> None:
        found: dict[Digest, tuple[Manifest, bytes]] = {}
        await self._walk(root.digest, root.media_type, root.size_bytes, found, 0)
        blobs = {
            link.child: link
            for manifest, _ in found.values()
            for link in manifest.links
            if link.kind != "manifest" and not link.foreign
        }
        for link in blobs.values():
            await self._blob(link, repository)
        now = self._clock.now()
        for manifest, data in reversed(found.values()):  # children before what names them
            await self._store.put(manifest.digest, data)
            await self._catalog.put_manifest(repository, manifest, now=now)
            self.sizes[manifest.digest] = len(data)
        for link in blobs.values():  # read from the layout itself: proven to be of this image
            await self._catalog.put_member(repository, link.child, link.kind, now=now)
        if tag is not None:
            # What an upstream says of the tag is not known yet: it is checked at its first use.
            said = now if repository.local else 0.0
            await self._catalog.put_tag(
                Tag(repository, tag, root.digest, checked_at=said, confirmed_at=said)
            )

    async def _walk(
        self,
        digest: Digest,
        media_type: str,
        size: int,
        found: dict[Digest, tuple[Manifest, bytes]],
        depth: int,
    ) -> None:
        if digest in found:
            return
        if depth > DEPTH_MAX or len(found) >= MANIFESTS_MAX:
            raise LayoutError("the layout's indexes are nested too deeply or are too many")
        name = blob_name(digest)
        data = await _in_thread(lambda: self._source.read(name, MANIFEST_BYTES_MAX))
        if len(data) != size or digest_of(data, digest.algorithm) != digest:
            raise LayoutError(f"{name} in the layout is not what its name says")
        try:
            manifest = parse_manifest(data, media_type or None, digest=digest)
        except InvalidManifest as error:
            raise LayoutError(f"{name} in the layout: {error.what}") from error
        found[digest] = (manifest, data)
        for link in manifest.links:
            if link.kind == "manifest" and self._source.size(blob_name(link.child)) is not None:
                await self._walk(link.child, link.media_type, link.size_bytes, found, depth + 1)

    async def _blob(self, link: Link, repository: Repository) -> None:
        digest, name = link.child, blob_name(link.child)
        self.sizes[digest] = link.size_bytes
        # That the bytes are here for somebody else gives no right to them (known failures T17).
        held = repository in self._catalog.holders(digest)
        if held and self._store.size_of(digest) == link.size_bytes:
            return
        if self._source.size(name) != link.size_bytes:
            raise LayoutError(f"the layout lacks {digest}, or has it with another length")
        spool = await self._store.begin(size_bytes=link.size_bytes, algorithm=digest.algorithm)
        try:
            async for piece in _pieces(self._source, name):
                await spool.write(piece)
        except BaseException:
            await spool.abort(SpoolAborted(f"{name} could not be read from the layout"))
            raise
        try:
            await spool.commit(digest)
        except DigestMismatch as error:
            raise LayoutError(f"{name} in the layout is not what its name says") from error


async def _pieces(source: Source, name: str) -> AsyncIterator[bytes]:
    file = await _in_thread(lambda: source.open(name))
    try:
        while piece := await _in_thread(lambda: file.read(PIECE_BYTES)):
            yield piece
    except (OSError, tarfile.TarError) as error:
        raise LayoutError(f"{name} in the layout cannot be read ({error})") from error
    finally:
        file.close()


async def _write(
    part: Path,
    roots: Sequence[tuple[str, Manifest]],
    digests: Iterable[Digest],
    store: Store,
    *,
    archive: bool,
) -> int:
    """The whole layout, durable, not under its name yet. Returns the bytes of its blobs."""
    sink = await _in_thread(lambda: open_sink(part, archive=archive))
    size = 0
    try:
        await _add(sink, LAYOUT_FILE, LAYOUT_BODY)
        for digest in digests:
            size += await _export_blob(sink, store, digest)
        await _add(sink, INDEX_FILE, index_body(roots))
        await _in_thread(sink.finish)
    except BaseException:
        sink.abandon()
        raise
    return size


async def _add(sink: Sink, name: str, data: bytes) -> None:
    await _in_thread(lambda: sink.add(name, len(data), io.BytesIO(data)))


async def _export_blob(sink: Sink, store: Store, digest: Digest) -> int:
    segment = store.open(digest)
    try:
        size = segment.size_bytes
        with FileSlice(segment.fileno(), segment.offset_bytes, size) as data:
            await _in_thread(lambda: sink.add(blob_name(digest), size, io.BufferedReader(data)))
        return size
    finally:
        segment.close()


def _whole(reference: str, digest: Digest, store: Store, catalog: Catalog) -> Manifest:
    manifest = catalog.manifest(digest)
    found = completeness(digest, catalog.manifest, store.size_of)
    if manifest is None or not found.whole:
        lacking = ", ".join(str(item) for item in found.missing[:3])
        raise LayoutError(
            f"{reference or digest} is not whole here (missing {lacking})",
            next_step="warm it first",
        )
    return manifest


async def _in_thread(work: Callable[[], T]) -> T:
    """Runs blocking work; a cancelled caller leaves no thread behind that uses its files."""
    running = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
