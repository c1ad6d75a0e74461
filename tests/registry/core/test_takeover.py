"""When a tag that moved upstream takes over here: transcripts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skerry.base.digest import digest_of
from skerry.registry.core.takeover import (
    Serve,
    TakeOver,
    confirmed,
    decide,
    gone,
    take_over,
    unconfirmed,
)
from skerry.registry.ports import Repository, Tag

OLD, NEW, NEWER = (digest_of(name) for name in (b"old", b"new", b"newer"))
TAG = Tag(Repository("docker.io", "a"), "latest", OLD, 10.0, 10.0)
MOVED = replace(TAG, pending=NEW)


@pytest.mark.parametrize(
    ("tag", "whole", "reachable", "storable", "wanted"),
    [
        (TAG, False, False, True, Serve(OLD)),
        (TAG, True, True, True, Serve(OLD)),
        (MOVED, True, True, True, TakeOver(NEW)),
        (MOVED, True, False, False, TakeOver(NEW)),
        (MOVED, False, True, True, Serve(OLD)),
        (MOVED, False, False, True, Serve(OLD)),
        (MOVED, False, True, False, Serve(NEW, passing=True)),
        (MOVED, False, False, False, Serve(OLD)),
    ],
)
def test_the_new_image_takes_over_only_when_it_can_be_had(
    tag: Tag, whole: bool, reachable: bool, storable: bool, wanted: Serve | TakeOver
) -> None:
    found = decide(tag, pending_whole=whole, upstream_reachable=reachable, storable=storable)
    assert found == wanted


def test_an_old_image_that_is_not_whole_protects_nothing() -> None:
    said = {"pending_whole": False, "current_whole": False}
    assert decide(MOVED, **said, upstream_reachable=True) == TakeOver(NEW)
    assert decide(MOVED, **said, upstream_reachable=False) == Serve(OLD)


def test_the_link_dies_between_two_halves_of_a_new_image() -> None:
    tag = confirmed(TAG, NEW, 20.0)
    assert (tag.digest, tag.pending) == (OLD, NEW)
    assert decide(tag, pending_whole=False, upstream_reachable=True) == Serve(OLD)
    tag = unconfirmed(tag, 30.0)
    assert decide(tag, pending_whole=False, upstream_reachable=False) == Serve(OLD)
    assert (tag.checked_at, tag.confirmed_at) == (30.0, 10.0)
    assert decide(tag, pending_whole=True, upstream_reachable=False) == TakeOver(NEW)
    tag = take_over(tag, confirmed_at=20.0)
    assert (tag.digest, tag.pending, tag.confirmed_at) == (NEW, None, 20.0)


def test_a_tag_that_moves_on_forgets_what_it_was_waiting_for() -> None:
    assert confirmed(MOVED, NEWER, 20.0).pending == NEWER


def test_a_tag_that_moves_back_is_fresh_with_the_old_image() -> None:
    found = confirmed(MOVED, OLD, 20.0)
    assert (found.digest, found.pending, found.confirmed_at) == (OLD, None, 20.0)


def test_a_deleted_tag_remembers_since_when_until_it_comes_back() -> None:
    first = gone(MOVED, 20.0)
    assert (first.gone_at, first.pending, first.digest) == (20.0, None, OLD)
    assert gone(first, 40.0).gone_at == 20.0
    assert gone(first, 40.0).checked_at == 40.0
    assert confirmed(first, NEW, 50.0).gone_at is None


def test_taking_over_nothing_changes_nothing() -> None:
    assert take_over(TAG, confirmed_at=99.0) == TAG
