"""Reading `WWW-Authenticate`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.upstream.core.challenge import Challenge, choose, parse_challenges

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b:pull"'


def test_the_hubs_challenge_is_read() -> None:
    (found,) = parse_challenges([HUB])
    assert found.scheme == "bearer"
    assert found.get("realm") == "https://auth.docker.io/token"
    assert found.get("service") == "registry.docker.io"
    assert found.get("scope") == "a:b:pull"
    assert found.get("error") == ""


@pytest.mark.parametrize(
    "fields",
    [
        ['Basic realm="x", Bearer realm="https://a/t", service="s"'],
        ['Basic realm="x"', 'BEARER Realm="https://a/t",Service="s"'],
        ['Negotiate, Basic realm="a, b=\\"c\\"", Bearer realm = "https://a/t" , service=s'],
        ['Negotiate YWJj==, Bearer realm="https://a/t",service="s"'],
        [',, Bearer ,realm="https://a/t",,service="s",'],
    ],
)
def test_bearer_is_preferred_however_the_field_is_written(fields: list[str]) -> None:
    found = choose(parse_challenges(fields))
    assert found is not None
    assert (found.scheme, found.get("realm"), found.get("service")) == (
        "bearer",
        "https://a/t",
        "s",
    )


def test_basic_is_taken_when_it_is_all_there_is() -> None:
    assert choose(parse_challenges(["Digest realm=x", "Basic"])) == Challenge("basic")


@pytest.mark.parametrize(
    "field", ["", "Bearer", 'Bearer service="s"', "Digest realm=x", "=,=", '"']
)
def test_t09_a_malformed_challenge_is_none(field: str) -> None:
    assert choose(parse_challenges([field])) is None


@given(st.lists(st.text(max_size=300), max_size=5))
def test_t09_no_text_makes_it_crash(fields: list[str]) -> None:
    choose(parse_challenges(fields))


@given(st.text(alphabet='Bearlm ="\\,;:/\t', max_size=400))
def test_t09_no_text_near_the_grammar_makes_it_crash(field: str) -> None:
    choose(parse_challenges([field]))


def test_a_giant_field_is_cut_and_costs_little() -> None:
    assert len(parse_challenges(['Bearer realm="' + "\\" * 10**6, "a " * 10**5])) <= 16
