"""What is remembered as absent: bounded, for a moment, and nobody's flood forgets another's."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.upstream.core.absences import Absences


def made(entries_max: int = 100) -> Absences[str]:
    return Absences(window_seconds=10.0, entries_max=entries_max)


def test_a_flood_of_names_forgets_its_own_and_nobody_elses() -> None:
    absences = made()
    for n in range(20):
        absences.note(f"legit-{n}", "no", owner="legit", group="r", now=0.0)
    for n in range(5000):
        absences.note(f"flood-{n}", "no", owner="flood", group=f"r{n}", now=0.0)
    assert len(absences) == 100
    assert all(absences.find(f"legit-{n}", 1.0) for n in range(20))
    assert absences.find("flood-4999", 1.0)
    assert absences.find("flood-0", 1.0) is None


def test_of_one_owner_the_group_with_most_names_makes_way() -> None:
    absences = made()
    for n in range(10):
        absences.note(f"a-{n}", "no", owner="nat", group="a", now=0.0)
    for n in range(500):
        absences.note(f"b-{n}", "no", owner="nat", group="b", now=0.0)
    assert all(absences.find(f"a-{n}", 1.0) for n in range(10))


def test_a_name_is_absent_for_the_window_alone() -> None:
    absences = made()
    absences.note("x", "is not there", owner="o", group="g", now=5.0)
    assert absences.find("x", 14.9) == "is not there"
    assert absences.find("x", 15.0) is None
    absences.note("y", "no", owner="o", group="g", now=16.0)
    assert len(absences) == 1, "what is over is let go of"
    absences.forget("y")
    assert absences.find("y", 16.0) is None


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 5), st.integers(0, 5), st.booleans()),
        max_size=300,
    )
)
def test_its_counts_agree_with_what_it_holds(asked: list[tuple[int, int, int, bool]]) -> None:
    absences, now = made(12), 0.0
    for name, owner, group, noted in asked:
        now += 0.1
        if noted:
            absences.note(f"{name}", "no", owner=f"o{owner}", group=f"g{group}", now=now)
            assert absences.find(f"{name}", now) == "no"
        else:
            absences.forget(f"{name}")
        assert len(absences) <= 12
        held = [
            key for groups in absences._owners.values() for keys in groups.values() for key in keys
        ]
        assert sorted(held) == sorted(absences._found)
        assert sum(absences._counts.values()) == len(absences)
