"""What has been told of a domain's drift, and what is to be done at the next look.

Owns the rule that a verdict changes only when two looks in succession agree: one forged or late
answer raises nothing, and takes nothing back. An aspect that nobody could be asked about stays as
it was told: an outage neither raises nor ends a drift.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from skerry.trust.core.delegation import Aspect, Drift


@dataclass(frozen=True, slots=True)
class Told:
    """The state of one domain.

    Attributes:
        drifts: told and not over, one for each aspect at most.
        doubts: what the last look found otherwise: the drift, or None where there was none.
    """

    drifts: tuple[Drift, ...] = ()
    doubts: tuple[tuple[Aspect, Drift | None], ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing new may be believed of names below."""
        return any(drift.holds for drift in self.drifts)


@dataclass(frozen=True, slots=True)
class Tell:
    """A drift is certain: say so, once."""

    drift: Drift


@dataclass(frozen=True, slots=True)
class Over:
    """A drift is certainly gone."""

    drift: Drift


@dataclass(frozen=True, slots=True)
class Hold:
    """Believe nothing new from now on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Believe again."""


Command = Tell | Over | Hold | Release


def look(
    told: Told, found: Iterable[Drift], known: frozenset[Aspect]
) -> tuple[Told, tuple[Command, ...]]:
    """The next state, and what to do. `known` are the aspects that `found` is whole for."""
    seen = {drift.aspect: drift for drift in found if drift.aspect in known}
    now = {drift.aspect: drift for drift in told.drifts}
    doubts = dict(told.doubts)
    commands: list[Command] = []
    for aspect in Aspect:
        if aspect not in known:
            continue
        old, new = now.get(aspect), seen.get(aspect)
        if old == new:
            doubts.pop(aspect, None)
        elif aspect in doubts and doubts[aspect] == new:
            del doubts[aspect]
            if new is None:
                assert old is not None  # noqa: S101  they differ
                del now[aspect]
                commands.append(Over(old))
            else:
                now[aspect] = new
                commands.append(Tell(new))
        else:
            doubts[aspect] = new
    after = Told(_sorted(now), tuple(sorted(doubts.items(), key=lambda pair: pair[0])))
    return after, (*commands, *_holding(told, after))


def doubted(told: Told) -> bool:
    """Whether the last look found something else than was told: look again soon."""
    return bool(told.doubts)


def _holding(before: Told, after: Told) -> tuple[Command, ...]:
    if after.holds and not before.holds:
        reasons = "; ".join(drift.what for drift in after.drifts if drift.holds)
        return (Hold(reasons),)
    return (Release(),) if before.holds and not after.holds else ()


def _sorted(drifts: dict[Aspect, Drift]) -> tuple[Drift, ...]:
    return tuple(drifts[aspect] for aspect in Aspect if aspect in drifts)
