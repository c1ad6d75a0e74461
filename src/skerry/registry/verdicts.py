"""Whether what a repository holds may leave it: signatures found, counted, and the outcome kept.

Owns the finding of signatures beside an image (a `.sig` tag, referrers) and the moment at which a
verdict is asked for. The counting is `trust.core.threshold`; this shell only brings it bytes that
are here. What is refused stays stored: it is not served, and judged again later (requirements D1,
D3; known failures T31, T41-T43).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from skerry.aio.offload import off_loop
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import BadInput, Party
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.manifests import MANIFEST_BYTES_MAX
from skerry.registry.core.referrers import companion_tags, subject_of_tag
from skerry.registry.listings import Listings
from skerry.registry.ports import Catalog, Manifest, Repository
from skerry.registry.standing import NoRoot, Standing
from skerry.store.ports import Store
from skerry.store.reading import read_small
from skerry.telemetry.events import Events, Level
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core.policies import ENDED_STEP, Policies, Rule
from skerry.trust.core.threshold import NOBODYS, Claim, Verdict, judge
from skerry.trust.ports import Admitted, VerdictBook

if TYPE_CHECKING:
    from skerry.trust.core.artifacts import SignatureBlob

JUDGED = ("accepted", "refused", "downgrade", "earlier_verdict", "unfetchable")
"""What `count` is told."""

REFUSED_SECONDS = 10.0
"""A refusal is not judged again for so long: a signature may come at any time."""
REFUSED_MAX = 4096
REFERRERS_MAX = 64
DEPTH_MAX = 4
"""Of indexes in indexes, and of signatures of signatures."""
VERIFY_BYTES = 256 << 10
"""What checking one signature costs, in bytes of hashing: about a tenth of a millisecond."""


@dataclass(frozen=True, slots=True)
class Found:
    """The signatures beside an image.

    Attributes:
        blobs: how many were there, good or not.
        claims: what the good ones say.
    """

    blobs: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class VerdictsStatistics:
    """A snapshot: refusals that are remembered for a while."""

    refused_count: int


class Verdicts:
    """The gate between what is stored and who asks for it."""

    def __init__(
        self,
        *,
        policies: Policies,
        book: VerdictBook,
        catalog: Catalog,
        store: Store,
        listings: Listings,
        clock: Clock,
        now: Callable[[], float],
        events: Events,
        failures: ValidationFailures,
        count: Callable[[str], None],
    ) -> None:
        """`count` counts a judgement: `accepted`, or why it was refused. `now` judges what has
        expired, and never goes back."""
        self._policies = policies
        self.standing: Standing = NoRoot()
        self._book = book
        self._catalog = catalog
        self._store = store
        self._listings = listings
        self._clock = clock
        self._now = now
        self._events = events
        self._failures = failures
        self._count = count
        self.bring: Callable[[Repository, Digest], Awaitable[str]] | None = None
        """Fetches what is attached to an image; what did not come and why, "" when all did."""
        self._refused: OrderedDict[tuple[str, Digest], tuple[float, Verdict]] = OrderedDict()

    def rule_of(self, repository: Repository) -> Rule | None:
        """What is asked of a repository's images; None for nothing."""
        return self._policies.of(str(repository))

    def now(self) -> float:
        """The time by which expiries are judged, in seconds since the epoch."""
        return self._now()

    @property
    def policies(self) -> Policies:
        """Those that hold now."""
        return self._policies

    def use(self, policies: Policies) -> None:
        """Takes other policies: what is here is judged anew before it is next served. Ready
        answers are their maker's to forget."""
        self._policies = policies
        self._refused.clear()

    def rule_named(self, name: str) -> Rule | None:
        """The rule of a policy's name."""
        return next((each for each in self._policies.rules if each.policy.name == name), None)

    def may_take_over(self, repository: Repository, tag: str, digest: Digest) -> bool:
        """Whether `admit_move` has accepted this, or nothing is asked; looks nowhere else."""
        rule = self.rule_of(repository)
        if rule is None:
            return True
        accepted = self._book.admitted(rule.version, digest) is not None
        return accepted and not self._goes_back(rule, repository, tag, digest)

    def allowed(self, repository: Repository, digest: Digest) -> bool:
        """Whether a manifest or blob may leave the repository by what was accepted before, or
        opened for a time."""
        rule = self.rule_of(repository)
        return rule is None or any(
            self._book.admitted(rule.version, root) is not None
            or self.standing.is_open(rule.version, root)
            for root in self._roots(repository, digest)
        )

    def lasts(self, repository: Repository, digest: Digest) -> bool:
        """Whether an answer with this may be repeated without being asked for: it was accepted,
        and not just opened for a time that ends."""
        rule = self.rule_of(repository)
        return rule is None or any(
            self._book.admitted(rule.version, root) is not None
            for root in self._roots(repository, digest)
        )

    async def allow(self, repository: Repository, digest: Digest) -> None:
        """Raises RegistryError unless a manifest or blob may leave the repository: 403 when it is
        not signed as its policy says, 503 when its signatures cannot be had now."""
        rule = self.rule_of(repository)
        if rule is None or self.allowed(repository, digest):
            return
        refusal: RegistryError | None = None
        for root in self._roots(repository, digest):
            try:
                await self.admit(repository, root)
            except RegistryError as error:
                refusal = refusal or error
            else:
                return
        raise refusal or _refused(repository, digest, rule, "no image here leads to it")

    async def admit(self, repository: Repository, digest: Digest) -> None:
        """Judges one image by its own signatures, and keeps an acceptance. Raises RegistryError
        as `allow` does."""
        rule = self.rule_of(repository)
        if rule is None or self._book.admitted(rule.version, digest) is not None:
            return
        self._check_open_for(repository, digest, rule)
        until, verdict = self._refused.get((rule.version, digest), (0.0, None))
        if verdict is None or until <= self._clock.monotonic():
            found, verdict = await self._found(repository, digest, rule)
            trouble = ""
            if not verdict.accepted and not repository.local and self.bring is not None:
                # Signed after it was pushed, or never asked for: its signatures are fetched now.
                trouble = await self.bring(repository, digest)
                found, verdict = await self._found(repository, digest, rule)
            if not verdict.accepted and trouble:
                self._cannot_judge(repository, digest, rule, trouble)
                return
            await self._note(repository, digest, rule, verdict, found)
        if not verdict.accepted:
            raise _refused(repository, digest, rule, str(verdict))

    def why_closed(self, rule: Rule, digest: Digest) -> str:
        """Why this image cannot be admitted now, however it is signed; "" when it can."""
        why = self.standing.closed()
        known = why and self._book.ever_admitted(rule.policy.name, digest) is not None
        return "" if known else why

    def _check_open_for(self, repository: Repository, digest: Digest, rule: Rule) -> None:
        """With an expired root only what it, or one before it, admitted is judged again: what is
        new is not admitted. Raises RegistryError."""
        if not (why := self.why_closed(rule, digest)):
            return
        key = (rule.version, digest)
        if key not in self._refused:
            self._tell_refused(repository, digest, rule, why, Cause.ROOT_EXPIRED)
        self._hold(key, 0.0, Verdict(False, (), rule.policy.threshold, ()))
        raise _refused(repository, digest, rule, f"{why}, and it was not admitted before")

    async def _found(
        self, repository: Repository, digest: Digest, rule: Rule
    ) -> tuple[Found, Verdict]:
        found = await self.claims(repository, digest, rule)
        return found, judge(rule.policy, digest, found.claims, self._now())

    async def claims(self, repository: Repository, digest: Digest, rule: Rule) -> Found:
        """Every good signature of an image that is here; a bad one is as good as none.

        Raises StoreError: a disk that does not answer is no word about an image (T40).
        """
        # Late: a node whose policies ask for nothing saves cryptography's time and memory.
        from skerry.trust.core.artifacts import BYTES_MAX, claims_of

        manifest = await read_small(self._store, digest, bytes_max=MANIFEST_BYTES_MAX)
        if manifest is None:
            return Found(0, ())
        found: list[Claim] = []
        blobs = await self._blobs(repository, digest)
        for blob in blobs:
            data = await read_small(self._store, blob.digest, bytes_max=BYTES_MAX[blob.format])
            if data is None:
                continue
            read = partial(claims_of, blob, data, manifest, rule.believed, self._now())
            with suppress(BadInput):
                found += await off_loop(VERIFY_BYTES * len(rule.policy.keys), read)
        # Those of nobody last: whoever adds many must not push a good one out of what is counted.
        found.sort(key=lambda claim: claim.fingerprint == NOBODYS)
        return Found(len(blobs), tuple(found))

    def admitted_at(self, rule: Rule, digest: Digest) -> float | None:
        """When a rule accepted an image; None if it never did."""
        found = self._book.admitted(rule.version, digest)
        return None if found is None else found.at

    def forget_refusals(self) -> None:
        """A signature came: what was refused is judged at its next request."""
        self._refused.clear()

    async def moved(self, repository: Repository, tag: str, old: Digest) -> None:
        """Notes that a tag means something else now."""
        if self.rule_of(repository) is not None:
            await self._book.left(str(repository), tag, old, self._now())

    async def admit_move(self, repository: Repository, tag: str, new: Digest) -> None:
        """Raises RegistryError unless a tag may take over a digest: signed, and not one that it
        has left before (an older image is validly signed too)."""
        rule = self.rule_of(repository)
        if rule is None:
            return
        await self.admit(repository, new)
        if self._goes_back(rule, repository, tag, new):
            self._count("downgrade")
            self._failures.failed(Cause.DOWNGRADE)
            raise _refused(repository, new, rule, f"the tag {tag} meant it before, and moved on")

    def _goes_back(self, rule: Rule, repository: Repository, tag: str, digest: Digest) -> bool:
        return not rule.downgrades and self._book.has_left(str(repository), tag, digest)

    def _roots(self, repository: Repository, digest: Digest) -> Iterator[Digest]:
        """The images whose acceptance covers a content: itself, what lists it, what it is
        attached to. Nearest first, each once; looked for as far as it is asked for."""
        seen: set[Digest] = set()
        level = [digest]
        for _ in range(DEPTH_MAX):
            above: list[Digest] = []
            for each in level:
                if each in seen:
                    continue
                seen.add(each)
                manifest = self._catalog.manifest(each)
                above += self._catalog.parents(repository, each)
                if manifest is not None:
                    yield each
                    above += self._subjects(repository, manifest)
            level = above

    def _subjects(self, repository: Repository, manifest: Manifest) -> Iterator[Digest]:
        """What a signature, an SBOM and the like belongs to. Whoever can attach things to a signed
        image could attach another image: that is no part of the signed one."""
        if any("tar" in link.media_type for link in manifest.links if link.kind == "layer"):
            return
        if manifest.subject is not None:
            yield manifest.subject
        for tag in self._catalog.tags(repository):
            subject = subject_of_tag(tag.name) if tag.digest == manifest.digest else None
            if subject is not None:
                yield subject

    async def _blobs(self, repository: Repository, digest: Digest) -> list[SignatureBlob]:
        from skerry.trust.core.artifacts import ARTIFACT_TYPES, signature_blobs

        holders = [
            each.digest
            for each in self._listings.known_referrers(repository, digest)
            if each.artifact_type in ARTIFACT_TYPES
        ][:REFERRERS_MAX]
        for name in companion_tags(digest):
            tag = self._catalog.tag(repository, name)
            holders += [tag.digest] if tag is not None else []
        blobs: list[SignatureBlob] = []
        for holder in holders:
            data = await read_small(self._store, holder, bytes_max=MANIFEST_BYTES_MAX)
            with suppress(BadInput):
                blobs += signature_blobs(data) if data is not None else []
        return blobs

    async def _note(
        self, repository: Repository, digest: Digest, rule: Rule, verdict: Verdict, found: Found
    ) -> None:
        key = (rule.version, digest)
        if verdict.accepted:
            self._count("accepted")
            self._refused.pop(key, None)
            owners = tuple(owner for owner, _ in verdict.signers)
            await self._book.admit(
                Admitted(rule.policy.name, rule.version, digest, owners, self._now())
            )
            return
        if key not in self._refused:
            self._tell_refused(repository, digest, rule, str(verdict), _cause(verdict, found))
        self._hold(key, self._clock.monotonic() + REFUSED_SECONDS, verdict)

    def _hold(self, key: tuple[str, Digest], until: float, verdict: Verdict) -> None:
        self._refused[key] = (until, verdict)
        self._refused.move_to_end(key)
        if len(self._refused) > REFUSED_MAX:
            self._refused.popitem(last=False)

    def _tell_refused(
        self, repository: Repository, digest: Digest, rule: Rule, why: str, cause: Cause
    ) -> None:
        self._count("refused")
        self._failures.failed(cause)
        self._events.emit(
            "trust.refused",
            f"{repository}@{digest}",
            cause=f"policy {rule.policy.name}: {why}",
            next_step=ENDED_STEP
            if cause is Cause.ROOT_EXPIRED
            else "`skerry verify` shows each signature; sign it, or change the policy",
            level=Level.WARNING,
        )

    def _cannot_judge(
        self, repository: Repository, digest: Digest, rule: Rule, trouble: str
    ) -> None:
        """Signatures that cannot be fetched: an earlier yes stands unless the policy is critical.

        Raises RegistryError.
        """
        before = self._book.ever_admitted(rule.policy.name, digest)
        if before is not None and not rule.policy.critical:
            self._count("earlier_verdict")
            return
        self._count("unfetchable")
        self._failures.failed(Cause.SIGNATURE_UNREACHABLE)
        raise RegistryError(
            Code.UNAVAILABLE,
            f"{repository}@{digest} cannot be judged now: its signatures cannot be fetched"
            f" ({trouble})",
            headers=(("Retry-After", str(int(REFUSED_SECONDS))),),
            next_step="try again when the upstream answers",
            party=Party.UPSTREAM,
        )

    def statistics(self) -> VerdictsStatistics:
        """A snapshot."""
        return VerdictsStatistics(len(self._refused))


def _cause(verdict: Verdict, found: Found) -> Cause:
    """Some who should have signed did: others are missing. Nobody did, and something is there that
    looks like a signature: it is of somebody else, of something else, or made up."""
    if verdict.signers:
        return Cause.SIGNATURE_THRESHOLD
    return Cause.SIGNATURE_INVALID if found.blobs else Cause.SIGNATURE_MISSING


def _refused(repository: Repository, digest: Digest, rule: Rule, why: str) -> RegistryError:
    return RegistryError(
        Code.DENIED,
        f"{repository}@{digest} is held back by the policy {rule.policy.name}: {why}",
        next_step="`skerry verify` on the node shows each signature and what is missing",
        party=Party.OPERATOR,
    )
