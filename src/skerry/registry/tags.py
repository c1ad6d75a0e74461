"""What a tag means now: the answer that is here, and the check that runs behind it.

Owns the order of things (answer first, check after, take over last). The judgements are
`core.freshness` and `core.takeover`. Never holds a request for an upstream when an answer is here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest, InvalidDigest, digest_of
from skerry.base.errors import SkerryError
from skerry.registry.contents import Contents, Held
from skerry.registry.core import takeover
from skerry.registry.core.freshness import (
    Freshness,
    TagWindow,
    judge,
    remaining_seconds,
    stale_headers,
    window_for,
)
from skerry.registry.core.manifests import MANIFEST_BYTES_MAX
from skerry.registry.ports import Catalog, CatalogReadOnly, Repository, Tag
from skerry.registry.remote import Remote, manifest_fetch
from skerry.registry.tolls import FREE, MANIFESTS, RegistryAbsences, Toll
from skerry.registry.verdicts import Verdicts
from skerry.registry.wholeness import Wholeness
from skerry.telemetry.events import Events, Level
from skerry.upstream.ports import Absent, Reply

FAILED_MAX = 4096
"""Tags whose outage has been told of."""

LOOKED_MAX = 256
LOOK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a tag means.

    Attributes:
        digest: the manifest to serve.
        fresh_seconds: how long it may be answered without asking again; 0 when it may not.
        stale: how the answer says that it is stale; () when it is not.
        held: the manifest, when it was fetched just now.
        otherwise: what to serve when `digest` has to pass through and cannot be had after all.
    """

    digest: Digest
    fresh_seconds: float = 0.0
    stale: tuple[tuple[str, str], ...] = ()
    held: Held | None = None
    otherwise: Digest | None = None


@dataclass(frozen=True, slots=True)
class TagsStatistics:
    """A snapshot: tags that are asked about now, and those whose last check failed."""

    flying_count: int
    failed_count: int


