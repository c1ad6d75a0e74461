"""How often somebody may try to log in: an attacker is slowed down, nobody else."""

from __future__ import annotations

from skerry.trust.tokens.core.throttle import (
    EVERYWHERE,
    HERE,
    REFUSED_AGAIN_SECONDS,
    REMEMBERED_MAX,
    Throttle,
)

HOUR = 3600


def guesses(throttle: Throttle, name: str, near: str, now: float, tries: int) -> int:
    """How many of so many different guesses were looked at."""
    looked = 0
    for number in range(tries):
        if throttle.wait_seconds(name, near, now) == 0:
            looked += 1
            throttle.failed(name, near, f"{near}{now}{number}".encode(), now)
    return looked


def test_five_hundred_people_behind_one_address_all_get_in_beside_a_guesser() -> None:
    throttle = Throttle()
    assert guesses(throttle, "admin", "nat", 0.0, 1000) == HERE.burst
    for number in range(500):
        name = f"user{number}"
        throttle.failed(name, "nat", name.encode(), 0.0)  # a slip of the finger each
        assert throttle.wait_seconds(name, "nat", 0.0) == 0


def test_a_guesser_in_one_place_does_not_shut_the_identity_out_elsewhere() -> None:
    throttle = Throttle()
    assert guesses(throttle, "ann", "evil", 0.0, 1000) == HERE.burst
    assert throttle.wait_seconds("ann", "evil", 0.0) > 0
    assert throttle.wait_seconds("ann", "home", 0.0) == 0


def test_a_guesser_in_a_thousand_places_is_slowed_and_known_places_stay_open() -> None:
    throttle = Throttle()
    throttle.succeeded("ann", "home")
    looked = sum(guesses(throttle, "ann", f"bot{n}", 0.0, 10) for n in range(1000))
    assert looked == EVERYWHERE.burst
    assert throttle.wait_seconds("ann", "home", 0.0) == 0
    assert 0 < throttle.wait_seconds("ann", "new", 0.0) <= EVERYWHERE.seconds


def test_nobody_is_shut_out_for_ever() -> None:
    throttle = Throttle()
    for second in range(HOUR):
        guesses(throttle, "ann", "evil", float(second), 5)
    assert throttle.wait_seconds("ann", "evil", HOUR + HERE.seconds) == 0


def test_a_day_of_guessing_from_everywhere_is_bounded() -> None:
    throttle, looked = Throttle(), 0
    for minute in range(24 * 60):
        looked += guesses(throttle, "ann", f"bot{minute}", minute * 60.0, 20)
    assert looked <= EVERYWHERE.burst + 24 * HOUR / EVERYWHERE.seconds


def test_the_very_same_wrong_credential_is_known_for_a_while_and_costs_nothing() -> None:
    throttle = Throttle()
    throttle.failed("ci", "build", b"old", 0.0)
    assert throttle.refused_lately(b"old", REFUSED_AGAIN_SECONDS - 1)
    assert not throttle.refused_lately(b"old", REFUSED_AGAIN_SECONDS)
    assert not throttle.refused_lately(b"new", 1.0)


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle()
    for number in range(REMEMBERED_MAX + 50):
        throttle.failed(f"n{number}", "x", f"{number}".encode(), 0.0)
        throttle.succeeded(f"m{number}", "x")
    for kept in (throttle._refused, throttle._here, throttle._everywhere, throttle._known):
        assert len(kept) == REMEMBERED_MAX
