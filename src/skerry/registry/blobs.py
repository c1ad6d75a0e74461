"""Blobs on their way out: stored ones at once, missing ones while they are being fetched.

Owns ranges, conditional requests and the suspicion that a client which asks twice got bad bytes.
distribution-spec 1.1 "Pulling blobs"; RFC 9110 sections 13 and 14.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.ranges import ByteRange, Unsatisfiable, parse_range
from skerry.registry.contents import Contents
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.patience import Patience
from skerry.registry.ports import Repository
from skerry.registry.replies import Outcome, blob_fields
from skerry.registry.tolls import Tolls
from skerry.store.ports import BlobMissing, Store, StoreError
from skerry.upstream.ports import Absent
from skerry.wire.message import Answer, Body, Request

ASKED_AGAIN_SECONDS = 60.0
"""The same client, the same whole blob, within this time: its digest check may have failed."""
ASKED_MAX = 4096
VERIFY_PAUSE_SECONDS = 600.0
"""A blob found sound is not re-hashed again for so long, however often it is asked for."""
VERIFIES_MAX = 2
"""Blobs re-hashed at once for this reason. Two small requests cost two gigabytes of hashing: more
of them must not take the processor from everybody; the scrub comes by anyway."""
VERIFY_INLINE_BYTES_MAX = 2 * 2**30
"""Larger ones (over about two seconds of hashing) are re-hashed behind the answer."""


@dataclass(frozen=True, slots=True)
class BlobsStatistics:
    """A snapshot: what was asked for or checked lately, and blobs that are re-hashed now."""

    remembered_count: int
    verifying_count: int


class Blobs:
    """Answers for `/v2/<name>/blobs/<digest>`."""

    def __init__(
        self,
        *,
        contents: Contents,
        store: Store,
        clock: Clock,
        nursery: Nursery,
        patience: Patience,
        tolls: Tolls,
        check: Callable[[Digest], Awaitable[bool]],
    ) -> None:
        """`check` re-hashes a blob and has a bad one put away and healed."""
        self._contents = contents
        self._store = store
        self._clock = clock
        self._nursery = nursery
        self._patience = patience
        self._tolls = tolls
        self._check = check
        self._asked: OrderedDict[tuple[str, Digest], float] = OrderedDict()
        self._verified: OrderedDict[Digest, float] = OrderedDict()
        self._verifying = 0

    async def answer(
        self, request: Request, repository: Repository, digest: Digest
    ) -> tuple[Answer, Outcome]:
        """GET or HEAD of a blob. Raises what `Contents` raises, RegistryError."""
        size = self._contents.size_here(repository, digest)
        if size is not None and await self._suspected(request, digest, size):
            size = self._contents.size_here(repository, digest)
        if size is not None:
            try:
                return self._from_store(request, repository, digest, size, Outcome.HIT)
            except BlobMissing:
                pass  # evicted between two lines: fetched again like any other
        if repository.local:
            raise Absent(f"{repository} has no blob {digest}")
        if request.headers.joined("Cache-Control").find("only-if-cached") >= 0:
            raise RegistryError(Code.BLOB_UNKNOWN, "not cached here", status=504)
        if request.method == "HEAD" or self._contents.word_suffices(repository, digest):
            return await self._confirmed(request, repository, digest)
        return await self._filled(request, repository, digest)

    def _from_store(
        self, request: Request, repository: Repository, digest: Digest, size: int, outcome: Outcome
    ) -> tuple[Answer, Outcome]:
        def body(part: ByteRange) -> Body:
            return self._store.open(digest, part.start, part.size)

        if request.method == "HEAD":
            fields = blob_fields(repository, digest, outcome)
            return Answer(200, fields.with_fields(("Content-Length", str(size)))), outcome
        part = _wanted(request, digest, size)
        return _content(request, repository, digest, size, part, body, outcome), outcome

    async def _confirmed(
        self, request: Request, repository: Repository, digest: Digest
    ) -> tuple[Answer, Outcome]:
        """HEAD of a missing blob, or one that is here through another repository."""
        async with self._patience.waiting(request, repository, str(digest)):
            said = await self._contents.confirm(
                repository, digest, self._tolls.blob(request, repository, digest)
            )
        size = self._contents.size_here(repository, digest)
        if size is not None:
            return self._from_store(request, repository, digest, size, Outcome.MISS)
        if request.method != "HEAD":  # it went while the upstream was asked
            return await self._filled(request, repository, digest)
        fields = blob_fields(repository, digest, Outcome.MISS)
        if said is not None:
            fields = fields.with_fields(("Content-Length", str(said)))
        return Answer(200, fields), Outcome.MISS

    async def _filled(
        self, request: Request, repository: Repository, digest: Digest
    ) -> tuple[Answer, Outcome]:
        toll = self._tolls.blob(request, repository, digest)
        async with self._patience.waiting(request, repository, str(digest)):
            fill = self._contents.fill(repository, digest, toll=toll)
            # Before the first wait: the fill goes on when this client's time is over.
            self._nursery.start(self._contents.joined(repository, fill, digest), name="join")
            try:
                size = await fill.opened()
            except Absent as error:
                toll.found_nothing(error.what)
                raise
        if size is not None:
            toll.owe(size)
        outcome = Outcome.JOINED if fill.joined else Outcome.MISS
        if not fill.joined and self._contents.from_sibling(repository, fill.source):
            outcome = Outcome.SIBLING
        if size is None:  # nobody says how long it is: sent in chunks, and never as a part
            fields = blob_fields(repository, digest, outcome)
            return Answer(200, fields, fill.stream()), outcome

        def body(part: ByteRange) -> Body:
            return fill.body(part.start, part.size)

        part = _wanted(request, digest, size)
        return _content(request, repository, digest, size, part, body, outcome), outcome

    async def _suspected(self, request: Request, digest: Digest, size: int) -> bool:
        """Whether the blob was re-hashed before this answer; a bad one is in quarantine now."""
        if request.method != "GET" or "Range" in request.headers or not request.client:
            return False
        now = self._clock.monotonic()
        key = (request.client, digest)
        before = self._asked.pop(key, None)
        self._asked[key] = now
        if len(self._asked) > ASKED_MAX:
            self._asked.popitem(last=False)
        if before is None or now - before > ASKED_AGAIN_SECONDS:
            return False
        if now - self._verified.get(digest, -VERIFY_PAUSE_SECONDS) < VERIFY_PAUSE_SECONDS:
            return False
        if self._verifying >= VERIFIES_MAX:
            return False
        self._verified[digest] = now
        if len(self._verified) > ASKED_MAX:
            self._verified.popitem(last=False)
        if size > VERIFY_INLINE_BYTES_MAX:
            self._nursery.start(self._verify(digest), name="verify")
            return False
        await self._verify(digest)
        return True

    async def _verify(self, digest: Digest) -> None:
        self._verifying += 1
        try:
            if not await self._check(digest):
                self._verified.pop(digest, None)
        except StoreError:
            return  # gone meanwhile, or unreadable: opening it tells
        finally:
            self._verifying -= 1

    def statistics(self) -> BlobsStatistics:
        """A snapshot."""
        return BlobsStatistics(len(self._asked) + len(self._verified), self._verifying)


def _wanted(request: Request, digest: Digest, size: int) -> ByteRange | Unsatisfiable | None:
    """The one range that is asked for; None for the whole (several ranges get the whole)."""
    condition = request.headers.get("If-Range")
    if condition is not None and condition.strip() != f'"{digest}"':
        return None
    found = parse_range(request.headers.get("Range"), size)
    if isinstance(found, tuple):
        return found[0] if len(found) == 1 else None
    return found


def _content(
    request: Request,
    repository: Repository,
    digest: Digest,
    size: int,
    part: ByteRange | Unsatisfiable | None,
    body: Callable[[ByteRange], Body],
    outcome: Outcome,
) -> Answer:
    fields = blob_fields(repository, digest, outcome)
    if isinstance(part, Unsatisfiable):
        raise RegistryError(
            Code.RANGE_INVALID,
            f"the blob has only {size} bytes",
            headers=(("Content-Range", part.content_range),),
        )
    if part is None:
        whole = ByteRange(0, size, size)
        return Answer(200, fields.with_fields(("Content-Length", str(size))), body(whole))
    fields = fields.with_fields(
        ("Content-Range", part.content_range), ("Content-Length", str(part.size))
    )
    return Answer(206, fields, body(part))
