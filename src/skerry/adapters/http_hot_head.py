"""The head of a ready answer: fixed pieces, and the numbers between them that follow the clock.

Owns where Date, Age and the `ttl` of Cache-Status stand in a head and what they say later. Pure.
Never invents a number: a head that does not say what its handler says of it has no template. RFC
9111 section 5.1, RFC 9211 section 2.4.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from skerry.wire.message import Aging

_TTL = re.compile(rb"(.*;ttl=)(-?[0-9]+)((?:;.*)?)\Z", re.DOTALL)


class Slot(Enum):
    """What stands between two fixed pieces."""

    DATE = "date"
    AGE = "age"
    TTL = "ttl"


@dataclass(frozen=True, slots=True)
class HeadTemplate:
    """A head; `pieces` are one more than `slots`."""

    pieces: tuple[bytes, ...]
    slots: tuple[Slot, ...]
    aging: Aging | None = None

    def render(self, now: float, date: bytes) -> bytes:
        """The head as it is sent at `now` (monotonic), `date` being the value of Date."""
        values = {Slot.DATE: date}
        if self.aging is not None:
            # Rounded as the handler rounds: both down.
            elapsed = now - self.aging.at
            values[Slot.AGE] = b"%d" % math.floor(self.aging.age_seconds + elapsed)
            values[Slot.TTL] = b"%d" % math.floor(self.aging.ttl_seconds - elapsed)
        parts = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            parts += (values[slot], piece)
        return b"".join(parts)

    def changes_at(self, now: float) -> float:
        """When a number will be another one, monotonic; inf when none moves but the date."""
        if self.aging is None:
            return math.inf
        elapsed = now - self.aging.at
        age, ttl = self.aging.age_seconds + elapsed, self.aging.ttl_seconds - elapsed
        return now + min(1.0 - age % 1.0, ttl % 1.0)


def template(
    status: int,
    fields: Sequence[tuple[bytes, bytes]],
    *,
    aging: Aging | None,
    date: bytes,
    open_end: bool = False,
) -> HeadTemplate | None:
    """The template of a head as it is sent now; None when its numbers are not those of `aging`.

    A Date is a number of ours only when its value is `date` itself: another's stays as it is. With
    `open_end` the head stops within the last field, for more to be written behind it.
    """
    pieces: list[bytes] = []
    slots: list[Slot] = []
    fixed = [STATUS_LINE[status]]

    def cut(slot: Slot) -> None:
        pieces.append(b"".join(fixed))
        slots.append(slot)
        fixed.clear()

    status_lines = [at for at, (name, _) in enumerate(fields) if name == b"cache-status"]
    for at, (name, value) in enumerate(fields):
        fixed += (name, b": ")
        if value is date and name == b"date":
            cut(Slot.DATE)
        elif aging is not None and name == b"age":
            if value != b"%d" % math.floor(aging.age_seconds):
                return None
            cut(Slot.AGE)
        elif aging is not None and status_lines and at == status_lines[-1]:
            found = _TTL.match(value)  # the last member of the list is ours
            if found is None or found[2] != b"%d" % math.floor(aging.ttl_seconds):
                return None
            fixed.append(found[1])
            cut(Slot.TTL)
            fixed.append(found[3])
        else:
            fixed.append(value)
        fixed.append(b"\r\n")
    moving = sorted(slot.value for slot in slots if slot is not Slot.DATE)
    if aging is not None and moving != ["age", "ttl"]:
        return None
    if open_end:
        fixed.pop()
    else:
        fixed.append(b"\r\n")
    return HeadTemplate((*pieces, b"".join(fixed)), tuple(slots), aging)
