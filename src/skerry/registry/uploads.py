"""Uploads in progress: bytes that are being pushed and belong to nobody yet.

Owns the sessions, their number and their end. Never acknowledges what is not durable: `finish`
returns after the bytes are committed and the catalog's write is on the disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from skerry.base.clock import Clock
from skerry.base.digest import Digest, InvalidDigest
from skerry.base.reference import is_name
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.names import UploadsTarget, UploadTarget
from skerry.registry.core.uploads import Progress, check_chunk
from skerry.registry.ports import LOCAL, Catalog, Repository
from skerry.store.ports import DigestMismatch, Spool, SpoolAborted, Store, StoreError
from skerry.wire.message import Answer, Headers, Request

BUSY_RETRY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What uploads may cost. One that nobody writes to for `idle_seconds` is thrown away."""

    sessions_max: int = 128
    idle_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class UploadStatistics:
    """A snapshot; counts are since start."""

    session_count: int
    session_bytes: int
    blob_count: int
    mounted_count: int
    expired_count: int


@dataclass(slots=True)
class _Session:
    repository: Repository
    spool: Spool
    touched_at: float
    busy: bool = False


class Uploads:
    """The uploads of all local repositories."""

    def __init__(
        self,
        *,
        store: Store,
        catalog: Catalog,
        clock: Clock,
        chance: Random,
        limits: UploadLimits | None = None,
    ) -> None:
        """`chance` makes upload ids, which must not be guessed."""
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._chance = chance
        self._limits = limits or UploadLimits()
        self._sessions: dict[str, _Session] = {}
        self._finishing: Counter[Digest] = Counter()
        self._blobs = self._mounted = self._expired = 0

    async def answer(
        self, request: Request, repository: Repository, target: UploadsTarget | UploadTarget
    ) -> Answer:
        """Does what a request to an upload asks. Raises RegistryError, StoreError,
        CatalogReadOnly."""
        match request.method, target:
            case "POST", UploadsTarget():
                return await self._start(request, repository, target)
            case "GET", UploadTarget():
                return Answer(204, Headers(self._progress(repository, target).fields))
            case "PATCH", UploadTarget():
                return await self._append(request, repository, target)
            case "PUT", UploadTarget():
                return await self._finish(request, repository, target)
            case "DELETE", UploadTarget():
                return await self._cancel(repository, target)
        raise RegistryError(Code.UNSUPPORTED, f"{request.method} does nothing to an upload")

    def needs(self, digest: Digest) -> bool:
        """Whether a push is about to make this content a repository's (known failures T38)."""
        return self._finishing[digest] > 0

    @contextmanager
    def needing(self, digest: Digest) -> Iterator[None]:
        """Holds on to a content that is about to become a repository's."""
        self._finishing[digest] += 1
        try:
            yield
        finally:
            self._finishing[digest] -= 1
            if not self._finishing[digest]:
                del self._finishing[digest]

    async def sweep(self) -> int:
        """Throws away uploads that were given up. Returns how many."""
        oldest = self._clock.monotonic() - self._limits.idle_seconds
        idle = [
            upload_id
            for upload_id, session in self._sessions.items()
            if not session.busy and session.touched_at <= oldest
        ]
        for upload_id in idle:
            await self._throw_away(upload_id, "the upload was given up")
        self._expired += len(idle)
        return len(idle)

    async def close(self) -> None:
        """Throws away what was not finished."""
        for upload_id in list(self._sessions):
            await self._throw_away(upload_id, "the node is closing")

    def statistics(self) -> UploadStatistics:
        return UploadStatistics(
            session_count=len(self._sessions),
            session_bytes=sum(s.spool.received_bytes for s in self._sessions.values()),
            blob_count=self._blobs,
            mounted_count=self._mounted,
            expired_count=self._expired,
        )

    async def _start(
        self, request: Request, repository: Repository, target: UploadsTarget
    ) -> Answer:
        mount, source = request.query_value("mount"), request.query_value("from")
        if mount and source and await self._mount(repository, _digest(mount), source):
            return created(target.name, "blobs", _digest(mount))
        digest_text = request.query_value("digest")
        digest = _digest(digest_text) if digest_text is not None else None
        await self.sweep()
        if len(self._sessions) >= self._limits.sessions_max:
            raise RegistryError(
                Code.UNAVAILABLE,
                f"{self._limits.sessions_max} uploads are in progress",
                headers=(("Retry-After", str(BUSY_RETRY_SECONDS)),),
                next_step="finish or cancel some, or try again later",
            )
        upload_id = f"{self._chance.getrandbits(128):032x}"
        spool = await self._store.begin(algorithm=digest.algorithm if digest else "sha256")
        session = _Session(repository, spool, self._clock.monotonic())
        self._sessions[upload_id] = session
        if digest is None:
            progress = self._progress(repository, UploadTarget(target.name, upload_id))
            return Answer(202, Headers(progress.fields))
        try:
            await self._receive(session, request.body, None)
            await self._keep(upload_id, session, digest)
        except BaseException:
            await self._throw_away(upload_id, "the upload did not arrive")
            raise
        return created(target.name, "blobs", digest)

    async def _mount(self, repository: Repository, digest: Digest, source: str) -> bool:
        """Only from a local repository that holds it: that some mirror has it is no leave (T17)."""
        if not is_name(source):
            return False
        with self.needing(digest):
            held = Repository(LOCAL, source) in self._catalog.holders(digest)
            if not held or self._store.size_of(digest) is None:
                return False
            await self._catalog.put_member(repository, digest, "layer", now=self._clock.now())
        self._mounted += 1
        return True

    async def _append(
        self, request: Request, repository: Repository, target: UploadTarget
    ) -> Answer:
        with self._working(repository, target) as session:
            await self._chunk(request, repository, target, session)
        return Answer(202, Headers(self._progress(repository, target).fields))

    async def _finish(
        self, request: Request, repository: Repository, target: UploadTarget
    ) -> Answer:
        digest = _digest(request.query_value("digest") or "")
        with self._working(repository, target) as session:
            await self._chunk(request, repository, target, session)
            try:
                await self._keep(target.upload_id, session, digest)
            except BaseException:
                await self._throw_away(target.upload_id, "the upload could not be finished")
                raise
        return created(target.name, "blobs", digest)

    async def _cancel(self, repository: Repository, target: UploadTarget) -> Answer:
        with self._working(repository, target):
            await self._throw_away(target.upload_id, "the client cancelled the upload")
        return Answer(204)

    async def _chunk(
        self, request: Request, repository: Repository, target: UploadTarget, session: _Session
    ) -> None:
        wanted = check_chunk(
            self._progress(repository, target),
            request.headers.get("Content-Range"),
            request.headers.get("Content-Length"),
        )
        try:
            await self._receive(session, request.body, wanted)
        except (RegistryError, SpoolAborted, StoreError):
            await self._throw_away(target.upload_id, "a chunk was wrong")
            raise

    async def _receive(
        self, session: _Session, body: AsyncIterator[bytes], wanted: int | None
    ) -> None:
        """Takes a chunk in. A client that leaves can go on from what arrived."""
        before = session.spool.received_bytes
        async for piece in body:
            await session.spool.write(piece)
            session.touched_at = self._clock.monotonic()
        received = session.spool.received_bytes - before
        if wanted is not None and received != wanted:
            raise RegistryError(Code.SIZE_INVALID, f"{received} bytes came instead of {wanted}")

    async def _keep(self, upload_id: str, session: _Session, digest: Digest) -> None:
        self._sessions.pop(upload_id, None)  # commit ends the spool, whatever comes of it
        with self.needing(digest):
            try:
                await session.spool.commit(digest)
            except DigestMismatch as error:
                raise RegistryError(Code.DIGEST_INVALID, error.what, detail=str(digest)) from error
            now = self._clock.now()
            await self._catalog.put_member(session.repository, digest, "layer", now=now)
        self._blobs += 1

    def _session(self, repository: Repository, target: UploadTarget) -> _Session:
        session = self._sessions.get(target.upload_id)
        if session is None or session.repository != repository:
            raise RegistryError(
                Code.BLOB_UPLOAD_UNKNOWN, "there is no such upload", detail=target.upload_id
            )
        return session

    def _progress(self, repository: Repository, target: UploadTarget) -> Progress:
        received = self._session(repository, target).spool.received_bytes
        location = f"/v2/{target.name}/blobs/uploads/{target.upload_id}"
        return Progress(location, target.upload_id, received)

    @contextmanager
    def _working(self, repository: Repository, target: UploadTarget) -> Iterator[_Session]:
        """One request at a time writes to an upload."""
        session = self._session(repository, target)
        if session.busy:
            raise RegistryError(
                Code.BLOB_UPLOAD_INVALID, "another request writes to this upload", status=409
            )
        session.busy = True
        try:
            yield session
        finally:
            session.busy = False
            session.touched_at = self._clock.monotonic()

    async def _throw_away(self, upload_id: str, why: str) -> None:
        session = self._sessions.pop(upload_id, None)
        if session is not None:
            await session.spool.abort(SpoolAborted(why))


def created(name: str, kind: str, digest: Digest, *more: tuple[str, str]) -> Answer:
    """The 201 of a blob or a manifest (`kind` is `blobs` or `manifests`)."""
    location = ("Location", f"/v2/{name}/{kind}/{digest}")
    return Answer(201, Headers((location, ("Docker-Content-Digest", str(digest)), *more)))


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise RegistryError(Code.DIGEST_INVALID, "that is not a digest", detail=text) from error
