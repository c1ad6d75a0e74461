"""Whether what a tag means may be said without asking."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skerry.base.digest import digest_of
from skerry.registry.core.freshness import (
    FAILED_CHECK_SECONDS_MAX,
    Freshness,
    TagWindow,
    cache_status,
    judge,
    remaining_seconds,
    stale_headers,
    window_for,
)
from skerry.registry.ports import Repository, Tag

NOW = 1_000_000.0
TAG = Tag(Repository("docker.io", "library/nginx"), "latest", digest_of(b"a"), NOW, NOW)


@pytest.mark.parametrize(
    ("tag", "seconds"),
    [
        ("latest", 60),
        ("main", 60),
        ("dev-arm64", 60),
        ("alpine-edge", 60),
        ("1.27.3", 21600),
        ("v2.0.1-alpine", 21600),
        ("1.27", 3600),
        ("v2", 3600),
        ("bookworm", 300),
    ],
)
def test_defaults_follow_how_often_such_a_tag_moves(tag: str, seconds: float) -> None:
    assert window_for(tag, ()) == seconds


def test_the_first_configured_window_wins_over_defaults() -> None:
    windows = (TagWindow("stable-*", 10.0), TagWindow("*", 20.0))
    assert window_for("stable-1", windows) == 10.0
    assert window_for("latest", windows) == 20.0


@pytest.mark.parametrize(
    ("checked_ago", "confirmed_ago", "wanted"),
    [
        (0, 0, Freshness.FRESH),
        (59, 59, Freshness.FRESH),
        (60, 60, Freshness.DUE),
        (10, 70, Freshness.STALE),  # a check failed ten seconds ago
        (59, 9999, Freshness.STALE),
        (60, 9999, Freshness.DUE),
        (-1, -1, Freshness.FRESH),  # the clock was set back a little
        (-3600, -3600, Freshness.DUE),  # ... and a lot: it says nothing any more
    ],
)
def test_a_tag_is_fresh_for_its_window(
    checked_ago: float, confirmed_ago: float, wanted: Freshness
) -> None:
    tag = replace(TAG, checked_at=NOW - checked_ago, confirmed_at=NOW - confirmed_ago)
    assert judge(tag, NOW, 60.0) is wanted


def test_t29_a_failed_check_never_makes_a_tag_fresh_again() -> None:
    tag = replace(TAG, confirmed_at=NOW - 10_000, checked_at=NOW)
    assert judge(tag, NOW, 60.0).stale


def test_after_a_failed_check_a_long_window_does_not_hide_the_way_back() -> None:
    tag = replace(TAG, confirmed_at=NOW - 50_000, checked_at=NOW - FAILED_CHECK_SECONDS_MAX)
    assert judge(tag, NOW, 21_600.0) is Freshness.DUE


def test_a_tag_that_moved_or_went_is_never_fresh() -> None:
    for tag in (replace(TAG, pending=digest_of(b"b")), replace(TAG, gone_at=NOW)):
        assert judge(tag, NOW, 60.0) is Freshness.STALE


def test_t32_a_stale_answer_says_so() -> None:
    tag = replace(TAG, confirmed_at=NOW - 90)
    assert stale_headers(tag, NOW, 60.0, reason="upstream unreachable") == (
        ("Cache-Status", 'skerry; hit; ttl=-30; detail="upstream unreachable"'),
        ("Warning", '110 - "Response is Stale"'),
    )
    assert remaining_seconds(tag, NOW, 60.0) == -30
    assert remaining_seconds(TAG, NOW - 100, 60.0) == 60


def test_a_cache_status_cannot_be_broken_out_of() -> None:
    _, value = cache_status(hit=False, forward="uri-miss", stored=True, detail='a"b\\c\r\nX: é')
    assert value == 'skerry; fwd=uri-miss; stored; detail="a\\"b\\\\c??X: ?"'
