"""The registry's door: one request in, one answer out.

Owns routing, who may do what, and how every failure becomes a spec error. Holds no policy about
contents. distribution-spec 1.1 "Endpoints".
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from skerry.aio.offload import off_loop
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError
from skerry.registry.blobs import Blobs
from skerry.registry.core.errors import Code, RegistryError, error_answer
from skerry.registry.core.manifests import OCI_INDEX, InvalidManifest
from skerry.registry.core.names import (
    BaseTarget,
    BlobTarget,
    CatalogTarget,
    ManifestTarget,
    NamedTarget,
    NameTable,
    ReferrersTarget,
    TagsTarget,
    UploadsTarget,
    namespace_of,
    parse_target,
    resolve,
)
from skerry.registry.core.paging import page
from skerry.registry.core.referrers import FILTERS_APPLIED, filtered, index_of
from skerry.registry.gate import VERSION, Gate, without_mount
from skerry.registry.listings import Listings
from skerry.registry.loops import refuse_loop
from skerry.registry.manifests import Manifests
from skerry.registry.meters import Meters
from skerry.registry.patience import Patience
from skerry.registry.ports import Repository
from skerry.registry.push import Pushes
from skerry.registry.replies import Outcome
from skerry.registry.steward import Steward
from skerry.registry.tolls import Tolls
from skerry.registry.verdicts import Verdicts
from skerry.store.ports import DigestMismatch, SpoolAborted, StoreError
from skerry.telemetry import accounts
from skerry.trust.tokens.core.scopes import Action
from skerry.upstream.flight import TooLarge
from skerry.upstream.misses import Spent
from skerry.upstream.ports import Absent, Denied, TransportError, Unavailable
from skerry.wire.message import Answer, Headers, Hot, Request, Sent

_log = logging.getLogger("skerry.registry")
_JSON = Headers((("Content-Type", "application/json"),))
LOGGED_MAX, LOG_AGAIN_SECONDS = 256, 60.0
ANNOTATION_BYTES = 256
"""What writing one takes, roughly."""
STALE_LIST = ("Warning", '110 - "Response is Stale"')


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the front hands requests to."""

    manifests: Manifests
    blobs: Blobs
    listings: Listings
    pushes: Pushes


