"""Byte ranges as values (RFC 9110 section 14).

Owns the arithmetic. A range here is half-open: `start <= position < stop`, in bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPEC = re.compile(r"(\d{0,19})-(\d{0,19})\Z", re.ASCII)  # more digits than any length has
_OWS = " \t"  # section 5.6.3; str.strip() alone would also take NBSP and control characters
HEADER_CHARS_MAX = 4096
RANGES_MAX = 128
"""More ranges than this in one request are an attack (RFC 9110 section 14.2, 17.15)."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` up to but not including `stop` of something `total` bytes long."""

    start: int
    stop: int
    total: int

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.stop - self.start

    @property
    def content_range(self) -> str:
        """The `Content-Range` value of a 206 (RFC 9110 section 14.4)."""
        return f"bytes {self.start}-{self.stop - 1}/{self.total}"


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """No wanted byte exists: answer 416 with `Content-Range: bytes */total`."""

    total: int

    @property
    def content_range(self) -> str:
        return f"bytes */{self.total}"


def parse_range(header: str | None, total: int) -> tuple[ByteRange, ...] | Unsatisfiable | None:
    """What a `Range` header asks of something `total` bytes long.

    Returns None when the header is absent, malformed, of another unit or abusive, in which case
    the whole is sent (RFC 9110 section 14.2 lets a server ignore it).
    """
    if header is None or len(header) > HEADER_CHARS_MAX:
        return None
    unit, equals, rest = header.partition("=")
    specs = rest.split(",")
    if not equals or unit.strip(_OWS).lower() != "bytes" or len(specs) > RANGES_MAX:
        return None
    found: list[ByteRange] = []
    for spec in specs:
        match = _SPEC.match(spec.strip(_OWS))
        if match is None or (not match[1] and not match[2]):
            return None
        if not match[1]:
            suffix = int(match[2])
            start, stop = max(0, total - suffix), total
        else:
            start = int(match[1])
            stop = min(int(match[2]) + 1, total) if match[2] else total
            if match[2] and int(match[2]) < start:
                return None
        if start < stop:
            found.append(ByteRange(start, stop, total))
    return tuple(found) or Unsatisfiable(total)
