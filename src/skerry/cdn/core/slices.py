"""Slice arithmetic: a large object as pieces of one size, of which only the touched are fetched.

Owns which slices a request touches, which upstream requests bring the missing ones, and the set of
slices of one object under one strong validator. Never fetches and never holds bytes. A changed
validator drops every slice at once (RFC 9111 section 3.4): a mix of two representations is the
one thing a sliced object must never become.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from skerry.cdn.core.parts import Outcome, Part, Span, Validator

SLICE_BYTES_DEFAULT = 1 << 20
SLICE_BYTES_MIN = 64 * 1024
SLICE_BYTES_MAX = 64 << 20
REQUEST_BYTES_MAX = 16 << 20
"""Of one coalesced upstream request: enough to make the round trip small, and no more is lost
than this when the client turns elsewhere."""


@dataclass(frozen=True, slots=True)
class Sliced:
    """The slices of one object that are here.

    `generation` rises with each changed validator; an answer to a request of an earlier one is
    late and must not bring back what was dropped.
    """

    validator: Validator
    total: int
    slice_bytes: int = SLICE_BYTES_DEFAULT
    present: frozenset[int] = frozenset()
    generation: int = 0

    @property
    def count(self) -> int:
        """How many slices the whole has."""
        return -(-self.total // self.slice_bytes)

    @property
    def whole(self) -> bool:
        """Whether every slice is here."""
        return len(self.present) == self.count


@dataclass(frozen=True, slots=True)
class Accepted:
    """The slices after an answer; `took` are the indices it filled."""

    sliced: Sliced | None
    outcome: Outcome
    took: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Asking:
    """One upstream request: `span` covers exactly the slices `first` up to but not `stop`."""

    span: Span
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """What a request needs: upstream requests in order of need, and fetches to wait for."""

    requests: tuple[Asking, ...]
    joins: tuple[int, ...]

    @property
    def ready(self) -> bool:
        """Whether everything is here already."""
        return not self.requests and not self.joins


def touched(span: Span, slice_bytes: int) -> range:
    """The indices of the slices that hold a byte of `span`."""
    return range(span.start // slice_bytes, -(-span.stop // slice_bytes))


def slice_span(index: int, slice_bytes: int, total: int) -> Span:
    """The bytes of one slice; the last one is shorter."""
    return Span(index * slice_bytes, min((index + 1) * slice_bytes, total))


def contained(span: Span, slice_bytes: int, total: int) -> range:
    """The indices of the slices that lie wholly in `span`."""
    stop = -(-total // slice_bytes) if span.stop >= total else span.stop // slice_bytes
    first = -(-span.start // slice_bytes)
    return range(first, max(first, stop))


def first_request(slice_bytes: int, wanted: Span | None = None) -> Span:
    """What to ask of an object of unknown length: the slices of `wanted`, else the first one.

    The answer's Content-Range says the length; a suffix range can be resolved after that.
    """
    if wanted is None:
        return Span(0, slice_bytes)
    indices = touched(wanted, slice_bytes)
    stop = min(indices.stop, indices.start + max(1, REQUEST_BYTES_MAX // slice_bytes))
    return Span(indices.start * slice_bytes, stop * slice_bytes)


def plan_slices(
    sliced: Sliced,
    wanted: Sequence[Span],
    *,
    in_flight: Collection[int] = (),
    request_bytes_max: int = REQUEST_BYTES_MAX,
) -> SlicePlan:
    """The upstream requests for all ranges of one request together.

    No slice is fetched twice, however often the ranges touch it, nor one that is here or in
    flight. Missing neighbours become one request of at most `request_bytes_max` (at least one
    slice). Requests stand in the order in which the ranges first need them.
    """
    need: dict[int, int] = {}  # slice -> position of its first need
    for span in wanted:
        for index in touched(Span(span.start, min(span.stop, sliced.total)), sliced.slice_bytes):
            need.setdefault(index, len(need))
    absent = [index for index in need if index not in sliced.present]
    joins = tuple(index for index in absent if index in in_flight)
    runs = _runs(
        sorted(index for index in absent if index not in in_flight),
        count_max=max(1, request_bytes_max // sliced.slice_bytes),
    )
    ordered = sorted(runs, key=lambda run: min(need[index] for index in run))
    return SlicePlan(tuple(_asking(run, sliced) for run in ordered), joins)


def accept(sliced: Sliced | None, part: Part, *, slice_bytes: int, begun: int = 0) -> Accepted:
    """The slices after a part came in that was asked for in generation `begun`.

    Only whole slices are taken. Without a strong validator or a total nothing is (RFC 9111
    section 3.4). Another validator or total drops all that was here, unless the part is the late
    one: asked for before the last change.
    """
    if part.validator is None or part.total is None:
        return Accepted(sliced, Outcome.REFUSED)
    took = tuple(contained(part.span, slice_bytes, part.total))
    if sliced is None:
        fresh = Sliced(part.validator, part.total, slice_bytes, frozenset(took))
        return Accepted(fresh, Outcome.BEGUN, took)
    same = (sliced.validator, sliced.total) == (part.validator, part.total)
    if same and sliced.slice_bytes == slice_bytes:
        joined = replace(sliced, present=sliced.present.union(took))
        return Accepted(joined, Outcome.JOINED, took)
    if not same and begun < sliced.generation:
        return Accepted(sliced, Outcome.REFUSED)
    replaced = Sliced(
        part.validator, part.total, slice_bytes, frozenset(took), sliced.generation + 1
    )
    return Accepted(replaced, Outcome.REPLACED, took)


def _runs(indices: Sequence[int], *, count_max: int) -> Iterator[range]:
    start = 0
    for position in range(1, len(indices) + 1):
        here = position < len(indices) and indices[position] == indices[position - 1] + 1
        if not here or position - start == count_max:
            yield range(indices[start], indices[position - 1] + 1)
            start = position


def _asking(run: range, sliced: Sliced) -> Asking:
    last = slice_span(run.stop - 1, sliced.slice_bytes, sliced.total)
    return Asking(Span(run.start * sliced.slice_bytes, last.stop), run.start, run.stop)
