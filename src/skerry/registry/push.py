"""Local repositories: what is pushed here.

Owns the write side of distribution-spec 1.1 ("Push", "Content Management"). Never acknowledges
what is not durable: a 201 is sent after the bytes are committed and the catalog's write is on the
disk. Never decides who may push; the front has done that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from skerry.aio.offload import off_loop
from skerry.base.clock import Clock
from skerry.base.digest import Digest, digest_of
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.manifests import MANIFEST_BYTES_MAX, InvalidManifest, parse_manifest
from skerry.registry.core.names import (
    BlobTarget,
    ManifestTarget,
    NamedTarget,
    UploadsTarget,
    UploadTarget,
)
from skerry.registry.ports import Catalog, Manifest, Repository, Tag
from skerry.registry.refusals import Refusals
from skerry.registry.uploads import Uploads, UploadStatistics, created
from skerry.store.ports import Store
from skerry.wire.message import Answer, Request


@dataclass(frozen=True, slots=True)
class PushStatistics:
    """A snapshot; counts are since start."""

    uploads: UploadStatistics
    manifest_count: int
    deleted_count: int


class Pushes:
    """The write side of local repositories."""

    def __init__(
        self,
        *,
        store: Store,
        catalog: Catalog,
        clock: Clock,
        uploads: Uploads,
        changed: Callable[[], None],
        refusals: Refusals,
        deletion: bool = True,
        overwriting: bool = True,
    ) -> None:
        """`changed` is called whenever a ready answer may have become wrong. `deletion` covers
        tags, manifests and blobs alike; without `overwriting` a tag means one image for ever,
        `latest` too, and so it cannot be taken away to be set anew (known failures T39)."""
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._uploads = uploads
        self._changed = changed
        self._refusals = refusals
        self._deletion = deletion
        self._overwriting = overwriting
        self._turn = asyncio.Lock()  # a manifest's check and its acceptance: no delete between
        self._manifests = self._deleted = 0

    async def answer(self, request: Request, repository: Repository, target: NamedTarget) -> Answer:
        """Does what a write of the push API asks. Raises RegistryError, StoreError,
        CatalogReadOnly."""
        if not repository.local:
            raise RegistryError(Code.UNSUPPORTED, f"{repository} mirrors an upstream")
        with self._refusals.pushing():
            return await self._write(request, repository, target)

    async def _write(self, request: Request, repository: Repository, target: NamedTarget) -> Answer:
        if isinstance(target, UploadsTarget | UploadTarget):
            answer = await self._uploads.answer(request, repository, target)
            if answer.status == 201:
                self._changed()
            return answer
        match request.method, target:
            case "PUT", ManifestTarget():
                return await self._put_manifest(request, repository, target)
            case "DELETE", ManifestTarget() | BlobTarget():
                return await self._delete(repository, target)
        raise RegistryError(Code.UNSUPPORTED, f"{request.method} writes nothing here")

    def is_uploading(self, digest: Digest) -> bool:
        """Whether a push needs this content though no repository may hold it yet (T38)."""
        return self._uploads.needs(digest)

    async def sweep(self) -> int:
        """Throws away uploads that were given up. Returns how many."""
        return await self._uploads.sweep()

    async def close(self) -> None:
        """Throws away what was not finished."""
        await self._uploads.close()

    def statistics(self) -> PushStatistics:
        return PushStatistics(self._uploads.statistics(), self._manifests, self._deleted)

    # manifests

    async def _put_manifest(
        self, request: Request, repository: Repository, target: ManifestTarget
    ) -> Answer:
        data = await _whole(request.body)
        digest = digest_of(data)
        if isinstance(target.reference, Digest):
            digest = digest_of(data, target.reference.algorithm)
            if digest != target.reference:
                raise RegistryError(
                    Code.DIGEST_INVALID, f"the manifest's digest is {digest}", detail=str(digest)
                )
        try:
            kind = request.headers.get("Content-Type")
            manifest = await off_loop(len(data), lambda: parse_manifest(data, kind, digest=digest))
        except InvalidManifest as error:
            raise RegistryError(Code.MANIFEST_INVALID, error.what) from error
        async with self._turn:
            self._check_links(repository, manifest)
            self._check_tag(repository, target.reference, digest)
            with self._uploads.needing(digest):
                await self._store.put(digest, data)
                await self._accept(repository, target, manifest)
        self._manifests += 1
        self._changed()
        subject = (("OCI-Subject", str(manifest.subject)),) if manifest.subject else ()
        return created(target.name, "manifests", digest, *subject)

    async def _accept(
        self, repository: Repository, target: ManifestTarget, manifest: Manifest
    ) -> None:
        now = self._clock.now()
        await self._catalog.put_manifest(repository, manifest, now=now)
        if isinstance(target.reference, str):
            await self._catalog.put_tag(
                Tag(repository, target.reference, manifest.digest, checked_at=now, confirmed_at=now)
            )

    def _check_links(self, repository: Repository, manifest: Manifest) -> None:
        """Everything a manifest needs must be in this repository, or it would be half an image."""
        for link in manifest.links:
            if link.foreign:
                continue
            size = self._store.size_of(link.child)
            if size is None or repository not in self._catalog.holders(link.child):
                raise RegistryError(
                    Code.MANIFEST_BLOB_UNKNOWN,
                    f"{repository} does not hold {link.child}",
                    detail=str(link.child),
                    next_step="push it first",
                )
            if size != link.size_bytes:
                raise RegistryError(
                    Code.MANIFEST_INVALID,
                    f"{link.child} is {size} bytes long, not {link.size_bytes}",
                )

    def _check_tag(self, repository: Repository, reference: Digest | str, new: Digest) -> None:
        if self._overwriting or isinstance(reference, Digest):
            return
        tag = self._catalog.tag(repository, reference)
        if tag is not None and tag.digest != new:
            raise RegistryError(
                Code.DENIED,
                f"{repository}:{reference} is {tag.digest}, and tags are not overwritten here",
                detail=reference,
                next_step="push it under another tag",
            )

    # removal

    async def _delete(self, repository: Repository, target: ManifestTarget | BlobTarget) -> Answer:
        if not self._deletion:
            raise RegistryError(Code.UNSUPPORTED, "nothing is deleted from this node by clients")
        async with self._turn:
            if isinstance(target, ManifestTarget):
                self._keep_tags(repository, target.reference)
            if isinstance(target, ManifestTarget) and isinstance(target.reference, str):
                if self._catalog.tag(repository, target.reference) is None:
                    raise _unknown(Code.MANIFEST_UNKNOWN, repository, target.reference)
                await self._catalog.delete_tag(repository, target.reference)
            else:
                await self._delete_content(repository, target)
        self._deleted += 1
        self._changed()
        return Answer(202)

    def _keep_tags(self, repository: Repository, reference: Digest | str) -> None:
        tags = self._catalog.tags(repository)
        if not self._overwriting and any(reference in (tag.name, tag.digest) for tag in tags):
            raise RegistryError(
                Code.UNSUPPORTED,
                f"{repository}: {reference} has a tag, and tags are for ever here",
                next_step="remove it on the node: skerry rm",
            )

    async def _delete_content(
        self, repository: Repository, target: ManifestTarget | BlobTarget
    ) -> None:
        manifest = isinstance(target, ManifestTarget)
        digest = target.reference if isinstance(target, ManifestTarget) else target.digest
        assert isinstance(digest, Digest)  # noqa: S101
        known = self._catalog.manifest(digest) is not None
        if not self._catalog.is_member(repository, digest) or (manifest and not known):
            code = Code.MANIFEST_UNKNOWN if manifest else Code.BLOB_UNKNOWN
            raise _unknown(code, repository, str(digest))
        parents = self._catalog.parents(repository, digest)
        if parents:
            raise RegistryError(
                Code.UNSUPPORTED,
                f"{digest} is part of {parents[0]} in {repository}",
                next_step="delete that manifest first",
            )
        await self._catalog.delete_member(repository, digest)
        if not self._catalog.repositories_of(digest) and not self.is_uploading(digest):
            await self._store.delete(digest)


async def _whole(body: AsyncIterator[bytes]) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for piece in body:
        size += len(piece)
        if size > MANIFEST_BYTES_MAX:
            raise RegistryError(
                Code.MANIFEST_INVALID,
                f"the manifest is longer than {MANIFEST_BYTES_MAX} bytes",
                status=413,
            )
        parts.append(piece)
    return b"".join(parts)


def _unknown(code: Code, repository: Repository, what: str) -> RegistryError:
    return RegistryError(code, f"{repository} does not hold {what[:160]}", detail=what)
