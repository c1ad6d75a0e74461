"""What goes and what stays, as values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.base.digest import Digest, digest_of
from skerry.store.core.admission import (
    AdmissionPolicy,
    Asks,
    Displaced,
    Verdict,
    judge,
    recent_groups,
    too_large,
)
from skerry.store.core.eviction import Plan, plan_eviction, plan_freeing
from skerry.store.ports import Group, Room

D = [digest_of(b"%d" % n) for n in range(8)]


def group(
    name: str,
    *members: int,
    last_used: float = 0.0,
    pinned: bool = False,
    busy: bool = False,
    refetchable: bool = True,
) -> Group:
    """Members by number; each is 10 bytes long."""
    return Group(
        name,
        {D[n]: 10 for n in members},
        last_used,
        pinned=pinned,
        busy=busy,
        refetchable=refetchable,
    )


def test_the_least_recently_used_goes_first() -> None:
    groups = [group("new", 0, last_used=2), group("old", 1, last_used=1)]
    assert plan_freeing(groups, goal_bytes=10).group_ids == ["old"]


def test_t37_pinned_and_busy_groups_never_go() -> None:
    groups = [group("pinned", 0, pinned=True), group("busy", 1, busy=True), group("free", 2)]
    plan = plan_freeing(groups, goal_bytes=30)
    assert (plan.group_ids, plan.freed_bytes, plan.enough) == (["free"], 10, False)


def test_what_could_not_be_fetched_again_goes_last() -> None:
    groups = [
        group("old, not to be had", 0, last_used=1, refetchable=False),
        group("new, to be had", 1, last_used=9),
    ]
    assert plan_freeing(groups, goal_bytes=10).group_ids == ["new, to be had"]
    assert plan_freeing(groups, goal_bytes=20).group_ids == [
        "new, to be had",
        "old, not to be had",
    ]


def test_t37_a_shared_layer_stays_with_its_last_holder() -> None:
    groups = [group("old", 0, 1, last_used=1), group("new", 1, 2, last_used=2)]
    plan = plan_freeing(groups, goal_bytes=10)
    assert (plan.digests, plan.freed_bytes) == ((D[0],), 10)
    both = plan_freeing(groups, goal_bytes=11)
    assert (set(both.digests), both.freed_bytes) == ({D[0], D[1], D[2]}, 30)


def test_a_group_whose_going_frees_nothing_is_spared() -> None:
    groups = [
        group("shares all with the pinned", 0, last_used=1),
        group("pinned", 0, pinned=True),
        group("other", 1, last_used=2),
    ]
    assert plan_freeing(groups, goal_bytes=10).group_ids == ["other"]


def test_nothing_goes_below_the_high_watermark_and_above_it_down_to_the_low() -> None:
    groups = [group(str(n), n, last_used=n) for n in range(8)]
    room = Room(80, 100, 1 << 40, high_watermark=0.9, low_watermark=0.5)
    assert plan_eviction(groups, room=room).groups == ()
    assert plan_eviction(groups, room=room, need_bytes=10).groups == ()
    assert plan_eviction(groups, room=room, need_bytes=11).freed_bytes == 50


def test_a_disk_that_is_nearly_full_counts_before_the_budget_does() -> None:
    groups = [group(str(n), n, last_used=n) for n in range(8)]
    plan = plan_eviction(groups, room=Room(80, 1 << 40, disk_free_bytes=5), need_bytes=20)
    assert (plan.freed_bytes, plan.enough) == (20, True)


digests = st.sampled_from(D)
sizes = {digest: 1 + n * n for n, digest in enumerate(D)}
all_groups = st.lists(
    st.builds(
        lambda members, used, pinned, busy, refetchable: (
            {d: sizes[d] for d in members}, used, pinned, busy, refetchable
        ),
        st.sets(digests, min_size=1, max_size=4),
        st.integers(0, 5),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    max_size=8,
).map(lambda rows: [Group(f"g{n}", *row) for n, row in enumerate(rows)])  # fmt: skip


def held(groups: list[Group]) -> set[Digest]:
    return {digest for group in groups for digest in group.members}


@given(all_groups, st.integers(0, 200))
def test_a_plan_frees_exactly_what_only_it_held_and_never_more_groups_than_needed(
    groups: list[Group], goal_bytes: int
) -> None:
    plan = plan_freeing(groups, goal_bytes=goal_bytes)
    gone = {group.id for group in plan.groups}
    rest = [group for group in groups if group.id not in gone]
    assert not any(group.pinned or group.busy for group in plan.groups)
    assert set(plan.digests) == held(list(plan.groups)) - held(rest)
    assert len(set(plan.digests)) == len(plan.digests)
    assert plan.freed_bytes == sum(sizes[digest] for digest in plan.digests)
    assert plan.enough == (plan.freed_bytes >= goal_bytes)
    if not plan.enough:  # whatever still could go would free nothing
        kept = held([group for group in rest if group.pinned or group.busy])
        assert held(rest) == kept
    elif plan.groups:  # the last one was needed
        without = held(list(plan.groups[:-1])) - held([*rest, plan.groups[-1]])
        assert sum(sizes[digest] for digest in without) < goal_bytes


@given(all_groups, st.integers(0, 200))
def test_a_plan_goes_in_order_of_refetchable_then_last_use(
    groups: list[Group], goal_bytes: int
) -> None:
    plan = plan_freeing(groups, goal_bytes=goal_bytes)
    order = [(not group.refetchable, group.last_used) for group in plan.groups]
    assert order == sorted(order)


# admission

POLICY = AdmissionPolicy(object_share_max=0.5, recent_groups_max=1)


def plan_of(*last_used: float, enough: bool = True) -> Plan:
    groups = tuple(group(str(n), n, last_used=at) for n, at in enumerate(last_used))
    return Plan(groups, (), 0, enough)


def test_an_object_larger_than_its_share_is_too_large() -> None:
    room = Room(0, 100, 1 << 40)
    assert too_large(51, room=room, policy=POLICY)
    assert not too_large(50, room=room, policy=POLICY)


def test_pushing_out_recent_groups_needs_a_second_ask() -> None:
    now = 1_000_000.0
    many, few, old = plan_of(now, now), plan_of(now), plan_of(0.0, 0.0, 0.0)
    assert judge(many, asked_before=False, now=now, policy=POLICY) is Verdict.FIRST_ASK
    assert judge(many, asked_before=True, now=now, policy=POLICY) is Verdict.KEEP
    assert judge(few, asked_before=False, now=now, policy=POLICY) is Verdict.KEEP
    assert judge(old, asked_before=False, now=now, policy=POLICY) is Verdict.KEEP
    none = plan_of(enough=False)
    assert judge(none, asked_before=True, now=now, policy=POLICY) is Verdict.NO_ROOM


def test_many_small_first_asks_push_out_no_more_than_a_few_recent_groups_in_a_window() -> None:
    policy, displaced, kept = AdmissionPolicy(window_groups_max=5), Displaced(), []
    for n in range(100):
        now = 1_000_000.0 + n
        plan = Plan((group(f"g{n}", 0, last_used=now),), (), 0, enough=True)
        going = recent_groups(plan, now=now, policy=policy)
        before = displaced.others(going, now=now, within_seconds=3600)
        said = judge(plan, asked_before=False, now=now, policy=policy, displaced=before)
        if said is Verdict.KEEP:
            displaced.note(going, now=now)
            kept.append(n)
    assert len(kept) == 5
    assert displaced.others((), now=1_000_000.0 + 3700, within_seconds=3600) == 0
    old = plan_of(0.0)
    assert judge(old, asked_before=False, now=1e6, policy=policy, displaced=5) is Verdict.KEEP
    again = Plan((group("g0", 0, last_used=1e6),), (), 0, enough=True)
    assert judge(again, asked_before=True, now=1e6, policy=policy, displaced=5) is Verdict.KEEP


def test_a_plan_that_is_made_twice_pushes_out_its_groups_once() -> None:
    displaced = Displaced()
    displaced.note(("a", "b"), now=5.0)
    displaced.note(("a", "b"), now=6.0)
    assert displaced.others(("a", "b"), now=7.0, within_seconds=10) == 0
    assert displaced.others(("c",), now=7.0, within_seconds=10) == 2
    assert displaced.others(("c",), now=-1000.0, within_seconds=10) == 0, "the clock was set back"


def test_asks_are_remembered_within_their_window_and_bounded() -> None:
    asks = Asks(asks_max=2)
    assert not asks.ask("a", now=0, within_seconds=10)
    assert asks.ask("a", now=10, within_seconds=10)
    assert not asks.ask("a", now=21, within_seconds=10)
    for key in ("b", "c"):
        asks.ask(key, now=21, within_seconds=10)
    assert len(asks) == 2
    assert not asks.ask("a", now=22, within_seconds=10)
