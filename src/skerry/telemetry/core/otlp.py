"""Metrics and spans in the JSON of OTLP/HTTP.

Owns the names and shapes (OpenTelemetry protocol 1.x, JSON Protobuf Encoding: lower camel case, 64
bit integers as strings, ids in hex, enums as numbers). Makes values; sends nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Json = str | int | float | bool | Sequence["Json"] | Mapping[str, "Json"]
Document = Mapping[str, Json]

SCOPE = "skerry"
CUMULATIVE = 2
ERROR = 2
UNITS = {"seconds": "s", "bytes": "By", "ratio": "1", "": "1"}
COUNTED = {"bytes", ""}
"""Units whose values are whole numbers. The others are told as floats even where they happen to be
whole: a backend may refuse a series that changes its type."""
NANO = 1_000_000_000

Attributes = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation of a kept trace."""

    trace_id: str
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Point:
    """One series: a number, or a distribution when it has `counts`. Times since the epoch.

    Attributes:
        started_at: when it began to count; None for a gauge.
        counts: per bucket, the last one endless.
    """

    attributes: Attributes
    at: float
    value: float = 0.0
    started_at: float | None = None
    counts: tuple[int, ...] = ()
    bounds: tuple[float, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. `kind` is counter, gauge or histogram."""

    name: str
    meaning: str
    unit: str
    kind: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One span, as it is told."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    began_at: float
    ended_at: float
    failed: bool
    attributes: Attributes


def metrics_document(resource: Attributes, metrics: Iterable[Metric], *, version: str) -> Document:
    """An ExportMetricsServiceRequest."""
    told = [_metric(each) for each in metrics if each.points]
    scope: Document = {"name": SCOPE, "version": version}
    inner: Document = {"scope": scope, "metrics": told}
    return {"resourceMetrics": [{"resource": _resource(resource), "scopeMetrics": [inner]}]}


def traces_document(resource: Attributes, steps: Iterable[Step], *, version: str) -> Document:
    """An ExportTraceServiceRequest."""
    scope: Document = {"name": SCOPE, "version": version}
    inner: Document = {"scope": scope, "spans": [_span(each) for each in steps]}
    return {"resourceSpans": [{"resource": _resource(resource), "scopeSpans": [inner]}]}


def _metric(metric: Metric) -> Document:
    head: dict[str, Json] = {
        "name": metric.name,
        "description": metric.meaning,
        "unit": UNITS.get(metric.unit, "1"),
    }
    points = [_point(each, metric.unit) for each in metric.points]
    if metric.kind == "gauge":
        return head | {"gauge": {"dataPoints": points}}
    data: Document = {"dataPoints": points, "aggregationTemporality": CUMULATIVE}
    if metric.kind == "histogram":
        return head | {"histogram": data}
    return head | {"sum": {**data, "isMonotonic": True}}


def _point(point: Point, unit: str) -> Document:
    told: dict[str, Json] = {
        "attributes": _attributes(point.attributes),
        "timeUnixNano": _nano(point.at),
    }
    if point.started_at is not None:
        told["startTimeUnixNano"] = _nano(point.started_at)
    if not point.counts:
        if unit in COUNTED and float(point.value).is_integer():
            return told | {"asInt": str(int(point.value))}
        return told | {"asDouble": _double(point.value)}
    told |= {
        "count": str(sum(point.counts)),
        "sum": point.value,
        "bucketCounts": [str(count) for count in point.counts],
        "explicitBounds": list(point.bounds),
    }
    if point.exemplars:
        told["exemplars"] = [
            {"timeUnixNano": _nano(each.at), "asDouble": each.value, "traceId": each.trace_id}
            for each in point.exemplars
        ]
    return told


def _span(step: Step) -> Document:
    told: dict[str, Json] = {
        "traceId": step.trace_id,
        "spanId": step.span_id,
        "name": step.name,
        "kind": step.kind,
        "startTimeUnixNano": _nano(step.began_at),
        "endTimeUnixNano": _nano(step.ended_at),
        "attributes": _attributes(step.attributes),
        "status": {"code": ERROR} if step.failed else {},
    }
    return told | ({"parentSpanId": step.parent_id} if step.parent_id else {})


def _resource(attributes: Attributes) -> Document:
    return {"attributes": _attributes(attributes)}


def _attributes(attributes: Attributes) -> Sequence[Document]:
    return [
        {
            "key": key,
            "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value},
        }
        for key, value in attributes.items()
    ]


def _double(value: float) -> Json:
    """JSON has no word for what is not finite; the protobuf mapping has."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _nano(at: float) -> str:
    return str(int(at * NANO))
