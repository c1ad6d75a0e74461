"""The root of trust of a running node: taken, kept, watched.

Owns the order (judge, keep on the disk, believe, tell) and the moments at which somebody is told
that a root stands otherwise than before. Reads no folder: files are handed in. What may be
believed is `core.root`'s and `core.standing`'s to say; versions only rise, across restarts too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from skerry.telemetry.events import Events, Level
from skerry.telemetry.horizon import Expires, Expiry
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core.audit import Deed, entry_text
from skerry.trust.core.policies import Policies, Rule
from skerry.trust.core.root import (
    Climb,
    Fault,
    RootRefused,
    TrustRoot,
    climb,
    read_root,
    signed_by,
)
from skerry.trust.core.root_owners import rule_under
from skerry.trust.core.standing import GraceGiven, Standing, given_grace, standing

if TYPE_CHECKING:
    from skerry.trust.root_ports import RootBook, RootFiles

CAUSES: Mapping[Fault, Cause] = {
    Fault.INVALID: Cause.ROOT_INVALID,
    Fault.ROLLBACK: Cause.ROOT_ROLLBACK,
    Fault.EXPIRED: Cause.ROOT_EXPIRED,
}


@dataclass(frozen=True, slots=True)
class RootStatistics:
    """How the root stands.

    Attributes:
        standing: "" before there is one.
        expires_at, grace_until: seconds since the epoch; None without a grace.
        unmeetable: policies that nobody can meet under this root.
    """

    version: int
    standing: str
    expires_at: float
    threshold: int
    holders: tuple[str, ...]
    owners: tuple[str, ...]
    grace_until: float | None = None
    grace_reason: str = ""
    unmeetable: tuple[str, ...] = ()


class RootOfTrust:
    """The root that is trusted now."""

    def __init__(
        self,
        *,
        book: RootBook,
        rules: Iterable[Rule],
        now: Callable[[], float],
        events: Events,
        failures: ValidationFailures,
        changed: Callable[[Policies], None],
    ) -> None:
        """`rules` are those of the settings, without keys; `changed` gets them with the root's;
        `now` never goes back, or what has expired could be revived."""
        self._book = book
        self._rules = tuple(rules)
        self._now = now
        self._events = events
        self._failures = failures
        self._changed = changed
        self._root: TrustRoot | None = None
        self._grace: GraceGiven | None = None
        self._told: Standing | None = None
        self._unmeetable: tuple[str, ...] = ()
        self._turn = asyncio.Lock()

    async def start(self, files: RootFiles) -> None:
        """Goes on with what was trusted before, and takes what the files add.

        Raises RootRefused when there is nothing that could be trusted.
        """
        kept = self._book.root()
        if kept is not None:
            self._root = await asyncio.to_thread(read_root, kept)
            self._keep_old_grace()
        elif not files.roots:
            raise RootRefused(
                "there is no root in the folder of trust.root",
                next_step="make one with `skerry root new`, and publish it there",
            )
        else:
            # Says at the start what a first root lacks; later ones can be refused one by one.
            oldest = min(files.roots)
            found = await asyncio.to_thread(climb, None, {oldest: files.roots[oldest]}, self._now())
            if found.refused is not None:
                raise found.refused
        await self.take(files)
        self._believe()

    async def take(self, files: RootFiles) -> tuple[RootRefused, ...]:
        """Takes what the files add to what is trusted; what is refused is counted and told, and
        what was trusted before goes on. Returns what was refused."""
        async with self._turn:
            found = await asyncio.to_thread(climb, self._root, files.roots, self._now())
            refused = [found.refused] if found.refused else []
            if found.taken:
                await self._take_roots(found)
            if files.grace is not None and (error := await self._take_grace(files.grace)):
                refused.append(error)
            for each in refused:
                self._tell_refused(each)
            await self.watch()
            return tuple(refused)

    def policies(self) -> Policies:
        """The rules of the settings, with the root's keys."""
        if self._root is None:
            return Policies(self._rules)
        pairs = [rule_under(self._root.owners, rule) for rule in self._rules]
        self._unmeetable = tuple(trouble for _, trouble in pairs if trouble)
        return Policies([rule for rule, _ in pairs])

    def closed(self) -> str:
        """Why nothing new may be admitted now; "" when it may."""
        if self._root is None:
            return "no root of trust is there"
        if standing(self._root, self._grace, self._now()) is Standing.EXPIRED:
            return f"the root of trust, version {self._root.version}, has expired"
        return ""

    def note(self) -> str:
        """That the root is used under a grace, by whose word and why; "" when it is not."""
        given = self._grace
        if self._root is None or given is None:
            return ""
        if standing(self._root, given, self._now()) is not Standing.GRACE:
            return ""
        until = datetime.fromtimestamp(given.grace.ends_at, UTC).strftime("%Y-%m-%d %H:%MZ")
        who = " and ".join(given.holders)
        return (
            f"the root of trust has expired and is used until {until} by the word of {who}:"
            f" {given.grace.reason}"
        )

    async def watch(self) -> None:
        """Tells once when the root stands otherwise than it did."""
        if self._root is None:
            return
        now = standing(self._root, self._grace, self._now())
        if now is self._told:
            return
        first, self._told = self._told is None, now
        subject = f"root {self._root.version}"
        if now is Standing.EXPIRED:
            self._failures.failed(Cause.ROOT_EXPIRED)
            self._events.emit(
                "trust.root_expired",
                subject,
                cause="what was admitted is served as before; nothing new is admitted, no tag moves"
                " to what is new",
                next_step="publish a new root, or a grace: `skerry root next`, `skerry root grace`",
                level=Level.ERROR,
            )
        elif now is Standing.GRACE and self._grace is not None:
            self._events.emit(
                "trust.root_grace",
                subject,
                cause=f"expired, and used under a grace of {' and '.join(self._grace.holders)}:"
                f" {self._grace.grace.reason}",
                next_step="publish a new root before the grace ends",
                level=Level.WARNING,
            )
        elif not first:
            self._events.emit("trust.root_valid", subject, cause="it has not expired")

    def expiries(self) -> tuple[Expiry, ...]:
        """For the horizon: the root, and a grace that stands in for it."""
        if self._root is None:
            return ()
        found = [Expiry(Expires.TRUST_ROOT, f"root {self._root.version}", self._root.expires_at)]
        if self._grace is not None:
            end = self._grace.grace.ends_at
            if end > self._root.expires_at:
                found = [Expiry(Expires.TRUST_ROOT, f"grace of root {self._root.version}", end)]
        return tuple(found)

    def standings(self) -> dict[tuple[str, ...], float]:
        """For a gauge: 1 at what holds, 0 elsewhere."""
        root = self._root
        now = None if root is None else standing(root, self._grace, self._now())
        return {(each.value,): float(each is now) for each in Standing}

    def statistics(self) -> RootStatistics | None:
        """None while there is no root."""
        root = self._root
        if root is None:
            return None
        now = standing(root, self._grace, self._now())
        grace = self._grace.grace if self._grace is not None else None
        return RootStatistics(
            version=root.version,
            standing=now.value,
            expires_at=root.expires_at,
            threshold=root.threshold,
            holders=tuple(each.name for each in root.holders),
            owners=tuple(sorted({each.owner for each in root.owners.keys})),
            grace_until=grace.ends_at if grace is not None else None,
            grace_reason=grace.reason if grace is not None else "",
            unmeetable=self._unmeetable,
        )

    def _believe(self) -> None:
        self._changed(self.policies())
        for trouble in self._unmeetable:
            self._events.emit(
                "trust.policy_unmeetable",
                trouble.partition(":")[0],
                cause=trouble,
                next_step="its images stay held back until a root has enough owners for it",
                level=Level.ERROR,
            )

    async def _take_roots(self, found: Climb) -> None:
        texts: list[str] = []
        before = self._root
        for root in found.taken:
            who = signed_by(root, before)
            texts.append(
                entry_text(
                    Deed.ROOT_TAKEN,
                    at=self._now(),
                    subject=f"root {root.version}",
                    who={*who.old, *who.new},
                    reason="",
                    more={"sha256": root.digest},
                )
            )
            before = root
        await self._book.keep_roots([(each.version, each.body) for each in found.taken], texts)
        self._root, self._grace, self._told = found.root, None, None
        self._keep_old_grace()
        for root in found.taken:
            self._events.emit(
                "trust.root_taken",
                f"root {root.version}",
                cause=f"signed by {', '.join(signed_by(root, None).new)}",
            )
        self._believe()

    async def _take_grace(self, data: bytes) -> RootRefused | None:
        if self._root is None or (self._grace is not None and self._grace.body == data):
            return None
        try:
            given = await asyncio.to_thread(given_grace, self._root, data, self._now())
        except RootRefused as error:
            # One that was taken and has ended, or was for the root before, may go on lying there.
            return None if data == self._book.grace() else error
        text = entry_text(
            Deed.GRACE_TAKEN,
            at=self._now(),
            subject=f"root {given.grace.root_version}",
            who=given.holders,
            reason=given.grace.reason,
            more={"from": given.grace.begins_at, "until": given.grace.ends_at},
        )
        await self._book.keep_grace(data, text)
        self._grace = given
        return None

    def _keep_old_grace(self) -> None:
        kept = self._book.grace()
        if kept is None or self._root is None:
            return
        try:
            self._grace = given_grace(self._root, kept, self._now())
        except RootRefused:
            self._grace = None

    def _tell_refused(self, error: RootRefused) -> None:
        self._failures.failed(CAUSES[error.fault])
        self._events.emit(
            "trust.root_refused",
            "root" if self._root is None else f"root {self._root.version} goes on",
            cause=error.what,
            next_step=error.next_step,
            level=Level.ERROR,
        )
