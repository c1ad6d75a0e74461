"""What is told of a drift: once, when it is certain, and never because of an outage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.trust.core.delegation import Aspect, Drift
from skerry.trust.core.drift import Command, Hold, Over, Release, Tell, Told, doubted, look

ALL = frozenset(Aspect)
CHANGED, OTHER = Drift(Aspect.NS, "ns.evil"), Drift(Aspect.NS, "ns.worse")
NEAR = Drift(Aspect.EXPIRY, "ends soon", holds=False)

Look = tuple[tuple[Drift, ...], frozenset[Aspect], tuple[Command, ...]]


def play(*looks: Look) -> Told:
    told = Told()
    for found, known, commands in looks:
        told, done = look(told, found, known)
        assert done == commands
    return told


def test_a_drift_is_told_at_the_second_look_and_once() -> None:
    told = play(
        ((), ALL, ()),
        ((CHANGED,), ALL, ()),
        ((CHANGED,), ALL, (Tell(CHANGED), Hold("ns.evil"))),
        ((CHANGED,), ALL, ()),
        ((CHANGED,), ALL, ()),
    )
    assert told.holds
    assert not doubted(told)


def test_one_forged_answer_raises_nothing_and_takes_nothing_back() -> None:
    play(
        ((CHANGED,), ALL, ()),
        ((), ALL, ()),
        ((CHANGED,), ALL, ()),
        ((CHANGED,), ALL, (Tell(CHANGED), Hold("ns.evil"))),
        ((), ALL, ()),
        ((CHANGED,), ALL, ()),
        ((), ALL, ()),
        ((), ALL, (Over(CHANGED), Release())),
    )


def test_an_outage_neither_raises_nor_ends_a_drift() -> None:
    nothing: frozenset[Aspect] = frozenset()
    play(
        ((CHANGED,), ALL, ()),
        ((), nothing, ()),
        ((), nothing, ()),
        ((CHANGED,), ALL, (Tell(CHANGED), Hold("ns.evil"))),
        ((), nothing, ()),
        ((), nothing, ()),
        ((), frozenset({Aspect.DS}), ()),
        ((CHANGED,), ALL, ()),
    )


def test_another_change_is_told_again_and_held_on_to() -> None:
    play(
        ((CHANGED,), ALL, ()),
        ((CHANGED,), ALL, (Tell(CHANGED), Hold("ns.evil"))),
        ((OTHER,), ALL, ()),
        ((OTHER,), ALL, (Tell(OTHER),)),
    )


def test_what_is_near_its_end_holds_nothing() -> None:
    told = play(((NEAR,), ALL, ()), ((NEAR,), ALL, (Tell(NEAR),)))
    assert not told.holds


ASPECTS = (Aspect.NS, Aspect.DS)
FINDINGS = st.dictionaries(st.sampled_from(ASPECTS), st.sampled_from(["", "x", "y"]))


@given(st.lists(FINDINGS, max_size=40))
def test_a_verdict_is_what_two_looks_in_succession_agree_on(
    looks: list[dict[Aspect, str]],
) -> None:
    """A look knows the aspects in its dictionary; "" is as it should be."""
    told = Told()
    heard: dict[Aspect, list[str]] = {aspect: [""] for aspect in ASPECTS}
    verdicts = dict.fromkeys(ASPECTS, "")
    for findings in looks:
        found = [Drift(aspect, what) for aspect, what in findings.items() if what]
        held = told.holds
        told, commands = look(told, found, frozenset(findings))
        for aspect, what in findings.items():
            heard[aspect].append(what)
            before = verdicts[aspect]
            if heard[aspect][-2] == what:
                verdicts[aspect] = what
            tells = [c for c in commands if isinstance(c, Tell) and c.drift.aspect is aspect]
            overs = [c for c in commands if isinstance(c, Over) and c.drift.aspect is aspect]
            assert len(tells) == (verdicts[aspect] not in (before, ""))
            assert len(overs) == (before != "" and verdicts[aspect] == "")
        assert {d.aspect: d.what for d in told.drifts} == {a: w for a, w in verdicts.items() if w}
        assert told.holds == any(verdicts.values())
        assert (Release() in commands) == (held and not told.holds)
        assert any(isinstance(c, Hold) for c in commands) == (told.holds and not held)
        assert len(told.doubts) <= len(ASPECTS)