class Tags:
    """The tags of every repository."""

    def __init__(
        self,
        *,
        contents: Contents,
        catalog: Catalog,
        wholeness: Wholeness,
        verdicts: Verdicts,
        windows: Sequence[TagWindow],
        serve_deleted: bool,
        absences: RegistryAbsences,
        clock: Clock,
        events: Events,
        nursery: Nursery,
        changed: Callable[[], None],
        window_factor: Callable[[Repository], float] = lambda repository: 1.0,
    ) -> None:
        """`window_factor` says how many times as long as usual a repository's tags are believed."""
        self._contents = contents
        self._catalog = catalog
        self._wholeness = wholeness
        self._verdicts = verdicts
        self._windows = windows
        self._serve_deleted = serve_deleted
        self._absences = absences
        self._clock = clock
        self._events = events
        self._nursery = nursery
        self._changed = changed
        self._window_factor = window_factor
        self.on_confirmed: Callable[[Repository, Digest], None] = lambda repository, digest: None
        self._fetches: SingleFlight[tuple[Repository, str], Meaning] = SingleFlight(
            nursery, name="tag fetch"
        )
        self._checks: SingleFlight[tuple[Repository, str], None] = SingleFlight(
            nursery, name="tag check"
        )
        self._failed: OrderedDict[tuple[Repository, str], None] = OrderedDict()
        self._looked: dict[Tag, tuple[float, tuple[bool, bool]]] = {}
        self._unwritten: dict[tuple[Repository, str], Tag] = {}
        self._trouble: dict[str, str] = {}

    def record(self, repository: Repository, name: str) -> Tag | None:
        """The tag as it is remembered, whatever the upstream says now."""
        unwritten = self._unwritten.get((repository, name))
        return unwritten or self._catalog.tag(repository, name)

    def forget(self) -> None:
        """Something was removed by hand: what the fast way remembers may be wrong."""
        self._unwritten.clear()
        self._changed()

    def meaning_here(self, repository: Repository, name: str) -> Meaning | None:
        """What the tag means by what is here; None when it has to be fetched.

        Starts a check behind the answer when its window is over. Raises Absent for a tag that
        the upstream deleted, when the operator does not want such tags served.
        """
        tag = self.record(repository, name)
        if tag is None:
            return None
        window = window_for(name, self._windows)
        if repository.local:
            return Meaning(tag.digest, window)
        window *= self._window_factor(repository)
        now = self._clock.now()
        freshness = judge(tag, now, window)
        if freshness is Freshness.DUE:
            self._checks.start((repository, name), lambda: self._check(repository, name))
        if tag.gone_at is not None and not self._serve_deleted:
            raise Absent(f"{repository}:{name} was deleted upstream")
        digest = self._choice(tag)
        otherwise = None if digest == tag.digest else tag.digest
        if not freshness.stale:
            return Meaning(digest, remaining_seconds(tag, now, window), otherwise=otherwise)
        reason = self._trouble.get(repository.upstream, "")
        stale = stale_headers(tag, now, window, reason=reason)
        return Meaning(digest, stale=stale, otherwise=otherwise)

    def _choice(self, tag: Tag) -> Digest:
        """Which image a tag answers with; while nothing is pending there is no choice."""
        if tag.pending is None:
            return tag.digest
        if not self._verdicts.may_take_over(tag.repository, tag.name, tag.pending):
            return tag.digest
        pending_whole, current_whole = self._whole_now(tag, tag.pending)
        return takeover.decide(
            tag,
            pending_whole=pending_whole,
            upstream_reachable=self._remote(tag.repository).client.reachable(),
            storable=self._wholeness.storable(),
            current_whole=current_whole,
        ).digest

    def _whole_now(self, tag: Tag, pending: Digest) -> tuple[bool, bool]:
        """Whether a tag's pending and its current image are whole, looked up once a second.

        An image of a thousand layers takes a thousand looks: not for every request.
        """
        now = self._clock.monotonic()
        until, found = self._looked.get(tag, (0.0, (False, False)))
        if now >= until:
            whole = self._wholeness.is_whole
            found = (
                whole(tag.repository, pending, like=tag.digest),
                whole(tag.repository, tag.digest, like=tag.digest),
            )
            if len(self._looked) >= LOOKED_MAX:
                self._looked.clear()
            self._looked[tag] = (now + LOOK_AGAIN_SECONDS, found)
        return found

    async def fetch(self, repository: Repository, name: str, toll: Toll = FREE) -> Meaning:
        """Gets a tag that is not here. Raises Absent, Denied, Unavailable, RegistryError."""
        key = (repository, name)
        joined = key in self._fetches
        if not joined:
            toll.pay()
        found = await self._fetches.run(key, lambda: self._fetch(repository, name, toll))
        held = found.held and replace(found.held, joined=joined)
        return replace(found, held=held)

    async def fetch_if_there(self, repository: Repository, name: str) -> Meaning | None:
        """A tag that may well not exist, found out by HEAD first: a GET may cost a pull (R3).

        None when there is no such tag. Raises Denied, Unavailable, RegistryError.
        """
        if self.record(repository, name) is not None:
            return self.meaning_here(repository, name)
        try:
            head = manifest_fetch("HEAD", repository.name, name)
            await self._remote(repository).client.ask(head, body_bytes_max=0)
            return await self.fetch(repository, name)
        except Absent:
            return None

    async def check_now(self, repository: Repository, name: str) -> None:
        """Asks the upstream about a held tag at once and waits for the outcome."""
        await self._checks.run((repository, name), lambda: self._check(repository, name))

    async def _fetch(self, repository: Repository, name: str, toll: Toll) -> Meaning:
        if repository.local:
            raise Absent(f"{repository} has no tag {name}", next_step="push it first")
        remote = self._remote(repository)
        try:
            with self._contents.refusals.reading(repository, name):
                reply = await remote.client.ask(
                    manifest_fetch("GET", repository.name, name),
                    body_bytes_max=MANIFEST_BYTES_MAX,
                    check=_tells_the_truth,
                )
        except Absent as error:
            toll.found_nothing(error.what)
            raise
        held = await self._contents.accept(repository, reply)
        now = self._clock.now()
        digest = held.manifest.digest
        if held.kept:
            await self._put(Tag(repository, name, digest, now, now))
        return Meaning(digest, window_for(name, self._windows), held=held)

    async def _check(self, repository: Repository, name: str) -> None:
        """One HEAD; whatever comes of it moves the clock (R3)."""
        tag = self.record(repository, name)
        if tag is None:
            return
        remote = self._remote(repository)
        try:
            upstream_digest = await self._ask_digest(remote, repository, name)
        except Absent:
            self._failed.pop((repository, name), None)
            await self._gone(tag)
            return
        except SkerryError as error:
            self._trouble[repository.upstream] = error.what
            await self._put(takeover.unconfirmed(tag, self._clock.now()))
            self._failing(repository, name, error)
            return
        self._trouble.pop(repository.upstream, None)
        self._failed.pop((repository, name), None)
        if upstream_digest not in (tag.digest, tag.pending):
            cause = f"{tag.digest} -> {upstream_digest}"
            self._events.emit("tag.moved", f"{repository}:{name}", cause=cause)
        tag = takeover.confirmed(tag, upstream_digest, self._clock.now())
        await self._put(tag)
        if tag.pending is not None:
            await self._complete(tag, tag.pending)
        else:
            self.on_confirmed(repository, tag.digest)

    def _failing(self, repository: Repository, name: str, error: SkerryError) -> None:
        """One event for each tag and outage, not one for each check."""
        key = (repository, name)
        if key in self._failed:
            return
        self._failed[key] = None
        if len(self._failed) > FAILED_MAX:
            self._failed.popitem(last=False)
        self._events.emit(
            "tag.check_failed",
            f"{repository}:{name}",
            cause=error.what,
            next_step="the last answer is served, marked as stale, until a check succeeds",
            level=Level.WARNING,
        )

    async def _ask_digest(self, remote: Remote, repository: Repository, name: str) -> Digest:
        reply = await remote.client.ask(
            manifest_fetch("HEAD", repository.name, name), body_bytes_max=0
        )
        said = reply.headers.get("Docker-Content-Digest")
        if said is not None:
            return Digest.parse(said)
        # An upstream that leaves the header out (optional in distribution-spec 1.1) costs a GET;
        # a HEAD that failed never does (known failure T29).
        with self._contents.refusals.reading(repository, name):
            whole = await remote.client.ask(
                manifest_fetch("GET", repository.name, name),
                body_bytes_max=MANIFEST_BYTES_MAX,
                check=_tells_the_truth,
            )
        return (await self._contents.accept(repository, whole)).manifest.digest

    async def _complete(self, tag: Tag, new: Digest) -> None:
        """Fetches the image a tag moved to; it takes over once it is whole here."""
        subject = f"{tag.repository}:{tag.name}"
        try:
            await self._wholeness.complete(tag.repository, new, like=tag.digest, explicit=False)
            await self._verdicts.admit_move(tag.repository, tag.name, new)
        except SkerryError as error:
            self._events.emit(
                "tag.take_over_waits",
                subject,
                cause=error.what,
                next_step="the last good image is served until this one is whole and signed",
                level=Level.WARNING,
            )
            return
        await self._verdicts.moved(tag.repository, tag.name, tag.digest)
        await self._put(takeover.take_over(tag, confirmed_at=self._clock.now()))
        self._events.emit("tag.taken_over", subject, cause=str(new))
        self.on_confirmed(tag.repository, new)

    async def _gone(self, tag: Tag) -> None:
        if tag.gone_at is None:
            step = "it goes on being served" if self._serve_deleted else "it is no longer served"
            self._events.emit(
                "tag.gone",
                f"{tag.repository}:{tag.name}",
                cause="the upstream says 404",
                next_step=f"{step} (registry.serve_deleted_tags)",
                level=Level.WARNING,
            )
        await self._put(takeover.gone(tag, self._clock.now()))

    async def _put(self, tag: Tag) -> None:
        """Remembers a tag; on a disk that takes no writes, in memory alone."""
        key = (tag.repository, tag.name)
        self._absences.forget((tag.repository, f"{MANIFESTS}{tag.name}"))
        try:
            await self._catalog.put_tag(tag)
            self._unwritten.pop(key, None)
        except CatalogReadOnly:
            self._unwritten[key] = tag
        self._changed()

    def _remote(self, repository: Repository) -> Remote:
        remote = self._contents.remote(repository)
        if remote is None:
            raise ValueError(f"{repository} is local and has no upstream")
        return remote

    def statistics(self) -> TagsStatistics:
        """A snapshot."""
        return TagsStatistics(len(self._fetches) + len(self._checks), len(self._failed))


def _tells_the_truth(reply: Reply) -> str:
    """Why a manifest's bytes are not what its own header says (T12); "" when they are."""
    said = reply.headers.get("Docker-Content-Digest")
    if said is None:
        return ""
    try:
        digest = Digest.parse(said)
    except InvalidDigest:
        return "its Docker-Content-Digest is no digest"
    return "" if digest_of(reply.body, digest.algorithm) == digest else f"its bytes are not {said}"
