"""OTLP's JSON, by the names and shapes of its specification."""

from __future__ import annotations

import base64
import json
import math

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

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


def by_schema(document: object) -> object:
    """The same for a parser of protobuf's JSON: OTLP has ids in hex where that has base64."""
    if isinstance(document, dict):
        return {
            name: base64.b64encode(bytes.fromhex(each)).decode()
            if name in ("traceId", "spanId", "parentSpanId")
            else by_schema(each)
            for name, each in document.items()
        }
    return [by_schema(each) for each in document] if isinstance(document, list) else document


def test_the_published_schema_reads_every_kind_of_metric() -> None:
    """ParseDict refuses a field it does not know, and a number of another type."""
    exemplar = Exemplar(TRACE, 0.25, AT)
    spread = Point({"how": "hit"}, AT, 1.5, AT, (1, 2, 3), (0.1, 1.0), (exemplar,))
    metrics = [
        Metric("skerry_pulls", "Pulls.", "", "counter", (Point({"n": 3}, AT, 7, AT),)),
        Metric("skerry_left_seconds", "", "seconds", "gauge", (Point({}, AT, math.inf),)),
        Metric("skerry_pull_seconds", "", "seconds", "histogram", (spread,)),
    ]
    document = by_schema(plain(metrics_document(RESOURCE, metrics, version="1")))
    [resource] = ParseDict(document, ExportMetricsServiceRequest()).resource_metrics
    counter, gauge, histogram = resource.scope_metrics[0].metrics
    assert counter.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    assert counter.sum.data_points[0].as_int == 7
    assert gauge.gauge.data_points[0].as_double == math.inf
    [point] = histogram.histogram.data_points
    assert (point.count, point.sum, list(point.bucket_counts)) == (6, 1.5, [1, 2, 3])
    assert point.exemplars[0].trace_id.hex() == TRACE
    assert point.time_unix_nano == 1_700_000_000_500_000_000


def test_the_published_schema_reads_spans() -> None:
    step = Step(TRACE, SPAN, SPAN, "GET edge", 2, AT, AT + 1, True, {"http.status": 503})
    document = by_schema(plain(traces_document(RESOURCE, [step], version="1")))
    [resource] = ParseDict(document, ExportTraceServiceRequest()).resource_spans
    [span] = resource.scope_spans[0].spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    assert (span.kind, span.status.code) == (2, 2)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_000_000_000
    assert span.attributes[0].value.int_value == 503


@pytest.mark.parametrize(("unit", "field"), [("seconds", "asDouble"), ("", "asInt")])
def test_a_series_keeps_its_type_when_its_value_happens_to_be_whole(unit: str, field: str) -> None:
    found = told(Metric("skerry_x", "", unit, "gauge", (Point({}, AT, 2.0),)))
    assert field in found["gauge"]["dataPoints"][0]  # type: ignore[index]
