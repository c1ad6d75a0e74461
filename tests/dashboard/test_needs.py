"""What needs somebody: nothing that is over, nothing hidden by a flood, the gravest first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skerry.dashboard.needs import (
    ENDS,
    KIND_MAX,
    NEEDS_MAX,
    NEEDS_SECONDS,
    OUTLIVE,
    Reach,
    needs,
)
from skerry.telemetry.events import Event, Level

NOW = 1_700_000_000.0
SOURCE = Path(__file__).parents[2] / "src" / "skerry"


def trouble(kind: str, subject: str, ago: float, level: Level = Level.WARNING) -> Event:
    return Event(NOW - ago, kind, subject, "it broke", "mend it", level)


def end(kind: str, subject: str, ago: float) -> Event:
    return Event(NOW - ago, kind, subject, "it works again")


def shown(*events: Event) -> list[tuple[str, str]]:
    """Kinds and subjects, from events as a node has them: the newest first."""
    found = needs(sorted(events, key=lambda each: -each.at), NOW)
    return [(each.kind, each.subject) for each in found]


EVERY_PAIR = [(end_of, kind, reach) for end_of, kinds in ENDS.items()
              for kind, reach in kinds.items()]  # fmt: skip


@pytest.mark.parametrize(("ending", "kind", "reach"), EVERY_PAIR, ids=lambda each: str(each))
def test_what_has_ended_needs_nobody_until_it_comes_back(
    ending: str, kind: str, reach: Reach
) -> None:
    begun, over = trouble(kind, "up.test/a", 60), end(ending, "up.test/a", 30)
    assert shown(begun) == [(kind, "up.test/a")]
    assert shown(begun, over) == []
    again = trouble(kind, "up.test/a", 10)
    assert shown(begun, over, again) == [(kind, "up.test/a")]


@pytest.mark.parametrize(("ending", "kind", "reach"), EVERY_PAIR, ids=lambda each: str(each))
def test_an_end_is_that_of_its_own_subject_alone(ending: str, kind: str, reach: Reach) -> None:
    begun = trouble(kind, "up.test/a", 60)
    other = shown(begun, end(ending, "other.test/a", 30))
    near = shown(begun, end(ending, "up.test/b", 30))
    assert (other == []) == (reach is Reach.EVERY)
    assert (near == []) == (reach is not Reach.SAME)


def test_every_kind_of_the_table_is_one_that_a_node_tells() -> None:
    told = "".join(path.read_text() for path in SOURCE.rglob("*.py") if path.name != "needs.py")
    kinds = {*ENDS, *(kind for kinds in ENDS.values() for kind in kinds)}
    assert {kind for kind in kinds if not re.search(f'"{re.escape(kind)}"', told)} == set()


def test_a_flood_of_one_kind_hides_nothing_and_says_how_much_it_was() -> None:
    flood = [trouble("tag.check_failed", f"up.test/app:{each}", each) for each in range(100)]
    found = shown(trouble("file.salvaged", "ledger.sqlite", 3600), *flood)
    assert found == [
        ("tag.check_failed", "up.test/app:0"),
        ("tag.check_failed", "up.test/app:1"),
        ("tag.check_failed", f"up.test/app:2 and {100 - KIND_MAX} more"),
        ("file.salvaged", "ledger.sqlite"),
    ]


def test_an_outage_is_one_line_whatever_repeats_it() -> None:
    lost = trouble("outage.began", "upstream up.test", 50)
    same = (trouble("breaker.opened", "up.test/origin", 60),
            trouble("tag.check_failed", "up.test/app:1", 5))  # fmt: skip
    other = trouble("breaker.opened", "quay.io/origin", 40)
    assert shown(lost, *same, other) == [
        ("outage.began", "upstream up.test"),
        ("breaker.opened", "quay.io/origin"),
    ]
    assert len(shown(*same)) == 2, "before it is an outage they are all there is"
    full = trouble("store.not_writable", "store", 20)
    disk = trouble("outage.began", "disk store", 30)
    repeats = [trouble("fill.not_stored", "sha256:ab", 10), trouble("budget.not_kept", "b", 9)]
    assert shown(full, disk, *repeats) == [
        ("outage.began", "disk store"),
        ("store.not_writable", "store"),
    ]


def test_an_outage_is_over_when_what_was_lost_answers_though_nobody_wrote_that_down() -> None:
    lost = trouble("outage.began", "upstream up.test", 50)
    assert needs([lost], NOW, well={"upstream up.test": NOW - 60}) == (lost,)
    assert needs([lost], NOW, well={"upstream quay.io": NOW - 1}) == (lost,)
    assert needs([lost], NOW, well={"upstream up.test": NOW - 10}) == ()


def test_an_outage_of_two_days_is_shown_for_as_long_as_it_lasts() -> None:
    lost = trouble("outage.began", "upstream up.test", 2 * NEEDS_SECONDS)
    assert needs([lost], NOW, ill={"upstream up.test"}) == (lost,)
    assert needs([lost], NOW, ill={"upstream quay.io"}) == ()
    over = end("outage.ended", "upstream up.test", 1.5 * NEEDS_SECONDS)
    assert needs([over, lost], NOW, ill={"upstream up.test"}) == (), "this is another one"


def test_outages_come_before_other_warnings() -> None:
    many = [trouble(f"kind.of_{each}", "a", each) for each in range(NEEDS_MAX)]
    assert shown(*many, trouble("outage.began", "site a.test", 600))[0] == (
        "outage.began",
        "site a.test",
    )


def test_errors_come_first_however_old_they_are() -> None:
    many = [trouble(f"kind.of_{each}", "a", each) for each in range(NEEDS_MAX)]
    found = shown(*many, trouble("catalog.damaged", "catalog", 3600, Level.ERROR))
    assert found[0] == ("catalog.damaged", "catalog")
    assert len(found) == NEEDS_MAX


def test_what_is_a_day_old_or_asks_for_nothing_is_not_shown() -> None:
    silent = Event(NOW, "some.kind", "a", "why", "", Level.WARNING)
    assert shown(trouble("some.kind", "a", NEEDS_SECONDS + 1), silent) == []


@pytest.mark.parametrize("kind", sorted({kind for _, kind, _ in EVERY_PAIR} | {"file.salvaged"}))
def test_a_start_ends_what_the_new_life_would_tell_of_again(kind: str) -> None:
    before, after = trouble(kind, "a", 60), trouble(kind, "a", 5)
    stays = kind in OUTLIVE or kind == "file.salvaged"
    assert bool(needs([before], NOW, started_at=NOW - 30)) == stays
    assert needs([after], NOW, started_at=NOW - 30) == (after,)
