"""Traces: which requests are followed, and what is told of each step.

Owns the W3C trace context (Trace Context, level 1: `traceparent`) and the spans of one node. Never
sends anything; whoever takes the spans does. A span holds names of closed vocabularies, and a
subject only where the account says that it is public.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from random import Random

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?\Z")
SAMPLED = 0x01


class Kind(IntEnum):
    """Of a span, as OTLP numbers them."""

    SERVER = 2
    CLIENT = 3


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where in which trace something happens. Ids are lower-case hex, 32 and 16 digits."""

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def traceparent(self) -> str:
        """The field's value."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


@dataclass(slots=True)
class Span:
    """One step. Times are in seconds since the epoch."""

    context: TraceContext
    parent_id: str
    name: str
    kind: Kind
    began_at: float
    ended_at: float = 0.0
    failed: bool = False
    attributes: dict[str, str | int] = field(default_factory=dict)


def parse(traceparent: str) -> TraceContext | None:
    """The context a client sent; None for what is none (it is then ignored: section 4.3)."""
    match = _PARENT.match(traceparent.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags = match.groups()
    if version == "ff" or not int(trace_id, 16) or not int(span_id, 16):
        return None
    if version == "00" and len(traceparent.strip()) != 55:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & SAMPLED))


def begin(sent: TraceContext | None, *, share: float, chance: Random) -> TraceContext | None:
    """The context of a request at the door, or None when it is not followed.

    A caller that samples is believed; of the others a share is taken.
    """
    if not (sent is not None and sent.sampled) and chance.random() >= share:
        return None
    trace_id = sent.trace_id if sent is not None else f"{chance.getrandbits(128) or 1:032x}"
    return TraceContext(trace_id, new_span_id(chance), sampled=True)


def new_span_id(chance: Random) -> str:
    """Of a step, not zero."""
    return f"{chance.getrandbits(64) or 1:016x}"
