"""A tag that goes back to what it meant before is a release that was taken back."""

from __future__ import annotations

from skerry.telemetry.core.incidents import Incident, Lost, Measure
from skerry.telemetry.events import Event
from skerry.telemetry.releases import DIGESTS_MAX, MOVED, TAGS_MAX, TAKEN_OVER, Releases

TAG = "docker.io/team/tide:1"


def moved(at: float, old: str, new: str, tag: str = TAG) -> Event:
    return Event(at, MOVED, tag, f"sha256:{old} -> sha256:{new}")


def taken(at: float, new: str, tag: str = TAG) -> Event:
    return Event(at, TAKEN_OVER, tag, f"sha256:{new}")


def heard(*events: Event) -> list[Incident]:
    releases = Releases()
    return [found for event in events if (found := releases.hear(event)) is not None]


def test_it_lasts_from_when_the_node_learned_of_it_until_the_image_took_over() -> None:
    (found,) = heard(moved(1, "a", "b"), taken(2, "b"), moved(10, "b", "a"), taken(13.5, "a"))
    assert (found.lost, found.what) == (Lost.RELEASE, "docker.io")
    assert found.seconds(Measure.ROLLBACK) == 3.5


def test_going_on_is_none() -> None:
    assert not heard(moved(1, "a", "b"), taken(2, "b"), moved(3, "b", "c"), taken(4, "c"))


def test_a_tag_that_moves_on_before_it_is_back_was_not_taken_back() -> None:
    events = (moved(1, "a", "b"), taken(2, "b"), moved(3, "b", "a"), moved(4, "b", "c"))
    assert not heard(*events, taken(5, "c"))


def test_each_tag_is_judged_by_itself_and_hidden_digests_say_nothing() -> None:
    assert not heard(moved(1, "a", "b"), moved(2, "b", "a", "docker.io/x:1"), taken(3, "a", "y:1"))
    hidden = Event(1, MOVED, "p/(a private image)", "(a private image) -> (a private image)")
    assert not heard(
        hidden, hidden, Event(2, TAKEN_OVER, "p/(a private image)", "(a private image)")
    )


def test_what_is_remembered_is_bounded() -> None:
    releases = Releases()
    for number in range(TAGS_MAX + 10):
        releases.hear(moved(number, "a", "b", f"t{number}"))
    for number in range(DIGESTS_MAX + 5):
        releases.hear(moved(number, str(number), str(number + 1)))
    assert releases.statistics().tag_count == TAGS_MAX
    assert len(releases._left[TAG]) == DIGESTS_MAX
