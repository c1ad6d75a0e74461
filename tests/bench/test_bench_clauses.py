"""The count of kept clauses: what is counted where, and when the bench says no."""

from __future__ import annotations

from bench.edge_correct import PLAYED, beaten, kind_of, scores
from tests.cdn.transcripts.script import Transcript


def test_each_played_transcript_is_counted_once_in_its_category_and_once_in_all() -> None:
    bad = str(PLAYED[0])
    found = scores({str(each): ["wrong"] if str(each) == bad else [] for each in PLAYED})
    kinds = [place for place in found if place[0] == "all"]
    assert sum(found[place][1] for place in kinds) == len(PLAYED)
    assert sum(found[place][0] for place in kinds) == len(PLAYED) - 1
    kept, played = found[PLAYED[0].category, kind_of(PLAYED[0])]
    assert kept == played - 1


def test_what_names_this_node_or_needs_its_clock_is_not_held_against_others() -> None:
    assert PLAYED
    assert not any(each.own or each.memory or each.waits or each.route for each in PLAYED)


def test_extensions_are_counted_apart_from_what_every_cache_must_do() -> None:
    assert kind_of(Transcript("targeted", ("RFC 9213 2",), "t")) == "more"
    assert kind_of(Transcript("vary", ("RFC 9111 4.1",), "t")) == "must"
    assert kind_of(Transcript("vary", ("RFC 9111 4.1",), "t", optional=True)) == "may"


def test_the_bench_says_no_when_another_cache_keeps_more() -> None:
    ours, theirs = {("all", "must"): (5, 9)}, {("all", "must"): (6, 9)}
    assert beaten({"skerry": ours, "other": theirs}, "must")
    assert not beaten({"skerry": theirs, "other": ours}, "must")
