"""Scope strings, as clients write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.errors import BadInput
from skerry.trust.tokens.core.scopes import (
    SCOPES_MAX,
    Action,
    Scope,
    access_claim,
    parse_scopes,
    read_access,
)

PULL, PUSH, DELETE = Action.PULL, Action.PUSH, Action.DELETE


@pytest.mark.parametrize(
    ("text", "name", "actions"),
    [
        ("repository:team/app:pull", "team/app", {PULL}),
        ("repository:team/app:pull,push", "team/app", {PULL, PUSH}),
        ("repository:up.test:5000/team/app:push", "up.test:5000/team/app", {PUSH}),
        ("repository(plugin):team/app:pull", "team/app", {PULL}),
        ("repository:team/app:*", "team/app", {PULL, PUSH, DELETE}),
        ("repository:team/app:pull,admin", "team/app", {PULL}),
        ("repository:team/app:", "team/app", set()),
    ],
)
def test_a_scope_is_read_from_both_ends(text: str, name: str, actions: set[Action]) -> None:
    assert parse_scopes([text]) == (Scope("repository", name, frozenset(actions)),)


@pytest.mark.parametrize("text", ["", "repository", "repository:x", ":x:pull", "repository::pull"])
def test_what_is_no_scope_is_refused_and_nothing_is_nothing(text: str) -> None:
    if not text:
        assert parse_scopes([text]) == ()
        return
    with pytest.raises(BadInput):
        parse_scopes([text])


def test_one_parameter_may_hold_several_and_actions_of_one_name_add_up() -> None:
    found = parse_scopes(["repository:a:pull repository:b:pull", "repository:a:push"])
    assert [str(scope) for scope in found] == ["repository:a:pull,push", "repository:b:pull"]


def test_there_is_a_bound() -> None:
    with pytest.raises(BadInput):
        parse_scopes(f"repository:r{n}:pull" for n in range(SCOPES_MAX + 1))


SCOPES = st.builds(
    Scope,
    st.just("repository"),
    st.from_regex(r"[a-z0-9]{1,5}(:[0-9]{2})?(/[a-z]{1,4})?", fullmatch=True),
    st.frozensets(st.sampled_from(Action), min_size=1),
)


@given(SCOPES)
def test_what_is_written_is_read_again(scope: Scope) -> None:
    assert parse_scopes([str(scope)]) == (scope,)
    assert read_access(access_claim([scope])) == {scope.name: scope.actions}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
)


@given(JSON)
def test_a_claim_of_another_shape_grants_nothing_and_breaks_nothing(claim: object) -> None:
    assert read_access(claim) == {}


def test_a_claim_grants_no_more_than_its_entries_say() -> None:
    claim = [
        {"type": "repository", "name": "a", "actions": ["pull", "everything", 1]},
        {"type": "registry", "name": "catalog", "actions": ["*", "pull"]},
        {"type": "repository", "name": ["b"], "actions": ["pull"]},
        {"type": "repository", "name": "c", "actions": "pull"},
        "repository:d:pull",
    ]
    assert read_access(claim) == {"a": {PULL}}
