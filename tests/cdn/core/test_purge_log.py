"""When a purge is in force, for whom, and what a sibling missed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.purge import Mode, Target, by_host, by_surrogate_key, is_below, names_it
from skerry.cdn.core.purge_log import PurgeLog, Record, Took, Verdict, covers
from tests.cdn.core.test_purge import NAMES, TARGETS, Names, names, prefix

NOW = 1_700_000_000.0


def purge(log: PurgeLog, target: Target, mode: Mode = Mode.HARD) -> Record:
    return log.order(target, mode, at_seconds=NOW)


def test_a_purge_is_in_force_at_once_and_for_what_was_fetched_before_only() -> None:
    log = PurgeLog("a")
    before = log.position
    purge(log, prefix("/a"))
    after = log.position
    assert log.verdict(names("/a/b"), as_of=before) is Verdict.HARD
    assert log.verdict(names("/ab"), as_of=before) is Verdict.NONE
    assert log.verdict(names("/a/b"), as_of=after) is Verdict.NONE


@pytest.mark.parametrize("wanted", ["/", "/a", "/a/", "/a//", "/a/b", "/ab"])
@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/a//", "/a//x", "/a/b", "/a/b/c", "/ab"])
def test_a_prefix_in_the_log_is_whole_segments(wanted: str, path: str) -> None:
    log = PurgeLog("a")
    purge(log, prefix(wanted))
    meant = log.verdict(names(path), as_of=0) is Verdict.HARD
    assert meant == is_below(wanted, path)


def test_a_fill_begun_before_the_purge_is_bound_by_it_when_it_arrives() -> None:
    log = PurgeLog("a")
    purge(log, by_host("other.org"))
    begun = log.position
    purge(log, by_surrogate_key("k"))
    assert log.verdict(names(keys=("k",)), as_of=begun) is Verdict.HARD


def test_soft_is_to_be_validated_and_hard_outlives_it() -> None:
    log = PurgeLog("a")
    purge(log, by_host("a.org"), Mode.SOFT)
    assert log.verdict(names(), as_of=0) is Verdict.SOFT
    purge(log, prefix("/"))
    purge(log, by_host("a.org"), Mode.SOFT)
    assert log.verdict(names(), as_of=0) is Verdict.HARD
    assert log.verdict(names(), as_of=2) is Verdict.SOFT
    assert log.verdict(names(), as_of=3) is Verdict.NONE


def test_a_sibling_out_of_reach_catches_up_by_number() -> None:
    mine, theirs = PurgeLog("a"), PurgeLog("b")
    records = [purge(mine, by_surrogate_key(f"k{number}")) for number in range(4)]
    assert theirs.apply(records[0]) is Took.APPLIED
    assert theirs.apply(records[3]) is Took.GAP
    assert not covers(theirs.vector, mine.vector)
    missed = mine.since(theirs.vector)
    assert (missed.records, missed.adopt) == (tuple(records[1:]), {})
    for record in missed.records:
        assert theirs.apply(record) is Took.APPLIED
    assert covers(theirs.vector, mine.vector)
    assert theirs.apply(records[2]) is Took.KNOWN
    assert theirs.verdict(names(keys=("k3",)), as_of=0) is Verdict.HARD
    assert not mine.since(theirs.vector)


def test_a_sibling_that_was_away_too_long_counts_all_it_has_as_purged() -> None:
    mine, theirs = PurgeLog("a"), PurgeLog("b")
    for number in range(4):
        purge(mine, by_surrogate_key(f"k{number}"))
    mine.forget(2)
    assert mine.since({"a": 2}).adopt == {}
    purge(theirs, by_host("x.org"))
    held = theirs.position
    missed = mine.since({"a": 1})
    assert missed.adopt == {"a": 2}
    assert theirs.adopt("a", 2)
    for record in missed.records:
        assert theirs.apply(record) is Took.APPLIED
    assert theirs.verdict(names("/whatever"), as_of=held) is Verdict.HARD
    assert theirs.verdict(names("/whatever"), as_of=theirs.position) is Verdict.NONE
    assert covers(theirs.vector, mine.vector)


def test_one_that_missed_very_much_adopts_the_number_instead() -> None:
    mine = PurgeLog("a")
    for number in range(6):
        purge(mine, by_surrogate_key(f"k{number}"))
    assert len(mine.since({}, records_max=6).records) == 6
    missed = mine.since({}, records_max=5)
    assert (missed.records, missed.adopt) == ((), {"a": 6})


def test_records_of_a_third_node_are_handed_on_in_their_order() -> None:
    third, mine, theirs = PurgeLog("c"), PurgeLog("a"), PurgeLog("b")
    first = purge(third, by_surrogate_key("k1"))
    mine.apply(first)
    own = purge(mine, by_surrogate_key("k2"))
    second = purge(third, by_surrogate_key("k3"))
    mine.apply(second)
    assert mine.since(theirs.vector).records == (first, own, second)
    assert mine.since({"c": 1}).records == (own, second)
    assert mine.since({"a": 1}).records == (first, second)


def test_a_log_from_before_gets_its_own_records_back() -> None:
    """As after a backup was put back: the sibling knows more of us than we do."""
    mine, theirs = PurgeLog("a"), PurgeLog("b")
    theirs.apply(purge(mine, by_surrogate_key("k1")))
    put_back = PurgeLog("a")
    for record in theirs.since(put_back.vector).records:
        assert put_back.apply(record) is Took.APPLIED
    assert put_back.verdict(names(keys=("k1",)), as_of=0) is Verdict.HARD
    assert put_back.adopt("a", 1) is False
    assert put_back.adopt("a", 5)
    assert purge(put_back, by_surrogate_key("k2")).sequence == 6


def test_forgetting_never_frees_what_was_purged() -> None:
    log = PurgeLog("a")
    purge(log, prefix("/a"))
    purge(log, prefix("/b"), Mode.SOFT)
    log.forget(1)
    assert log.verdict(names("/a"), as_of=0) is Verdict.HARD
    assert log.verdict(names("/b"), as_of=1) is Verdict.SOFT
    assert log.verdict(names("/a"), as_of=1) is Verdict.NONE
    log.forget(99)
    assert log.position == 2
    assert log.statistics().rule_count == 0


def test_a_full_log_widens_its_older_half_and_says_so() -> None:
    log = PurgeLog("a", rules_max=10)
    for number in range(11):
        purge(log, by_surrogate_key(f"k{number}"))
    found = log.statistics()
    assert (found.position, found.floor, found.record_count, found.folded_count) == (11, 6, 5, 6)
    assert log.verdict(names(keys=("unheard",)), as_of=0) is Verdict.HARD
    assert log.verdict(names(keys=("unheard",)), as_of=6) is Verdict.NONE
    assert log.verdict(names(keys=("k10",)), as_of=6) is Verdict.HARD


def test_a_hundred_thousand_purged_keys_touch_nothing_else() -> None:
    log = PurgeLog("a")
    for number in range(100_000):
        purge(log, by_surrogate_key(f"item-{number}"))
    assert log.verdict(names(keys=("item-1",)), as_of=0) is Verdict.HARD
    assert log.verdict(names(keys=("item-", "item-100000")), as_of=0) is Verdict.NONE
    assert log.statistics().folded_count == 0


def test_a_deep_path_costs_no_more_than_the_deepest_prefix_purged() -> None:
    log = PurgeLog("a")
    purge(log, prefix("/a"))
    assert log.verdict(names("/b" * 4000), as_of=0) is Verdict.NONE


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("own"), TARGETS, st.sampled_from(Mode)),
        st.tuples(st.just("other"), TARGETS, st.sampled_from(Mode)),
        st.tuples(st.just("store"), NAMES, st.just(Mode.HARD)),
    ),
    max_size=25,
)


@given(STEPS)
def test_the_log_says_what_a_slow_look_at_every_purge_says(
    steps: list[tuple[str, Target | Names, Mode]],
) -> None:
    log = PurgeLog("a")
    history: list[tuple[Target, Mode]] = []
    stored: list[tuple[Names, int]] = []
    others = 0
    for what, subject, mode in steps:
        if isinstance(subject, Names):
            stored.append((subject, log.position))
            continue
        if what == "own":
            log.order(subject, mode, at_seconds=NOW)
        else:
            others += 1
            log.apply(Record("b", others, subject, mode, NOW))
        history.append((subject, mode))
    for bearer, as_of in stored:
        modes = {mode for target, mode in history[as_of:] if names_it(target, bearer)}
        expected = Verdict.HARD if Mode.HARD in modes else Verdict.SOFT if modes else Verdict.NONE
        assert log.verdict(bearer, as_of=as_of) is expected


@given(STEPS, st.integers(0, 30), st.integers(0, 30))
def test_a_restart_and_forgetting_change_nothing_but_towards_safety(
    steps: list[tuple[str, Target | Names, Mode]], forgotten: int, as_of: int
) -> None:
    log = PurgeLog("a")
    records: list[tuple[int, Record]] = []
    others = 0
    bearers: list[Names] = []
    for what, subject, mode in steps:
        if isinstance(subject, Names):
            bearers.append(subject)
        elif what == "own":
            records.append((log.position + 1, log.order(subject, mode, at_seconds=NOW)))
        else:
            others += 1
            record = Record("b", others, subject, mode, NOW)
            log.apply(record)
            records.append((log.position, record))
    before = {bearer: log.verdict(bearer, as_of=min(as_of, log.position)) for bearer in bearers}
    log.forget(forgotten)
    position, vector = log.base
    again = PurgeLog("a", position=position, vector=vector)
    assert [again.apply(r) for at, r in records if at > position] == [
        Took.APPLIED for at, _ in records if at > position
    ]
    assert (again.position, again.vector) == (log.position, log.vector)
    severity = [Verdict.NONE, Verdict.SOFT, Verdict.HARD]
    for bearer, verdict in before.items():
        now = log.verdict(bearer, as_of=min(as_of, log.position))
        assert again.verdict(bearer, as_of=min(as_of, log.position)) is now
        assert severity.index(now) >= severity.index(verdict)
        if as_of >= log.base[0]:
            assert now is verdict
