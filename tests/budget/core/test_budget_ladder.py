"""The ladder as transcripts: what is metered, and what comes of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.budget.core.ladder import (
    FREE,
    RULES,
    Alarm,
    Command,
    Entered,
    Event,
    Hold,
    IllegalEvent,
    Ladder,
    Left,
    Lost,
    Metered,
    Rung,
    Sees,
    Sight,
    Steps,
    WentBlind,
    hold,
    share_of,
    step,
)
from skerry.budget.core.plan import Owner, Priority
from skerry.budget.core.timekeeping import SETTLE_SECONDS, begin, tick

STEPS = Steps()
JUNE, JULY = "2026-06", "2026-07"


def at(percent: float, period: str = JUNE) -> Metered:
    return Metered(period, round(percent * 10_000))


def play(*lines: tuple[Event, *tuple[Command, ...]], ladder: Ladder | None = None) -> Ladder:
    found = ladder or Ladder()
    for event, *expected in lines:
        found, commands = step(found, event, STEPS)
        assert list(commands) == expected, event
    return found


def test_each_rung_is_entered_when_its_share_is_spent_and_told_of_once() -> None:
    play(
        (at(49.9),),
        (at(50), Entered(Rung.NOTICE), Alarm(Rung.NOTICE, JUNE)),
        (at(60),),
        (at(80), Entered(Rung.NO_WARMING), Alarm(Rung.NO_WARMING, JUNE)),
        (at(85), Entered(Rung.LONGER_FRESH), Alarm(Rung.LONGER_FRESH, JUNE)),
        (at(90), Entered(Rung.SHED_LOW), Alarm(Rung.SHED_LOW, JUNE)),
        (at(99.9),),
        (at(100), Entered(Rung.CACHED_ONLY), Alarm(Rung.CACHED_ONLY, JUNE)),
        (at(300),),
    )


def test_a_rung_is_left_only_well_below_it() -> None:
    """A corrected price or a raised amount lowers the share."""
    shed = Ladder(JUNE, Rung.SHED_LOW, told=((JUNE, 4),))
    play((at(89),), (at(85),), (at(84.9), Left(Rung.SHED_LOW)), (at(89),), ladder=shed)


def test_going_up_and_down_around_a_rung_alarms_once() -> None:
    play(
        (at(90), *(Entered(Rung(n)) for n in range(1, 5)), Alarm(Rung.SHED_LOW, JUNE)),
        (at(84), Left(Rung.SHED_LOW)),
        (at(90), Entered(Rung.SHED_LOW)),
        (at(84), Left(Rung.SHED_LOW)),
        (at(91), Entered(Rung.SHED_LOW)),
    )


def test_a_jump_over_several_rungs_is_one_alarm() -> None:
    found = play((at(86), *(Entered(Rung(n)) for n in (1, 2, 3)), Alarm(Rung(3), JUNE)))
    play((at(70), Left(Rung(3)), Left(Rung(2))), (at(81), Entered(Rung(2))), ladder=found)


def test_a_new_period_begins_at_the_foot() -> None:
    found = play(
        (at(101), *(Entered(Rung(n)) for n in range(1, 6)), Alarm(Rung(5), JUNE)),
        (at(0, JULY), *(Left(Rung(n)) for n in range(5, 0, -1))),
        (at(50, JULY), Entered(Rung.NOTICE), Alarm(Rung.NOTICE, JULY)),
    )
    # The clock was wrong, and it is June: what was told of June is not told again.
    back, commands = step(found, at(101), STEPS)
    assert Alarm not in map(type, commands)
    assert back.rung is Rung.CACHED_ONLY


def test_a_blind_meter_holds_the_rung_over_the_end_of_the_period_too() -> None:
    shed = Ladder(JUNE, Rung.SHED_LOW, told=((JUNE, 4),))
    play(
        (Lost(), WentBlind()),
        (Lost(),),
        (at(91), Sees()),
        (Lost(), WentBlind()),
        (at(2, JULY), Sees(), *(Left(Rung(n)) for n in range(4, 0, -1))),
        ladder=shed,
    )


def test_every_event_has_a_rule_in_every_state() -> None:
    for sight, kind in itertools.product(Sight, (Metered, Lost)):
        assert RULES[sight][kind]
    with pytest.raises(IllegalEvent):
        step(Ladder(), "nothing of the kind", STEPS)  # type: ignore[arg-type]


events = st.lists(
    st.one_of(
        st.builds(Metered, st.sampled_from([JUNE, JULY]), st.integers(0, 1_500_000)),
        st.just(Lost()),
    ),
    max_size=60,
)


@given(events)
def test_no_alarm_comes_twice_and_a_rung_is_left_as_often_as_entered(found: list[Event]) -> None:
    ladder, alarms, height = Ladder(), list[Alarm](), 0
    for event in found:
        before = ladder
        ladder, commands = step(ladder, event, STEPS)
        alarms += [each for each in commands if isinstance(each, Alarm)]
        height += sum((type(each) is Entered) - (type(each) is Left) for each in commands)
        assert height == ladder.rung
        if isinstance(event, Lost):
            assert ladder.rung == before.rung
        else:
            rung = ladder.rung
            assert rung == Rung.CACHED_ONLY or event.share < STEPS.trip(Rung(rung + 1))
            assert not rung or event.share >= STEPS.trip(rung) - STEPS.clear
    assert len(set(alarms)) == len(alarms)


def test_what_a_rung_holds_back_depends_on_whose_it_is() -> None:
    low, normal, protected = (Owner("ann", each) for each in Priority)
    longer, refused = Hold(longer=True), Hold(longer=True, refused=True)
    expected = {
        Rung.NO_WARMING: (FREE, FREE, FREE),
        Rung.LONGER_FRESH: (longer, longer, FREE),
        Rung.SHED_LOW: (refused, longer, FREE),
        Rung.CACHED_ONLY: (refused, refused, FREE),
    }
    for rung, wanted in expected.items():
        assert tuple(hold(each, rung) for each in (low, normal, protected)) == wanted


def test_a_rung_is_entered_when_the_last_micro_unit_of_its_share_is_spent() -> None:
    assert share_of(99_999_999, 100_000_000) == 999_999
    assert share_of(100_000_000, 100_000_000) == 1_000_000


def test_a_clock_that_jumps_is_doubted_until_it_has_settled() -> None:
    time = begin(1000.0, 0.0)
    for second in range(1, 300):
        time = tick(time, 1000.0 + second * 1.1, float(second))
    assert time.now(299.0) == pytest.approx(1000 + 299 * 1.1)
    before = time.now(300.0)
    for second in range(300, 600):
        time = tick(time, 9e6 + second, float(second))  # to another month ...
    assert time.now(600.0) == pytest.approx(before + 300)
    time = tick(time, before + 301, 601.0)  # ... and back
    assert time.doubt is None
    for second in range(601, 601 + int(SETTLE_SECONDS) + 1):
        time = tick(time, 9e6 + second, float(second))
    assert time.now(700.0) == pytest.approx(9e6 + 700)
