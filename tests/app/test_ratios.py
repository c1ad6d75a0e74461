"""Hit ratios are told alike everywhere: which outcomes are hits is decided in one place."""

from __future__ import annotations

from skerry.app.telemetry.ratios import IMAGES_SERVED, PAGES_SERVED, hit_ratios
from skerry.cdn.measures import EdgeMeters, Served
from skerry.cdn.ports import DataClass
from skerry.registry.meters import Meters
from skerry.registry.replies import Outcome
from skerry.telemetry.metrics import Registry
from skerry.telemetry.ratios import HitRatio

COUNTS = {"hit": 70, "stale": 20, "miss": 10}
SIZE = 7


def test_seven_hundred_hits_two_hundred_stale_a_hundred_misses_of_images_and_of_pages() -> None:
    metrics = Registry(group_min=10)
    images, pages = Meters(metrics), EdgeMeters(metrics)
    for outcome, count in COUNTS.items():
        for data_class in ("public", "sensitive"):
            for _ in range(count * 5):
                for kind in ("manifest", "blob"):
                    images.answered(data_class, kind, Outcome(outcome), size_bytes=SIZE, seconds=0)
            for _ in range(count * 10):
                pages.answered(DataClass(data_class), Served(outcome), SIZE, 0)
    assert hit_ratios(metrics) == tuple(
        HitRatio(what, 1000, 700, 200, 0, 1000 * SIZE, 700 * SIZE)
        for what in ("images", "private images", "public", "sensitive")
    )


def test_what_was_written_refused_or_not_to_be_had_is_no_part_of_a_ratio() -> None:
    metrics = Registry()
    images, pages = Meters(metrics), EdgeMeters(metrics)
    for outcome in Outcome:
        if outcome not in IMAGES_SERVED:
            images.answered("public", "blob", outcome, size_bytes=SIZE, seconds=0)
    for kind in ("tags", "base", "token"):
        images.answered("public", kind, Outcome.HIT, size_bytes=SIZE, seconds=0)
    for served in Served:
        if served not in PAGES_SERVED:
            pages.answered(DataClass.PUBLIC, served, SIZE, 0)
    assert [each.requests for each in hit_ratios(metrics)] == [0]


def test_the_words_of_pages_are_the_edges_own() -> None:
    assert not PAGES_SERVED - {each.value for each in Served}


def test_a_page_that_the_origin_had_to_confirm_is_no_hit() -> None:
    metrics = Registry()
    pages = EdgeMeters(metrics)
    pages.answered(DataClass.PUBLIC, Served.REVALIDATED, SIZE, 0)
    assert hit_ratios(metrics) == (HitRatio("public", 1, 0, 0, 0, SIZE, 0),)
