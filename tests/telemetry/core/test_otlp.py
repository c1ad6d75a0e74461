"""OTLP's JSON, by the names and shapes of its specification."""

from __future__ import annotations

import json

from skerry.telemetry.core.otlp import (
    Exemplar,
    Metric,
    Point,
    Step,
    metrics_document,
    traces_document,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RESOURCE = {"service.name": "skerry"}
AT = 1_700_000_000.5


def plain(document: object) -> object:
    """As it goes over the wire."""
    return json.loads(json.dumps(document))


def told(metric: Metric) -> object:
    document = plain(metrics_document(RESOURCE, [metric], version="1"))
    [resource] = document["resourceMetrics"]  # type: ignore[index, call-overload]
    assert resource["resource"] == {
        "attributes": [{"key": "service.name", "value": {"stringValue": "skerry"}}]
    }
    [scope] = resource["scopeMetrics"]
    assert scope["scope"] == {"name": "skerry", "version": "1"}
    [found] = scope["metrics"]
    return found


def test_a_counter_is_a_monotonic_cumulative_sum_with_integers_as_strings() -> None:
    point = Point({"how": "hit"}, AT, 7, started_at=1_700_000_000.0)
    assert told(Metric("skerry_pulls", "Pulls.", "", "counter", (point,))) == {
        "name": "skerry_pulls",
        "description": "Pulls.",
        "unit": "1",
        "sum": {
            "dataPoints": [
                {
                    "attributes": [{"key": "how", "value": {"stringValue": "hit"}}],
                    "startTimeUnixNano": "1700000000000000000",
                    "timeUnixNano": "1700000000500000000",
                    "asInt": "7",
                }
            ],
            "aggregationTemporality": 2,
            "isMonotonic": True,
        },
    }


def test_a_gauge_has_no_beginning_and_a_unit_of_ucum() -> None:
    found = told(Metric("skerry_disk_bytes", "", "bytes", "gauge", (Point({}, AT, 0.5),)))
    assert found == {
        "name": "skerry_disk_bytes",
        "description": "",
        "unit": "By",
        "gauge": {
            "dataPoints": [
                {"attributes": [], "timeUnixNano": "1700000000500000000", "asDouble": 0.5}
            ]
        },
    }


def test_a_histogram_has_one_bucket_more_than_bounds() -> None:
    point = Point(
        {}, AT, 1.5, AT, counts=(1, 0, 2), bounds=(0.1, 1.0), exemplars=(Exemplar(TRACE, 0.07, AT),)
    )
    found = told(Metric("skerry_seconds", "", "seconds", "histogram", (point,)))
    assert isinstance(found, dict)
    assert found["unit"] == "s"
    assert found["histogram"]["aggregationTemporality"] == 2
    [data] = found["histogram"]["dataPoints"]
    assert data["bucketCounts"] == ["1", "0", "2"]
    assert data["explicitBounds"] == [0.1, 1.0]
    assert (data["count"], data["sum"]) == ("3", 1.5)
    assert data["exemplars"] == [
        {"timeUnixNano": "1700000000500000000", "asDouble": 0.07, "traceId": TRACE}
    ]


def test_a_span_has_ids_in_hex_and_enums_as_numbers() -> None:
    step = Step(TRACE, SPAN, "", "GET edge", 2, AT, AT + 1, False, {"http.status": 200})
    below = Step(TRACE, "1" * 16, SPAN, "GET upstream", 3, AT, AT, True, {})
    document = plain(traces_document(RESOURCE, [step, below], version="1"))
    [scope] = document["resourceSpans"][0]["scopeSpans"]  # type: ignore[index, call-overload]
    first, second = scope["spans"]
    assert first == {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "GET edge",
        "kind": 2,
        "startTimeUnixNano": "1700000000500000000",
        "endTimeUnixNano": "1700000001500000000",
        "attributes": [{"key": "http.status", "value": {"intValue": "200"}}],
        "status": {},
    }
    assert (second["parentSpanId"], second["status"]) == (SPAN, {"code": 2})
