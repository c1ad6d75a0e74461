"""Who may do what."""

from __future__ import annotations

from itertools import product

import pytest

from skerry.trust.tokens.core.rules import Grant, Identity, Kind, Role, Rule, Rules
from skerry.trust.tokens.core.scopes import EVERY, Action

PULL = frozenset((Action.PULL,))
PUSH = frozenset((Action.PUSH,))
ANN = Identity("ann", Kind.USER, ("crew",))
BOB = Identity("bob", Kind.USER)
ROBOT = Identity("robot+ci", Kind.ROBOT, grants=(Grant(("local/ci/*",), PULL | PUSH),))
RULES = Rules(
    (
        Rule(("local/a", "local/a/*"), frozenset(("ann",)), actions=PULL | PUSH),
        Rule(("local/*",), groups=frozenset(("crew",)), actions=PULL),
        Rule(("local/open",), anonymous_pull=True),
    )
)


@pytest.mark.parametrize(
    ("who", "repository", "actions"),
    [
        (None, "local/a", set()),
        (None, "local/open", PULL),
        (None, "docker.io/library/nginx", PULL),
        (ANN, "local/a", PULL | PUSH),
        (ANN, "local/a/deep/er", PULL | PUSH),
        (ANN, "local/b", PULL),
        (BOB, "local/a", set()),
        (BOB, "local/b", set()),
        (BOB, "local/open", PULL),
        (BOB, "docker.io/library/nginx", EVERY),
        (ROBOT, "local/ci/x", PULL | PUSH),
        (ROBOT, "local/a", set()),
        (ROBOT, "local/open", PULL),
        (ROBOT, "docker.io/library/nginx", PULL),
    ],
)
def test_rules_that_match_add_up(
    who: Identity | None, repository: str, actions: set[Action]
) -> None:
    assert RULES.allowed(who, repository, private=False) == actions


@pytest.mark.parametrize("private", [True, False])
def test_without_a_rule_it_is_as_ever(private: bool) -> None:
    everybody = set() if private else PULL
    assert Rules().allowed(None, "up.test/app", private=private) == everybody
    assert Rules().allowed(BOB, "up.test/app", private=private) == EVERY
    assert Rules().allowed(ROBOT, "up.test/app", private=private) == everybody


def test_a_rule_shuts_a_public_upstream_and_opens_a_private_one() -> None:
    shut = Rules((Rule(("up.test/*",), frozenset(("ann",))),))
    assert shut.allowed(None, "up.test/app", private=False) == set()
    assert shut.allowed(ANN, "up.test/app", private=False) == PULL
    opened = Rules((Rule(("up.test/free",), anonymous_pull=True),))
    assert opened.allowed(None, "up.test/free", private=True) == PULL
    assert opened.allowed(None, "up.test/other", private=True) == set()


def test_somebody_known_may_never_do_less_than_anybody() -> None:
    for who, name, private in product(
        (ANN, BOB, ROBOT), ("local/a", "local/open", "x.test/y"), (True, False)
    ):
        everybody = RULES.allowed(None, name, private=private)
        assert everybody <= RULES.allowed(who, name, private=private)


def test_each_role_includes_those_before_it() -> None:
    order = list(Role)
    for one, other in product(order, order):
        assert one.includes(other) == (order.index(one) >= order.index(other))