class Front:
    """Handler of the registry's door."""

    def __init__(
        self,
        *,
        rooms: Rooms,
        names: NameTable,
        gate: Gate,
        verdicts: Verdicts,
        meters: Meters,
        node_id: str,
        clock: Clock,
        patience: Patience,
        tolls: Tolls,
        steward: Steward,
    ) -> None:
        self._rooms = rooms
        self._names = names
        self._gate = gate
        self._verdicts = verdicts
        self.meters = meters
        self._node_id = node_id
        self._clock = clock
        self._patience = patience
        self._tolls = tolls
        self.steward = steward
        self._logged: dict[str, float] = {}

    async def __call__(self, request: Request) -> Answer:
        began = self._clock.monotonic()
        kind, account = "other", accounts.current()
        account.tell(accounts.PUBLIC, "")
        repository: Repository | None = None
        try:
            refuse_loop(request.headers, self._node_id)
            target = parse_target(request.method, request.path, request.raw_path, request.query)
            kind = type(target).__name__.removesuffix("Target").lower()
            repository = self._named(request, target)
            private = repository is not None and self._gate.is_private(repository)
            data_class = accounts.SENSITIVE if private else accounts.PUBLIC
            account.tell(data_class, str(repository or ""))
            answer, outcome = await self._route(request, target, repository)
        except SkerryError as error:
            answer, outcome = _refusal(error, kind)
            if outcome is Outcome.FAILED:
                private = account.data_class == accounts.SENSITIVE
                what = type(error).__name__ if private else str(error)
                self._log_once(f"{request.method} {kind} failed: {what}")
        account.end(kind, outcome)
        self.meters.answered(
            account.data_class,
            kind,
            outcome,
            seconds=self._clock.monotonic() - began,
            trace_id=account.trace_id,
        )
        self.steward.tally(repository, outcome, 1, 0)
        return replace(answer, sent=self._sent(repository, account.data_class, kind, outcome))

    def _sent(
        self, repository: Repository | None, data_class: str, kind: str, outcome: Outcome
    ) -> Sent:
        """What the bytes of an answer are told to as they leave: a visitor that goes away in the
        middle of a layer has had half of it."""

        def sent(body_bytes: int) -> None:
            self.meters.sent(data_class, kind, outcome, body_bytes)
            self.steward.tally(repository, outcome, 0, body_bytes)

        return sent

    def _named(
        self, request: Request, target: BaseTarget | CatalogTarget | NamedTarget
    ) -> Repository | None:
        """The repository that is asked about; None for what is about none."""
        if isinstance(target, BaseTarget | CatalogTarget):
            return None
        namespace, authority = namespace_of(request.query), request.headers.get("Host", "") or ""
        return resolve(target.name, namespace, self._names, authority=authority)

    def _log_once(self, line: str) -> None:
        """The same line again within a minute says nothing new, and may come a thousand times."""
        now = self._clock.monotonic()
        if now < self._logged.get(line, 0.0):
            return
        if len(self._logged) >= LOGGED_MAX:
            self._logged.clear()
        self._logged[line] = now + LOG_AGAIN_SECONDS
        _log.error("%s", line)

    async def _route(
        self,
        request: Request,
        target: BaseTarget | CatalogTarget | NamedTarget,
        repository: Repository | None,
    ) -> tuple[Answer, Outcome]:
        if isinstance(target, BaseTarget):
            return await self._base(request)
        if isinstance(target, CatalogTarget) or repository is None:
            raise RegistryError(
                Code.UNSUPPORTED,
                "a mirror of many upstreams has no catalog",
                status=404,
                next_step="list what is here with `skerry ls`",
            )
        private = self._gate.is_private(repository)
        writing = request.method not in ("GET", "HEAD") or not isinstance(
            target, ManifestTarget | BlobTarget | TagsTarget | ReferrersTarget
        )
        await self._gate.check(request, repository, _action(request, target, writing))
        if writing:
            source = request.query_value("from") if isinstance(target, UploadsTarget) else None
            if source and not await self._gate.may_mount(request, source):
                request = without_mount(request)
            return await self._rooms.pushes.answer(request, repository, target), Outcome.WRITTEN
        if isinstance(target, ManifestTarget):
            answer, outcome = await self._rooms.manifests.answer(
                request, repository, target.reference
            )
            lasts = await self._judged(request, repository, _digest_in(answer), answer)
        elif isinstance(target, BlobTarget):
            lasts = await self._judged(request, repository, target.digest)
            answer, outcome = await self._rooms.blobs.answer(request, repository, target.digest)
        elif isinstance(target, TagsTarget | ReferrersTarget):
            answer, outcome = await self._list(request, repository, target)
            lasts = True
        else:
            raise RegistryError(Code.UNSUPPORTED, "uploads are written, not read")
        if private or not lasts:
            answer = Answer(answer.status, answer.headers, answer.body)  # never the fast way
        return self._conditional(request, answer), outcome

    async def _judged(
        self, request: Request, repository: Repository, digest: Digest, answer: Answer | None = None
    ) -> bool:
        """Nothing leaves a repository with a policy unless an acceptance covers it; what is
        refused lets go of the answer that was made. Whether the answer may be given again without
        asking: not what was opened for a time only."""
        if self._verdicts.allowed(repository, digest):
            return self._verdicts.lasts(repository, digest)
        try:
            async with self._patience.waiting(request, repository, "the word of its signatures"):
                await self._verdicts.allow(repository, digest)
        except BaseException as error:
            if answer is not None and not isinstance(answer.body, bytes | AsyncIterator):
                answer.body.close()
            if isinstance(error, RegistryError) and _asks_before_a_push(
                request, repository, answer
            ):
                code = Code.BLOB_UNKNOWN if answer is None else Code.MANIFEST_UNKNOWN
                raise RegistryError(code, error.what, next_step=error.next_step) from error
            raise
        return self._verdicts.lasts(repository, digest)

    async def _base(self, request: Request) -> tuple[Answer, Outcome]:
        """The version check: always answered here, never by a token service (R4)."""
        await self._gate.greet(request)
        answered = self.meters.fast("base", Outcome.HIT)

        def hit(uses: int, body_bytes: int) -> None:
            answered(uses, body_bytes)
            self.steward.tally(None, Outcome.HIT, uses, body_bytes)

        hot = None if self._gate.asks else Hot(self._clock.monotonic() + 60, hit)
        return Answer(200, Headers((*_JSON, VERSION)), b"{}", hot), Outcome.HIT

    async def _list(
        self, request: Request, repository: Repository, target: TagsTarget | ReferrersTarget
    ) -> tuple[Answer, Outcome]:
        """Within the deadline, like everything that may need an upstream.

        What refers to a refused image can be listed: whoever signs next has to see it.
        """
        async with self._patience.waiting(request, repository, "the list"):
            if isinstance(target, TagsTarget):
                return await self._tags(request, repository, target)
            return await self._referrers(request, repository, target)

    async def _tags(
        self, request: Request, repository: Repository, target: TagsTarget
    ) -> tuple[Answer, Outcome]:
        toll = self._tolls.listing(request, repository, None)
        names, outcome = await self._rooms.listings.tags(repository, toll=toll)
        found = page(names, request.query_value("n"), request.query_value("last"))
        body = json.dumps({"name": target.name, "tags": found.names}).encode()
        ns = namespace_of(request.query)
        link = found.link(request.path, **({"ns": ns} if ns else {}))
        fields = [*_JSON, *link, *([STALE_LIST] if outcome is Outcome.STALE else [])]
        return Answer(200, Headers(fields), body), outcome

    async def _referrers(
        self, request: Request, repository: Repository, target: ReferrersTarget
    ) -> tuple[Answer, Outcome]:
        toll = self._tolls.listing(request, repository, target.digest)
        found, outcome = await self._rooms.listings.referrers(repository, target.digest, toll=toll)
        shown = filtered(found, request.query_value("artifactType"))
        fields = [("Content-Type", OCI_INDEX)]
        if shown.applied:
            fields.append(FILTERS_APPLIED)
        if outcome is Outcome.STALE:
            fields.append(STALE_LIST)
        size = sum(len(item.annotations) for item in shown.descriptors) * ANNOTATION_BYTES
        body = await off_loop(size, lambda: index_of(shown.descriptors))
        return Answer(200, Headers(fields), body), outcome

    def _conditional(self, request: Request, answer: Answer) -> Answer:
        """304 for a client that has it (RFC 9110 section 13.1.2)."""
        condition = request.headers.joined("If-None-Match")
        tag = answer.headers.get("ETag")
        if answer.status != 200 or not condition or tag is None:
            return answer
        held = {item.strip().removeprefix("W/") for item in condition.split(",")}
        if "*" not in held and tag not in held:
            return answer
        if not isinstance(answer.body, bytes) and hasattr(answer.body, "close"):
            answer.body.close()
        return Answer(304, answer.headers.without("Content-Length", "Content-Type"))


