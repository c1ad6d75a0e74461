"""The fairness of upstream work: a budget that holds, and a share for whoever asks little."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.upstream.core import shares
from skerry.upstream.core.shares import Asker, Refused, Shares, Standing, Why, Wish

CAPACITY = 600.0
WINDOW = 60.0
ROUTER = "198.51.100.7"


def wish(
    network: str = ROUTER,
    connection: int = 1,
    topic: str = "library/a",
    *,
    standing: Standing = Standing.NEW,
    identity: str = "",
    amount: float = 1.0,
) -> Wish:
    return Wish(Asker(identity, network, str(connection)), topic, standing, amount)


def made(capacity: float = CAPACITY) -> Shares:
    return Shares(capacity=capacity, window_seconds=WINDOW)


def granted(pool: Shares, one: Wish, now: float) -> bool:
    return pool.ask(one, now) is None


networks = st.sampled_from([f"192.0.2.{n}" for n in range(4)])
wishes = st.builds(
    wish,
    networks,
    st.integers(0, 40),
    st.sampled_from([f"t{n}" for n in range(12)]),
    standing=st.sampled_from(Standing),
    identity=st.sampled_from(["", "", "", "ann", "robot"]),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(wishes, st.floats(0, 3), st.integers(1, 40)), max_size=120))
def test_what_is_granted_never_passes_the_budget(asked: list[tuple[Wish, float, int]]) -> None:
    pool, now, got = made(60.0), 0.0, 0
    for one, pause, times in asked:
        now += pause
        got += sum(granted(pool, one, now) for _ in range(times))
        assert got <= 60.0 * (1 + now / WINDOW) + 1e-6


@settings(max_examples=40)
@given(
    attackers=st.integers(1, 16),
    topics=st.sampled_from([1, 3, 1000]),
    seconds=st.integers(1, 40),
    seed=st.integers(0, 999),
)
def test_behind_one_router_every_newcomer_gets_its_first_misses_whatever_others_ask(
    attackers: int, topics: int, seconds: int, seed: int
) -> None:
    chance, pool = random.Random(seed), made(3000.0)
    for tick in range(seconds * 4):
        for _ in range(250):
            pool.ask(
                wish(connection=chance.randrange(attackers), topic=f"t{chance.randrange(topics)}"),
                tick / 4,
            )
    for client in range(50):
        legit = wish(connection=1000 + client, topic=f"mine-{client % 5}")
        assert granted(pool, legit, seconds + client * 0.2), client


@pytest.mark.parametrize("connections", [1, 4, 16, 32])
def test_connections_that_flood_one_topic_leave_it_to_one_more(connections: int) -> None:
    pool = made()
    for n in range(3000):
        pool.ask(wish(connection=n % connections), 0.0)
    assert granted(pool, wish(connection=99), 0.0)


@settings(max_examples=30)
@given(st.booleans(), st.booleans(), st.integers(1, 2000))
def test_a_network_cannot_take_another_ones_share_by_any_number_of_connections(
    new_connections: bool, new_topics: bool, flood: int
) -> None:
    pool = made()
    for n in range(flood):
        one = wish(connection=n if new_connections else 1, topic=f"t{n}" if new_topics else "t")
        pool.ask(one, n / 1000)
    assert granted(pool, wish("203.0.113.9"), flood / 1000)


def test_what_is_known_to_exist_goes_on_when_all_else_is_spent() -> None:
    pool = made()
    spent = [pool.ask(wish(f"10.0.{n // 250}.{n % 250}", n, f"t{n}"), 0.0) for n in range(4000)]
    assert spent[-1] is not None
    assert spent[-1].why is Why.SPENT
    for n in range(40):
        assert granted(pool, wish(connection=n, standing=Standing.KNOWN), 0.0)


def test_who_has_proven_a_name_goes_on_when_nothing_is_left_for_strangers() -> None:
    pool = made()
    for n in range(4000):
        pool.ask(wish(f"10.0.{n // 250}.{n % 250}", n, f"t{n}"), 0.0)
    assert granted(pool, wish(identity="ann"), 0.0)
    while granted(pool, wish(identity="robot"), 0.0):
        pass
    assert granted(pool, wish(identity="bob"), 0.0), "one name cannot take another one's share"


def test_alone_one_may_use_a_good_part_and_more_as_time_goes() -> None:
    pool, got = made(), 0
    for tick in range(600):
        got += sum(granted(pool, wish(), tick / 10) for _ in range(10))
    assert CAPACITY / 20 <= got <= CAPACITY / 2


@settings(max_examples=50)
@given(st.lists(st.floats(-1e9, 1e9, allow_nan=False), max_size=30))
def test_a_clock_that_steps_locks_nobody_out(times: list[float]) -> None:
    pool = made()
    for now in times:
        for _ in range(200):
            pool.ask(wish(), now)
    last = times[-1] if times else 0.0
    waited = 0
    while not granted(pool, wish(), last + waited):
        waited += 1
        assert waited <= shares.RETRY_SECONDS_MAX


def test_whoever_is_refused_gets_through_after_the_time_it_was_told() -> None:
    pool, now = made(), 0.0
    for _ in range(20):
        while (refused := pool.ask(wish(), now)) is None:
            pass
        assert isinstance(refused, Refused)
        assert 1 <= refused.retry_after_seconds <= shares.RETRY_SECONDS_MAX
        now += refused.retry_after_seconds
        assert granted(pool, wish(), now)


def test_what_is_remembered_of_askers_is_bounded_and_the_heavy_ones_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shares, "FLOWS_MAX", 200)
    pool = made(100_000.0)
    for _ in range(500):
        pool.ask(wish(), 0.0)
    for n in range(5000):
        pool.ask(wish(f"10.{n % 250}.{n // 250}.1", n, f"t{n}"), 0.0)
        assert pool.statistics().flows <= 2 * 200
    heavy = [flow.used for flow in pool._open.flows.values()]
    assert max(heavy) == pytest.approx(500)


def test_one_thing_larger_than_the_whole_budget_is_not_refused_for_ever() -> None:
    pool = made(1000.0)
    assert granted(pool, wish(amount=5000.0), 0.0)
    assert not granted(pool, wish(connection=2), 0.0)
    assert granted(pool, wish(connection=2), 10 * WINDOW)


def test_what_was_owed_counts_although_it_is_over_the_budget() -> None:
    pool = made(1000.0)
    for _ in range(3):
        pool.owe(wish(amount=900.0), 0.0)
    refused = pool.ask(wish(connection=2), 0.0)
    assert refused is not None
    assert refused.why is Why.SPENT
