"""The fill machine as transcripts: what happened, what is done about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.upstream.core.fill import (
    PROGRESS_BYTES,
    RULES,
    Begin,
    Close,
    Command,
    Commit,
    Ended,
    Event,
    Fail,
    Fill,
    IllegalEvent,
    Lost,
    Mark,
    Mismatched,
    Open,
    Opened,
    Outcome,
    Proven,
    Received,
    Refused,
    State,
    Unwritable,
    Verdict,
    Wanted,
    Write,
    step,
    wanted,
)
from skerry.upstream.ports import Cause, Trouble

CUT = Lost(Trouble.CUT, "reset")
DEAD = Lost(Trouble.REFUSED, "refused")
GONE = Refused(Verdict.ABSENT, "404")
BARRED = Refused(Verdict.DENIED, "401")


def play(fill: Fill, *lines: tuple[Event | Command, ...]) -> Fill:
    """Each line is an event and the commands it must lead to."""
    for event, *expected in lines:
        fill, commands = step(fill, event)  # type: ignore[arg-type]
        assert commands == expected, event
    return fill


def failed(outcome: Outcome, *causes: tuple[str, Trouble, str]) -> Fail:
    return Fail(outcome, tuple(Cause(*cause) for cause in causes))


def wrong(source: str, what: str) -> tuple[str, Trouble, str]:
    return source, Trouble.WRONG_CONTENT, what


def test_a_content_is_proven_as_soon_as_its_last_byte_is_here() -> None:
    done = play(
        wanted(("origin",), 100),
        (Wanted(), Open(0, 0)),
        (Opened(0, 100),),
        (Received(60), Begin(100), Write()),
        (Received(40), Write(), Close(), Commit()),
        (Proven(),),
    )
    assert done.state is State.DONE


def test_a_content_of_no_bytes_is_proven_without_a_body() -> None:
    play(
        wanted(("origin",)),
        (Wanted(), Open(0, 0)),
        (Opened(0, 0), Begin(0), Close(), Commit()),
        (Proven(),),
    )


def test_a_content_without_a_length_is_proven_at_its_end() -> None:
    play(
        wanted(("origin",)),
        (Wanted(), Open(0, 0)),
        (Opened(0, None),),
        (Received(10), Begin(None), Write()),
        (Ended(), Close(), Commit()),
    )


def test_a_flaky_place_is_resumed_by_range_and_then_the_next_one_is() -> None:
    play(
        wanted(("flaky", "good"), 1000),
        (Wanted(), Open(0, 0)),
        (Opened(0, 1000),),
        (Received(100), Begin(1000), Write()),
        (CUT, Close(), Open(0, 100)),
        (Opened(100, 1000),),
        (Received(100), Write()),
        (CUT, Close(), Open(0, 200)),
        (Opened(200, 1000),),
        (Received(100), Write()),
        (CUT, Close(), Open(1, 300)),
        (Opened(300, 1000),),
        (Received(700), Write(), Close(), Commit()),
    )


def test_a_place_that_gave_nothing_since_it_was_opened_is_not_resumed() -> None:
    play(
        wanted(("dead", "good"), 10),
        (Wanted(), Open(0, 0)),
        (Opened(0, 10),),
        (CUT, Close(), Open(1, 0)),
    )


def test_a_line_that_drops_often_but_moves_much_is_resumed_for_ever() -> None:
    fill = play(
        wanted(("shaky",), 100 * PROGRESS_BYTES),
        (Wanted(), Open(0, 0)),
        (Opened(0, None),),
        (Received(PROGRESS_BYTES), Begin(100 * PROGRESS_BYTES), Write()),
    )
    for piece in range(1, 99):
        fill = play(
            fill,
            (CUT, Close(), Open(0, piece * PROGRESS_BYTES)),
            (Opened(piece * PROGRESS_BYTES, None),),
            (Received(PROGRESS_BYTES), Write()),
        )
    play(
        fill,
        (CUT, Close(), Open(0, 99 * PROGRESS_BYTES)),
        (Opened(99 * PROGRESS_BYTES, None),),
        (Received(PROGRESS_BYTES), Write(), Close(), Commit()),
    )


def test_a_place_that_ignores_the_range_has_its_prefix_skipped() -> None:
    play(
        wanted(("flaky", "rangeless"), 1000),
        (Wanted(), Open(0, 0)),
        (Opened(0, 1000),),
        (Received(300), Begin(1000), Write()),
        (CUT, Close(), Open(0, 300)),
        (DEAD, Open(1, 300)),
        (Opened(0, 1000),),
        (Received(200),),
        (Received(200), Write(skip_bytes=100)),
        (Received(600), Write(), Close(), Commit()),
    )


def test_a_length_that_contradicts_the_asker_passes_the_place_over_without_blame() -> None:
    says = "says the content is 99 bytes long, not 100"
    play(
        wanted(("liar", "good"), 100),
        (Wanted(), Open(0, 0)),
        (Opened(0, 99), Close(), Open(1, 0)),
        (DEAD, failed(Outcome.UNAVAILABLE, wrong("liar", says), ("good", DEAD.trouble, DEAD.what))),
    )


def test_a_length_that_contradicts_what_readers_were_told_marks_the_place() -> None:
    play(
        wanted(("first", "second")),
        (Wanted(), Open(0, 0)),
        (Opened(0, 100),),
        (Received(50), Begin(100), Write()),
        (CUT, Close(), Open(0, 50)),
        (DEAD, Open(1, 50)),
        (
            Opened(50, 200),
            Close(),
            Mark(1),
            failed(
                Outcome.UNAVAILABLE,
                ("first", DEAD.trouble, DEAD.what),
                wrong("second", "says the content is 200 bytes long, not 100"),
            ),
        ),
    )


def test_a_length_nobody_was_told_does_not_bind_the_next_place() -> None:
    play(
        wanted(("liar", "good")),
        (Wanted(), Open(0, 0)),
        (Opened(0, 5),),
        (CUT, Close(), Open(1, 0)),
        (Opened(0, 9),),
        (Received(9), Begin(9), Write(), Close(), Commit()),
    )


@pytest.mark.parametrize(
    ("opened", "says"),
    [
        (Opened(0, 100, "gzip"), "answered with Content-Encoding gzip"),
        (Opened(7, 100), "answered from byte 7 instead of 0"),
        (Opened(0, 1 << 40), "says the content is 1099511627776 bytes long, which cannot be"),
        (Opened(0, -1), "says the content is -1 bytes long, which cannot be"),
    ],
)
def test_an_answer_whose_head_is_useless_marks_the_place(opened: Opened, says: str) -> None:
    play(
        wanted(("odd",)),
        (Wanted(), Open(0, 0)),
        (opened, Close(), Mark(0), failed(Outcome.UNAVAILABLE, wrong("odd", says))),
    )


def test_more_bytes_than_the_content_has_mark_the_place_and_are_not_written() -> None:
    play(
        wanted(("chatty", "good"), 100),
        (Wanted(), Open(0, 0)),
        (Opened(0, 100),),
        (Received(101), Close(), Mark(0), Open(1, 0)),
    )


def test_a_content_without_length_is_bounded() -> None:
    play(
        Fill(("endless",), size_bytes_max=10),
        (Wanted(), Open(0, 0)),
        (Opened(0, None),),
        (Received(10), Begin(None), Write()),
        (
            Received(1),
            Close(),
            failed(
                Outcome.UNAVAILABLE,
                ("endless", Trouble.TOO_LARGE, "gave more than 10 bytes"),
            ),
        ),
    )


def test_a_body_that_ends_early_counts_as_cut() -> None:
    play(
        wanted(("short",), 100),
        (Wanted(), Open(0, 0)),
        (Opened(0, 100),),
        (Received(40), Begin(100), Write()),
        (Ended(), Close(), Open(0, 40)),
        (DEAD, failed(Outcome.UNAVAILABLE, ("short", DEAD.trouble, DEAD.what))),
    )


def test_wrong_bytes_fail_the_fill_and_mark_everyone_who_gave_some() -> None:
    lie = "gave bytes that fail their digest"
    play(
        wanted(("a", "dead", "b", "unused"), 20),
        (Wanted(), Open(0, 0)),
        (Opened(0, 20),),
        (Received(10), Begin(20), Write()),
        (CUT, Close(), Open(0, 10)),
        (DEAD, Open(1, 10)),
        (DEAD, Open(2, 10)),
        (Opened(10, 20),),
        (Received(10), Write(), Close(), Commit()),
        (
            Mismatched(),
            Mark(0),
            Mark(2),
            failed(
                Outcome.WRONG_CONTENT,
                ("a", DEAD.trouble, DEAD.what),
                ("dead", DEAD.trouble, DEAD.what),
                wrong("a", lie),
                wrong("b", lie),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ((GONE, GONE), Outcome.ABSENT),
        ((GONE, BARRED), Outcome.DENIED),
        ((BARRED, GONE), Outcome.DENIED),
        ((GONE, DEAD), Outcome.UNAVAILABLE),
        ((DEAD, GONE), Outcome.UNAVAILABLE),
        ((BARRED, DEAD), Outcome.UNAVAILABLE),
        ((), Outcome.UNAVAILABLE),
    ],
)
def test_only_when_all_say_no_is_a_content_absent(
    answers: tuple[Event, ...], outcome: Outcome
) -> None:
    fill, commands = step(wanted(tuple(f"place{i}" for i in range(len(answers)))), Wanted())
    for answer in answers:
        fill, commands = step(fill, answer)
    (command,) = commands
    assert isinstance(command, Fail)
    assert command.outcome is outcome


@pytest.mark.parametrize("size_bytes", [100, 10])
def test_a_disk_that_will_not_take_it_ends_the_fill(size_bytes: int) -> None:
    fill = play(wanted(("origin",), size_bytes), (Wanted(), Open(0, 0)), (Opened(0, size_bytes),))
    fill, _ = step(fill, Received(10))
    play(fill, (Unwritable(), Close(), failed(Outcome.NOT_WRITTEN)))


def test_an_event_without_a_rule_is_a_bug() -> None:
    with pytest.raises(IllegalEvent, match="Proven while idle"):
        step(wanted(("origin",)), Proven())


EVENTS = st.one_of(
    st.just(Wanted()),
    st.builds(
        Opened,
        st.integers(0, 60),
        st.none() | st.integers(0, 60),
        st.sampled_from(["", "gzip", "identity"]),
    ),
    st.builds(Received, st.integers(1, 40)),
    st.sampled_from([Ended(), CUT, DEAD, GONE, BARRED, Unwritable(), Proven(), Mismatched()]),
)


@given(places=st.integers(0, 4), size=st.none() | st.integers(0, 60), events=st.lists(EVENTS))
def test_whatever_happens_the_machine_keeps_its_promises(
    places: int, size: int | None, events: list[Event]
) -> None:
    fill = Fill(
        tuple("abcd"[:places]), size_bytes=size, binding=size is not None, size_bytes_max=60
    )
    begun, is_open, written, tries = 0, False, 0, 0
    for event in events:
        if type(event) not in RULES[fill.state]:
            continue
        is_open = is_open or isinstance(event, Opened)
        before = fill
        fill, commands = step(fill, event)
        for command in commands:
            match command:
                case Open(place, offset):
                    assert not is_open, "one place at a time"
                    assert offset == written
                    assert place >= before.at
                    tries += 1
                case Begin():
                    begun += 1
                case Write(skip):
                    assert begun == 1, "begun before written"
                    assert isinstance(event, Received)
                    assert 0 <= skip < event.count_bytes
                    written += event.count_bytes - skip
                case Close():
                    is_open = False
                case Commit():
                    assert begun == 1
                    assert not is_open
                    assert size in (None, written)
                case Fail():
                    assert not is_open
    assert fill.received_bytes == written <= 60
    assert tries <= 3 * places


def test_the_page_shows_the_table_as_it_is() -> None:
    page = Path(__file__).parents[2] / "docs" / "internals" / "fill-engine.md"
    table = [
        f"| {state.value} | {event.__name__} | {rule.__name__.strip('_').replace('_', ' ')} |"
        for state, rules in RULES.items()
        for event, rule in rules.items()
    ]
    states = tuple(f"| {state.value} | " for state in State)
    assert [line for line in page.read_text().splitlines() if line.startswith(states)] == table
