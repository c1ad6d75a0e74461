"""The ladder of one budget: what is let go of, step by step, as the money runs out.

Owns the decision (requirements C2): which rung holds, when it is entered and left, and which alarm
is due. A meter that cannot see holds the rung; a rung is left only when the share has fallen well
below it; of each rung and period there is one alarm. Never reads a clock or a ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from skerry.budget.core.plan import Owner, Priority

MILLION = 1_000_000
PERIODS_MAX = 4
"""Of so many periods it is remembered what was told, should the clock go back to one."""


class Rung(IntEnum):
    """From all is well to the last step. Each holds back what those below it do, too."""

    NONE = 0
    NOTICE = 1
    NO_WARMING = 2
    LONGER_FRESH = 3
    SHED_LOW = 4
    CACHED_ONLY = 5


class Sight(StrEnum):
    SEEING = "seeing"
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class Steps:
    """When each rung is entered, from `NOTICE` on, and how far below that it is left. In millionths
    of the budget."""

    trips: tuple[int, ...] = (500_000, 800_000, 850_000, 900_000, 1_000_000)
    clear: int = 50_000

    def trip(self, rung: Rung) -> int:
        """The share from which a rung holds."""
        return self.trips[rung - 1]


@dataclass(frozen=True, slots=True)
class Ladder:
    """Where one budget stands.

    Attributes:
        period: the one that was seen last, "" before the first.
        told: period and rung of the alarms that were raised, oldest first.
    """

    period: str = ""
    rung: Rung = Rung.NONE
    sight: Sight = Sight.SEEING
    told: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Metered:
    """The share of the budget that is spent in a period, in millionths."""

    period: str
    share: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The meter cannot say what is spent."""


Event = Metered | Lost


@dataclass(frozen=True, slots=True)
class Entered:
    """A rung begins to hold."""

    rung: Rung


@dataclass(frozen=True, slots=True)
class Left:
    """A rung does not hold any more."""

    rung: Rung


@dataclass(frozen=True, slots=True)
class Alarm:
    """Tell the operator, once for this rung and period."""

    rung: Rung
    period: str


@dataclass(frozen=True, slots=True)
class WentBlind:
    """The rung is kept until the meter sees again."""


@dataclass(frozen=True, slots=True)
class Sees:
    """The meter sees again."""


Command = Entered | Left | Alarm | WentBlind | Sees
Step = tuple[Ladder, tuple[Command, ...]]
Rule = Callable[[Ladder, Event, Steps], Step]


class IllegalEvent(Exception):
    """An event that the table has no rule for."""


def _judge(ladder: Ladder, event: Event, steps: Steps) -> Step:
    if not isinstance(event, Metered):
        raise IllegalEvent(type(event).__name__)
    rung, commands = ladder.rung, list[Command]()
    while rung < Rung.CACHED_ONLY and event.share >= steps.trip(Rung(rung + 1)):
        rung = Rung(rung + 1)
        commands.append(Entered(rung))
    if rung == ladder.rung:
        while rung and event.share < steps.trip(rung) - steps.clear:
            commands.append(Left(rung))
            rung = Rung(rung - 1)
    told = ladder.told
    if rung > ladder.rung and (event.period, int(rung)) not in told:
        # A jump over several rungs is one thing that happened: the highest tells it all.
        commands.append(Alarm(rung, event.period))
        passed = [(event.period, each) for each in range(1, rung + 1)]
        told = _kept((*told, *(each for each in passed if each not in told)))
    return replace(ladder, period=event.period, rung=rung, told=told), tuple(commands)


def _see_again(ladder: Ladder, event: Event, steps: Steps) -> Step:
    seeing, commands = _judge(replace(ladder, sight=Sight.SEEING), event, steps)
    return seeing, (Sees(), *commands)


def _go_blind(ladder: Ladder, event: Event, steps: Steps) -> Step:
    return replace(ladder, sight=Sight.BLIND), (WentBlind(),)


def _stay_blind(ladder: Ladder, event: Event, steps: Steps) -> Step:
    return ladder, ()


RULES: Mapping[Sight, Mapping[type[Event], Rule]] = {
    Sight.SEEING: {Metered: _judge, Lost: _go_blind},
    Sight.BLIND: {Metered: _see_again, Lost: _stay_blind},
}


def step(ladder: Ladder, event: Event, steps: Steps) -> Step:
    """What comes of an event, and what is to be done. Raises IllegalEvent."""
    rule = RULES[ladder.sight].get(type(event))
    if rule is None:
        raise IllegalEvent(f"{type(event).__name__} while {ladder.sight}")
    return rule(ladder, event, steps)


def share_of(spent_micro: int, amount_micro: int) -> int:
    """The spent share in millionths, rounded down: a rung is entered when all of it is spent."""
    return spent_micro * MILLION // amount_micro


@dataclass(frozen=True, slots=True)
class RungTold:
    """The highest rung, by name, that a budget has entered in a period."""

    scope: str
    period: str
    rung: str


def told_of(scope: str, ladder: Ladder) -> tuple[RungTold, ...]:
    """What one has entered in the periods that it remembers."""
    highest = {period: max(r for p, r in ladder.told if p == period) for period, _ in ladder.told}
    return tuple(RungTold(scope, period, name_of(Rung(at))) for period, at in highest.items())


def name_of(rung: Rung) -> str:
    """As people write it."""
    return rung.name.lower()


@dataclass(frozen=True, slots=True)
class Hold:
    """What a rung does to one route or upstream."""

    longer: bool = False
    refused: bool = False


FREE = Hold()


def hold(owner: Owner, rung: Rung) -> Hold:
    """What a rung means for whoever owns something."""
    if owner.priority is Priority.PROTECTED:
        return FREE
    shed = rung >= Rung.SHED_LOW and owner.priority is Priority.LOW
    return Hold(rung >= Rung.LONGER_FRESH, shed or rung >= Rung.CACHED_ONLY)


def _kept(told: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    periods = list(dict.fromkeys(period for period, _ in told))[-PERIODS_MAX:]
    return tuple(each for each in told if each[0] in periods)
