"""Breaking the glass: one image may leave for a short time without the signatures it lacks.

Owns the judgement of a statement and its being kept, with an entry in the audit, before it holds
(requirements B4). It takes two owners of the image's policy; one is refused. It opens a digest, at
this node, under this version of the policy, and moves no tag.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from skerry.base.digest import Digest
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.telemetry.events import Events, Level
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core.audit import Deed, Entry, entry_text
from skerry.trust.core.policies import ENDED_STEP, Rule
from skerry.trust.core.statements import (
    AHEAD_SECONDS_MAX,
    Glass,
    read_glass,
    read_statement,
    signers_of,
)
from skerry.trust.core.threshold import Claim, Format, Verdict, judge
from skerry.trust.root_ports import RootBook, Window

OWNERS_MIN = 2
ANEW_STEP = "make a new one with `skerry break-glass`, and let two owners sign it"


class GlassRefused(SkerryError):
    """A statement that opens nothing."""

    party = Party.CLIENT


@dataclass(frozen=True, slots=True)
class Broken:
    """What a statement opened, by whose word, and where the audit has it."""

    glass: Glass
    owners: tuple[str, ...]
    entry: Entry


class BreakGlass:
    """What is open at this node."""

    def __init__(
        self,
        *,
        book: RootBook,
        node: Callable[[], str],
        now: Callable[[], float],
        events: Events,
        failures: ValidationFailures,
        count: Callable[[str], None],
        closed: Callable[[], str] = lambda: "",
    ) -> None:
        """`node` is asked for the fingerprint of the node's key; `count` counts outcomes; `closed`
        says why nobody's key counts for anything new now; `now` never goes back, or a time that
        has ended could begin again.
        """
        self._book = book
        self._node = node
        self._now = now
        self._events = events
        self._failures = failures
        self._count = count
        self._closed = closed

    def is_open(self, version: str, digest: Digest) -> bool:
        """Whether a digest may leave now against this version of a policy."""
        window = self._book.glass(version, digest)
        return window is not None and window.begins_at <= self._now() < window.ends_at

    def open_until(self, version: str, digest: Digest) -> float | None:
        """When that ends, in seconds since the epoch; None when it is not open."""
        window = self._book.glass(version, digest)
        return window.ends_at if window and self.is_open(version, digest) else None

    async def break_by(self, data: bytes, rule: Rule, digest: Digest) -> Broken:
        """Opens what a statement says, for the image that is meant. Raises GlassRefused."""
        try:
            broken = await self._break(data, rule, digest)
        except GlassRefused:
            self._count("refused")
            raise
        self._count("broken")
        return broken

    async def _break(self, data: bytes, rule: Rule, digest: Digest) -> Broken:
        try:
            statement = read_statement(data)
            glass = read_glass(statement)
        except BadInput as error:
            raise self._refused(error.what, Cause.SIGNATURE_INVALID) from error
        self._check_meant(glass, rule, digest)
        keys = (each.key for each in rule.policy.keys if not each.authority)
        verdict = _counted(rule, glass, signers_of(statement, keys), self._now())
        if not verdict.accepted:
            invalid = statement.signatures and not verdict.signers
            cause = Cause.SIGNATURE_INVALID if invalid else Cause.SIGNATURE_THRESHOLD
            raise self._refused(
                f"two owners of the policy {rule.policy.name} must sign it, and"
                f" {len(verdict.signers)} of them did",
                cause,
            )
        owners = tuple(owner for owner, _ in verdict.signers)
        begins_at = min(glass.begins_at, self._now())  # their clock may be ahead of ours
        entry = await self._book.break_glass(
            glass.version,
            glass.digest,
            Window(begins_at, glass.ends_at),
            entry_text(
                Deed.GLASS_BROKEN,
                at=self._now(),
                subject=str(glass.digest),
                who=owners,
                reason=glass.reason,
                more={
                    "policy": glass.policy,
                    "from": glass.begins_at,
                    "until": glass.ends_at,
                    "keys": " ".join(key for _, key in verdict.signers),
                },
            ),
        )
        self._events.emit(
            "trust.glass_broken",
            str(glass.digest),
            cause=f"by {' and '.join(owners)}: {glass.reason}",
            next_step=f"`skerry audit` has it as entry {entry.number}; let it be signed before the"
            " time ends",
            level=Level.WARNING,
        )
        return Broken(glass, owners, entry)

    def _check_meant(self, glass: Glass, rule: Rule, digest: Digest) -> None:
        now = self._now()
        if why := self._closed():
            raise self._refused(why, Cause.ROOT_EXPIRED, ENDED_STEP)
        if glass.digest != digest:
            raise self._refused(
                f"the statement is for {glass.digest}, not for {digest}", Cause.SIGNATURE_INVALID
            )
        if glass.node != self._node():
            raise self._refused("the statement is for another node", Cause.SIGNATURE_INVALID)
        if (glass.policy, glass.version) != (rule.policy.name, rule.version):
            raise self._refused(
                f"the statement is for another policy, or for another version of {glass.policy}",
                Cause.SIGNATURE_INVALID,
            )
        if glass.ends_at <= now:
            raise self._refused("the time of the statement has ended", Cause.SIGNATURE_INVALID)
        if glass.begins_at > now + AHEAD_SECONDS_MAX:
            raise self._refused("the statement's time has not begun", Cause.SIGNATURE_INVALID)

    def _refused(self, what: str, cause: Cause, next_step: str = ANEW_STEP) -> GlassRefused:
        self._failures.failed(cause)
        self._events.emit("trust.glass_refused", "break-glass", cause=what, level=Level.WARNING)
        return GlassRefused(what, next_step=next_step)


def _counted(rule: Rule, glass: Glass, made: frozenset[str], now: float) -> Verdict:
    """Counts owners as for an image: revoked, expired and second keys count for nothing."""
    asked = replace(
        rule.policy,
        threshold=OWNERS_MIN,
        required=frozenset(),
        formats=frozenset((Format.COSIGN,)),
    )
    claims = [Claim(each, glass.digest, Format.COSIGN) for each in sorted(made)]
    return judge(asked, glass.digest, claims, now)
