"""Manifests on their way out, by tag and by digest.

Owns the answer's form; what a tag means is `Tags`, where bytes come from is `Contents`.
distribution-spec 1.1 "Pulling manifests".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.registry.companions import Companions
from skerry.registry.contents import Contents, Held
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.meters import HERE, Meters
from skerry.registry.patience import Patience
from skerry.registry.ports import Repository
from skerry.registry.replies import Outcome, content_fields
from skerry.registry.steward import Steward
from skerry.registry.tags import Meaning, Tags
from skerry.registry.tolls import Tolls
from skerry.upstream.ports import Absent
from skerry.wire.message import Answer, Hot, Request

HOT_DIGEST_SECONDS = 3600.0
"""A digest is for ever; the fast way still forgets it now and then, so that `rm` needs no luck."""


class Manifests:
    """Answers for `/v2/<name>/manifests/<reference>`."""

    def __init__(
        self,
        *,
        contents: Contents,
        tags: Tags,
        companions: Companions,
        clock: Clock,
        patience: Patience,
        tolls: Tolls,
        used: Callable[[Repository, Digest], None],
        meters: Meters,
        steward: Steward,
    ) -> None:
        self._contents = contents
        self._tags = tags
        self._companions = companions
        self._clock = clock
        self._patience = patience
        self._tolls = tolls
        self._used = used
        self._meters = meters
        self._steward = steward

    async def answer(
        self, request: Request, repository: Repository, reference: Digest | str
    ) -> tuple[Answer, Outcome]:
        """GET or HEAD of a manifest. Raises what `Contents` and `Tags` raise, RegistryError."""
        if isinstance(reference, Digest):
            held = await self._contents.manifest_here(repository, reference)
            if held is not None:
                return self._reply(request, repository, held, HOT_DIGEST_SECONDS), Outcome.HIT
            held = await self._missing(request, repository, reference)
            if self._contents.is_root(repository, held.manifest):
                self._companions.start(repository, reference)
            outcome = self._how(repository, held)
            return self._reply(request, repository, held, None, outcome), outcome
        meaning = self._tags.meaning_here(repository, reference)
        held = None
        if meaning is not None:
            held = await self._contents.manifest_here(repository, meaning.digest)
        if meaning is None or held is None:
            return await self._fetched(request, repository, reference, meaning)
        if meaning.stale:
            return self._stale(request, repository, held, meaning)
        outcome = Outcome.LOCAL if repository.local else Outcome.HIT
        return self._reply(request, repository, held, meaning.fresh_seconds, outcome), outcome

    async def _fetched(
        self, request: Request, repository: Repository, tag: str, meaning: Meaning | None
    ) -> tuple[Answer, Outcome]:
        if repository.local and meaning is None:
            raise Absent(f"{repository} has no tag {tag}", next_step="push it first")
        if meaning is not None:  # the tag is known, its manifest is not here: had by digest
            try:
                held = await self._missing(request, repository, meaning.digest)
            except SkerryError:
                last = meaning.otherwise
                old = await self._contents.manifest_here(repository, last) if last else None
                if old is None:
                    raise
                return self._stale(request, repository, old, meaning)
            outcome = self._how(repository, held)
            return self._reply(request, repository, held, None, outcome), outcome
        _refuse_if_only_cached(request)
        toll = self._tolls.tag(request, repository, tag)
        async with self._patience.waiting(request, repository, tag):
            found = await self._tags.fetch(repository, tag, toll)
        held = found.held or await self._contents.manifest(repository, found.digest)
        self._companions.start(repository, found.digest)
        outcome = self._how(repository, held)
        return self._reply(request, repository, held, None, outcome), outcome

    def _how(self, repository: Repository, held: Held) -> Outcome:
        """How a manifest that was not here came: of several who ask at once one has missed."""
        if held.joined:
            return Outcome.JOINED
        near = self._contents.from_sibling(repository, held.source)
        return Outcome.SIBLING if near else Outcome.MISS

    def _started(
        self,
        request: Request,
        repository: Repository,
        held: Held,
        outcome: Outcome,
        count: int = 1,
    ) -> None:
        """Counts a container's start (requirements S1): a pull of what has a config and layers."""
        links = held.manifest.links
        kinds = {link.kind for link in links}
        if request.method != "GET" or held.manifest.subject is not None or "layer" not in kinds:
            return
        whole = outcome in HERE and all(
            self._contents.size_here(repository, link.child) is not None
            for link in links
            if not link.foreign
        )
        self._meters.started(count, whole=whole)

    def _stale(
        self, request: Request, repository: Repository, held: Held, meaning: Meaning
    ) -> tuple[Answer, Outcome]:
        answer = self._reply(request, repository, held, None, Outcome.STALE)
        fields = answer.headers.with_fields(*meaning.stale)
        return replace(answer, headers=fields), Outcome.STALE

    async def _missing(self, request: Request, repository: Repository, digest: Digest) -> Held:
        _refuse_if_only_cached(request)
        if repository.local:
            raise Absent(f"{repository} has no manifest {digest}")
        toll = self._tolls.manifest(request, repository, digest)
        async with self._patience.waiting(request, repository, str(digest)):
            return await self._contents.manifest(repository, digest, toll)

    def _reply(
        self,
        request: Request,
        repository: Repository,
        held: Held,
        hot_seconds: float | None,
        outcome: Outcome = Outcome.HIT,
    ) -> Answer:
        digest = held.manifest.digest
        fields = content_fields(repository, digest, held.manifest.media_type, outcome)
        fields = fields.with_fields(("Content-Length", str(len(held.body))))
        self._used(repository, digest)
        self._started(request, repository, held, outcome)
        hot = None
        if hot_seconds is not None and held.kept:
            until = self._clock.monotonic() + min(hot_seconds, HOT_DIGEST_SECONDS)
            answered = self._meters.fast("manifest", outcome)

            def hit(uses: int, body_bytes: int) -> None:
                self._used(repository, digest)
                answered(uses, body_bytes)
                self._steward.tally(repository, outcome, uses, body_bytes)
                self._started(request, repository, held, outcome, uses)

            hot = Hot(until, hit, about=(str(digest),))
        body = b"" if request.method == "HEAD" else self._contents.body_of(held)
        return Answer(200, fields, body, hot if isinstance(body, bytes) else None)


def _refuse_if_only_cached(request: Request) -> None:
    """A sibling asks only for what is here; we never go out for it, so there is no loop."""
    if "only-if-cached" in request.headers.joined("Cache-Control"):
        raise RegistryError(Code.MANIFEST_UNKNOWN, "not cached here", status=504)
