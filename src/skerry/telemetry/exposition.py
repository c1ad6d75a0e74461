"""Metrics as text: OpenMetrics 1.0, and the older format of Prometheus.

Owns the two forms and which one a reader gets. Never owns a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from skerry.telemetry.families import Counter, Distribution, Exemplar, Family, Histogram, Tally
from skerry.telemetry.labels import Labels

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"

_ITEM = re.compile(r"\s*([\w*/+.-]+)\s*((?:;[^,]*)?)\Z")
_VERSION = re.compile(r";\s*version\s*=\s*\"?([\w.]+)", re.IGNORECASE)
_QUALITY = re.compile(r";\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|\Z)", re.IGNORECASE)
_OPENMETRICS_VERSIONS = ("1.0.0", "0.0.1")


def preferred(accept: str) -> str:
    """The media type for an `Accept` field: the plain one for whoever names neither.

    RFC 9110 section 12.5.1; both forms are always at hand, so nobody is refused.
    """
    best = {OPENMETRICS: 0.0, PLAIN: 0.0}
    for item in accept.split(","):
        match = _ITEM.match(item)
        if match is None:
            continue
        name, parameters = match[1].lower(), match[2]
        quality = _QUALITY.search(parameters)
        worth = float(quality[1]) if quality else 1.0
        version = _VERSION.search(parameters)
        if name == "application/openmetrics-text":
            if version is None or version[1] in _OPENMETRICS_VERSIONS:
                best[OPENMETRICS] = max(best[OPENMETRICS], worth)
        elif name in ("text/plain", "text/*", "*/*"):
            best[PLAIN] = max(best[PLAIN], worth)
    return OPENMETRICS if best[OPENMETRICS] > best[PLAIN] else PLAIN


def expose(families: Iterable[Family], media_type: str) -> str:
    """Families as text."""
    whole = media_type == OPENMETRICS
    lines: list[str] = []
    for family in families:
        lines.extend(_openmetrics(family) if whole else _plain(family))
    if whole:
        lines.append("# EOF")
    lines.append("")
    return "\n".join(lines)


def _openmetrics(family: Family) -> Iterator[str]:
    yield f"# TYPE {family.name} {family.kind}"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {family.meaning}"
    yield from _samples(family, whole=True)


def _plain(family: Family) -> Iterator[str]:
    """The older form names a counter with its `_total`, and knows no unit and no creation."""
    name = f"{family.name}_total" if isinstance(family, Counter | Tally) else family.name
    yield f"# HELP {name} {family.meaning}"
    yield f"# TYPE {name} {family.kind}"
    yield from _samples(family, whole=False)


def _samples(family: Family, *, whole: bool) -> Iterator[str]:
    name, names = family.name, family.labels
    if isinstance(family, Histogram):
        for labels, found in sorted(family.series().items(), key=lambda item: item[0]):
            yield from _distribution(family, labels, found, whole=whole)
        return
    if isinstance(family, Counter | Tally):
        series = family.series()
        created = family.created(series) if whole else {}
        for labels, value in sorted(series.items()):
            text = _text(names, labels)
            yield f"{name}_total{text} {number(value)}"
            if labels in created:
                yield f"{name}_created{text} {created[labels]:.3f}"
        return
    for labels, value in sorted(family.series().items()):
        yield f"{name}{_text(names, labels)} {number(value)}"


def _distribution(
    family: Histogram, labels: Labels, found: Distribution, *, whole: bool
) -> Iterator[str]:
    name, names = family.name, family.labels
    running = 0
    for place, bound in enumerate((*family.bounds, "+Inf")):
        running += found.counts[place]
        text = _text((*names, "le"), (*labels, str(bound)))
        seen = found.exemplars.get(place) if whole else None
        yield f"{name}_bucket{text} {running}{_exemplar(seen)}"
    text = _text(names, labels)
    yield f"{name}_sum{text} {number(found.sum)}"
    yield f"{name}_count{text} {found.count}"
    if whole and found.created is not None:
        yield f"{name}_created{text} {found.created:.3f}"


def _exemplar(seen: Exemplar | None) -> str:
    if seen is None:
        return ""
    return f' # {{trace_id="{seen.trace_id}"}} {number(seen.value)} {seen.at:.3f}'


def number(value: float) -> str:
    """A sample's value, whole numbers without a point."""
    return str(int(value)) if value == int(value) else repr(value)


def _text(names: Sequence[str], values: Labels) -> str:
    if not names:
        return ""
    pairs = (
        f'{name}="{value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
        for name, value in zip(names, values, strict=True)
    )
    return "{" + ",".join(pairs).replace("\n", "\\n") + "}"
