"""A node's recorded usage as one document, to be kept and tried elsewhere.

Owns its form, how it is written and what is refused when it is read. Reads no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from skerry.base.errors import BadInput
from skerry.budget.core.ladder import Rung, RungTold, name_of
from skerry.budget.core.periods import HOUR_SECONDS
from skerry.budget.core.trial import Usage
from skerry.budget.core.usage import METERS, Amounts, Dimension, Hour, Meter
from skerry.budget.ports import LedgerStatistics

VERSION = 1
"""Rises when a reader of the version before would misread what is written."""
START_MAX = 1 << 36
"""A year of which nothing can be recorded yet, and which the calendar still has."""
RUNGS = frozenset(name_of(rung) for rung in Rung)
SAME_PROGRAM = "try it with the skerry of the node that wrote it"
WRITE_IT = "write it with `skerry ledger export --format usage`"


@dataclass(frozen=True, slots=True)
class LedgerHour:
    """What one dimension used in the hour that began at `start`; `used` is by meter."""

    start: int
    tenant: str
    site: str
    route: str
    upstream: str
    data_class: str
    workflow: str
    used: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LedgerHours:
    """The answer of GET /api/v1/ledger, and what `skerry ledger export --format usage` writes.

    Attributes:
        version: of this form.
        at: when it was written, seconds since the epoch.
        currency: what the node told its costs in, "" without a price sheet.
        held: the highest rung that each budget has entered in the periods a node remembers.
    """

    version: int
    node: str
    at: int
    currency: str
    held: Sequence[RungTold]
    ledger: LedgerStatistics
    hours: Sequence[LedgerHour]


class _Head(msgspec.Struct):
    version: int = 0


def rows_of(hours: Iterable[Hour]) -> list[LedgerHour]:
    """Hours as they are written."""
    return [_row(hour) for hour in hours]


def read_usage(data: bytes, named: str) -> Usage:
    """The usage in a document; `named` is its file. Raises BadInput."""
    try:
        version = msgspec.json.decode(data, type=_Head).version
        if version not in (0, VERSION):
            raise BadInput(
                f"{named} is usage of form {version}, and this program reads {VERSION}",
                next_step=f"{SAME_PROGRAM}, or export it anew",
            )
        # One without a version lacks more than that: the decoder names what.
        found = msgspec.json.decode(data, type=LedgerHours)
    except msgspec.DecodeError as error:
        raise BadInput(f"{named} is no recorded usage: {error}", next_step=WRITE_IT) from error
    if not found.hours:
        step = "export a month in which something was used, as with --month last"
        raise BadInput(f"{named} holds no hour in which anything was used", next_step=step)
    for at, held in enumerate(found.held):
        if held.rung not in RUNGS:
            what = f"{named}: held[{at}].rung is {held.rung[:40]!r}, which is no rung here"
            raise BadInput(what, next_step=SAME_PROGRAM)
    hours: dict[tuple[int, Dimension], Hour] = {}
    for at, row in enumerate(found.hours):
        hour = _hour(row, f"{named}: hours[{at}]")
        if hours.setdefault((hour.start, hour.dimension), hour) is not hour:
            what = f"{named}: hours[{at}] is there twice: the same hour and owner"
            raise BadInput(what, next_step="export it anew")
    in_order = [hours[place] for place in sorted(hours)]
    return Usage(found.node, found.at, found.currency, found.held, in_order)


def _row(hour: Hour) -> LedgerHour:
    amounts = zip(METERS, hour.amounts.values, strict=True)
    used = {meter.value: value for meter, value in amounts if value}
    who = hour.dimension
    return LedgerHour(
        hour.start,
        who.tenant,
        who.site,
        who.route,
        who.upstream,
        who.data_class,
        who.workflow,
        used,
    )


def _hour(row: LedgerHour, place: str) -> Hour:
    unknown = sorted(set(row.used) - {*METERS})
    if unknown:
        raise BadInput(
            f"{place}.used counts {unknown[0][:40]!r}, which this program does not know",
            next_step=SAME_PROGRAM,
        )
    if row.start % HOUR_SECONDS or not 0 <= row.start < START_MAX:
        raise BadInput(f"{place}.start is no full hour", next_step="export it anew")
    if min(row.used.values(), default=0) < 0:
        raise BadInput(f"{place}.used is less than nothing", next_step="export it anew")
    who = Dimension(row.tenant, row.site, row.route, row.upstream, row.data_class, row.workflow)
    return Hour(row.start, who, Amounts.of({Meter(name): n for name, n in row.used.items()}))
