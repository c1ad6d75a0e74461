"""Freshness while money is short: longer, where the origin does not forbid it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skerry.cdn.core import reuse
from skerry.cdn.core.freshness import Lifetime, Source, lifetime
from skerry.cdn.ports import DataClass, RoutePolicy, Stored
from skerry.wire.message import Headers, Request

USUAL = RoutePolicy(DataClass.PUBLIC)
SHORT = replace(USUAL, stretch=4)
AT = 1_700_000_000.0


def headers(control: str, **fields: str) -> Headers:
    return Headers((("Cache-Control", control), *fields.items()))


@pytest.mark.parametrize(
    ("control", "status", "seconds"),
    [
        ("max-age=60", 200, 240),
        ("max-age=60", 404, 60),  # an error is kept no longer than the origin said
        ("max-age=60, must-revalidate", 200, 60),
        ("s-maxage=60", 200, 60),
        ("max-age=60, proxy-revalidate", 200, 60),
        ("max-age=0", 200, 0),
        ("max-age=nonsense", 200, 0),
    ],
)
def test_what_may_be_served_stale_is_fresh_for_longer(
    control: str, status: int, seconds: float
) -> None:
    assert lifetime(status, headers(control), AT, SHORT).seconds == seconds
    usual = lifetime(status, headers(control), AT, USUAL)
    assert usual.source is not Source.BUDGET


def test_a_routes_own_lifetime_is_the_operators_to_stretch() -> None:
    found = lifetime(200, headers("s-maxage=1"), AT, replace(SHORT, fresh_seconds=10))
    assert found == Lifetime(40, Source.BUDGET)


def test_an_answer_that_is_fresh_for_lack_of_money_says_so() -> None:
    stored = Stored(200, headers("max-age=60"), AT, AT, size_bytes=1)
    request = Request("GET", "/")
    late = reuse.decide((stored,), request, AT + 100, SHORT)
    assert isinstance(late, reuse.Serve)
    assert late.detail == "fresh by budget"
    assert isinstance(reuse.decide((stored,), request, AT + 100, USUAL), reuse.Validate)
    assert isinstance(reuse.decide((stored,), request, AT + 240, SHORT), reuse.Validate)


def test_no_cache_asks_however_short_the_money_is() -> None:
    stored = Stored(200, headers("max-age=60, no-cache"), AT, AT, size_bytes=1)
    assert isinstance(reuse.decide((stored,), Request("GET", "/"), AT, SHORT), reuse.Validate)
