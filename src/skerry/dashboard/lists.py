"""Long lists in pages, by plain links.

Owns the cutting, and which images a filter keeps. Every row is on some page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

from skerry.registry.operations import ImageRow
from skerry.telemetry.events import Event

T = TypeVar("T")
ROWS_MAX = 200
SHOWN = {
    "": "every image",
    "whole": "whole",
    "half": "half here",
    "pinned": "pinned",
    "unsigned": "not signed as asked",
}


@dataclass(frozen=True, slots=True)
class Cut(Generic[T]):
    """One page of a list; `number` counts from 1."""

    rows: Sequence[T]
    number: int
    count: int
    total: int

    @property
    def first(self) -> int:
        """The place of its first row in the whole list, from 1 on."""
        return (self.number - 1) * ROWS_MAX + 1


def cut(rows: Sequence[T], wanted: str) -> Cut[T]:
    """The page of that number, or the nearest there is."""
    count = max(1, -(-len(rows) // ROWS_MAX))
    number = min(max(1, number_of(wanted)), count)
    start = (number - 1) * ROWS_MAX
    return Cut(rows[start : start + ROWS_MAX], number, count, len(rows))


def number_of(text: str) -> int:
    """What somebody wrote as a number, 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def link(path: str, fields: Mapping[str, object]) -> str:
    """A link to a page with what is filled in."""
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"{path}?{query}" if query else path


def is_named(row: ImageRow, wanted: str) -> bool:
    """Whether an image's name or tag holds a text, or a digest of it begins so."""
    wanted = wanted.strip().lower()
    if wanted in row.reference.lower():
        return True
    digests = (row.digest, *(part.digest for part in row.missing))
    return any(each.startswith(wanted) or each.partition(":")[2].startswith(wanted)
               for each in digests)  # fmt: skip


def is_shown(row: ImageRow, show: str) -> bool:
    """Whether a filter that needs no more than the row keeps an image."""
    if show == "whole":
        return row.whole
    if show == "half":
        return not row.whole
    return row.pinned if show == "pinned" else True


def is_about(event: Event, wanted: str) -> bool:
    """Whether any word of an event holds a text."""
    wanted = wanted.lower()
    return any(
        wanted in each.lower() for each in (event.kind, event.subject, event.cause, event.next_step)
    )