def _action(request: Request, target: NamedTarget, writing: bool) -> Action:
    if not writing:
        return Action.PULL
    deletes = request.method == "DELETE" and isinstance(target, ManifestTarget | BlobTarget)
    return Action.DELETE if deletes else Action.PUSH


def _asks_before_a_push(request: Request, repository: Repository, answer: Answer | None) -> bool:
    """Clients ask by HEAD what they need not push, and end a push at any answer but 200 and 404:
    what is held back is not there, for them. Who pulls asks so for no blob, and mostly without a
    name for a manifest: they are told 403."""
    asks = repository.local and request.method == "HEAD"
    return asks and (answer is None or request.headers.get("Authorization") is not None)


def _digest_in(answer: Answer) -> Digest:
    return Digest.parse(answer.headers.get("Docker-Content-Digest") or "")


_UNKNOWN = {
    "manifest": Code.MANIFEST_UNKNOWN,
    "blob": Code.BLOB_UNKNOWN,
    "tags": Code.NAME_UNKNOWN,
    "referrers": Code.NAME_UNKNOWN,
}


def _refusal(error: SkerryError, kind: str) -> tuple[Answer, Outcome]:
    """What went wrong, in the spec's words. "Cannot be had now" is never a 404."""
    if isinstance(error, RegistryError):
        outcome = Outcome.UNAVAILABLE if error.status == 503 else Outcome.REFUSED
        return error_answer(error), outcome
    if isinstance(error, Spent):
        headers = (("Retry-After", str(error.retry_after_seconds)),)
        told = RegistryError(Code.TOOMANYREQUESTS, str(error), headers=headers)
        return error_answer(told), Outcome.REFUSED
    if isinstance(error, Unavailable):
        headers = (("Retry-After", str(error.retry_after_seconds)),)
        told = RegistryError(Code.UNAVAILABLE, str(error), headers=headers)
        return error_answer(told), Outcome.UNAVAILABLE
    if isinstance(error, Absent):
        return error_answer(
            RegistryError(_UNKNOWN.get(kind, Code.NAME_UNKNOWN), str(error))
        ), Outcome.ABSENT
    if isinstance(error, Denied):
        return error_answer(RegistryError(Code.DENIED, str(error))), Outcome.REFUSED
    if isinstance(error, InvalidManifest):
        party = "the upstream sent" if kind == "manifest" else "that is"
        told = RegistryError(Code.MANIFEST_INVALID, f"{party} no manifest: {error}", status=502)
        return error_answer(told), Outcome.FAILED
    if isinstance(error, DigestMismatch | SpoolAborted | TooLarge | TransportError):
        told = RegistryError(Code.UNAVAILABLE, str(error), status=502)
        return error_answer(told), Outcome.FAILED
    if isinstance(error, StoreError):
        told = RegistryError(Code.UNAVAILABLE, str(error), headers=(("Retry-After", "30"),))
        return error_answer(told), Outcome.FAILED
    status = 400 if error.party is Party.CLIENT else 500
    return error_answer(RegistryError(Code.UNKNOWN, str(error), status=status)), Outcome.FAILED
