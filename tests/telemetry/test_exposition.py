"""Metrics as text, in both forms, as their specifications have them."""

from __future__ import annotations

from enum import StrEnum

import pytest

from skerry.app.telemetry.otlp_export import metrics_of
from skerry.telemetry.exposition import OPENMETRICS, PLAIN, preferred
from skerry.telemetry.families import SERIES_MAX
from skerry.telemetry.labels import Named
from skerry.telemetry.metrics import Registry

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class How(StrEnum):
    HIT = "hit"
    MISS = "miss"


def made() -> Registry:
    metrics = Registry(lambda: 1_700_000_000.5)
    pulls = metrics.counter("skerry_pulls", "Pulls.", {"how": How})
    pulls.add(2, How.HIT)
    seconds = metrics.histogram("skerry_pull_seconds", "Time.", {"how": How})
    seconds.observe(0.07, "hit", trace_id=TRACE)
    seconds.observe(700, "hit")
    metrics.gauge("skerry_disk_bytes", "Disk.", lambda: {("a",): 7.5}, {"part": Named("disks")})
    metrics.tally("skerry_gone", "What went.", lambda: {(): 3})
    return metrics


def test_openmetrics_has_units_creation_and_exemplars() -> None:
    text = made().expose(OPENMETRICS)
    assert text.splitlines()[:6] == [
        "# TYPE skerry_disk_bytes gauge",
        "# UNIT skerry_disk_bytes bytes",
        "# HELP skerry_disk_bytes Disk.",
        'skerry_disk_bytes{part="a"} 7.5',
        "# TYPE skerry_gone counter",
        "# HELP skerry_gone What went.",
    ]
    assert "skerry_gone_total 3\nskerry_gone_created 1700000000.500\n" in text
    assert (
        'skerry_pulls_total{how="hit"} 2\nskerry_pulls_created{how="hit"} 1700000000.500\n' in text
    )
    shown = f'# {{trace_id="{TRACE}"}} 0.07 1700000000.500'
    assert f'skerry_pull_seconds_bucket{{how="hit",le="0.1"}} 1 {shown}\n' in text
    assert 'skerry_pull_seconds_bucket{how="hit",le="+Inf"} 2\n' in text
    assert 'skerry_pull_seconds_count{how="hit"} 2\n' in text
    assert text.endswith("\n# EOF\n")


def test_what_a_tally_reads_is_read_once_for_each_answer() -> None:
    looks: list[int] = []
    metrics = Registry(lambda: 1.0)
    metrics.tally("skerry_gone", "What went.", lambda: {(): float(looks.append(1) or 3)})
    metrics.expose(OPENMETRICS)
    list(metrics_of(metrics, 2.0))
    assert len(looks) == 2


def test_every_counter_and_histogram_says_when_it_began_also_to_a_collector() -> None:
    metrics = made()
    began = {
        family.name: [point.started_at for point in family.points]
        for family in metrics_of(metrics, 1_700_000_001.0)
    }
    once = 1_700_000_000.5
    assert began == {
        "skerry_disk_bytes": [None],
        "skerry_gone": [once],
        "skerry_pulls": [once],
        "skerry_pull_seconds": [once],
    }


def test_the_older_form_has_none_of_them() -> None:
    text = made().expose(PLAIN)
    assert "# TYPE skerry_pulls_total counter\n" in text
    assert "# TYPE skerry_pull_seconds histogram\n" in text
    for word in ("# UNIT", "# EOF", "_created", TRACE):
        assert word not in text
    assert 'skerry_pulls_total{how="hit"} 2\n' in text


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/plain", PLAIN),
        ("application/json", PLAIN),
        ("application/openmetrics-text", OPENMETRICS),
        # As Prometheus 2 sends it.
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
            "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPENMETRICS,
        ),
        ("application/openmetrics-text;version=2.0.0, text/plain;q=0.5", PLAIN),
        ("application/openmetrics-text;version=1.0.0;q=0.2, text/plain;q=0.5", PLAIN),
        ("application/openmetrics-text;q=0", PLAIN),
        ("nonsense;;;=, \x00", PLAIN),
    ],
)
def test_a_reader_gets_the_form_it_prefers(accept: str, media_type: str) -> None:
    assert preferred(accept) == media_type


def test_a_word_outside_the_vocabulary_is_never_shown() -> None:
    metrics = Registry()
    metrics.counter("skerry_pulls", "Pulls.", {"how": How}).add(1, "/patients/mrs-doe")
    text = metrics.expose()
    assert "mrs-doe" not in text
    assert 'skerry_pulls_total{how="other"} 1' in text


def test_names_of_the_settings_are_shown_up_to_a_bound() -> None:
    metrics = Registry()
    pulls = metrics.counter("skerry_pulls", "Pulls.", {"upstream": Named("upstreams")})
    for number in range(SERIES_MAX + 50):
        pulls.add(1, f"up-{number}")
    assert len(pulls.series()) == SERIES_MAX + 1
    assert pulls.value("other") == 50
    assert pulls.total() == SERIES_MAX + 50


def test_a_series_that_was_begun_is_shown_before_it_is_counted() -> None:
    metrics = Registry()
    metrics.counter("skerry_pulls", "Pulls.", {"how": How}).begin(tuple(How))
    assert 'skerry_pulls_total{how="miss"} 0' in metrics.expose()


def test_labels_are_told_whole_or_not_at_all() -> None:
    pulls = Registry().counter("skerry_pulls", "Pulls.", {"how": How, "who": ("us",)})
    with pytest.raises(ValueError, match="labels"):
        pulls.add(1, "hit")
