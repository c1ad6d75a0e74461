"""One upload in chunks: what may come next, and what the client is told.

Owns the order of chunks and the fields of distribution-spec 1.1 "Pushing a blob in chunks".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from skerry.registry.core.errors import Code, RegistryError

_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\*|\d{1,18}))?\Z")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is; what every answer about it says."""

    location: str
    upload_id: str
    received_bytes: int

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """`Range` is inclusive, and `0-0` when nothing is here yet, as clients expect."""
        return (
            ("Location", self.location),
            ("Range", f"0-{max(0, self.received_bytes - 1)}"),
            ("Docker-Upload-UUID", self.upload_id),
        )


def check_chunk(
    progress: Progress, content_range: str | None, content_length: str | None
) -> int | None:
    """How long the next chunk has to be, None when it does not say.

    Raises RegistryError: RANGE_INVALID (416, with how far the upload is) for a chunk out of order,
    SIZE_INVALID for one whose fields disagree.
    """
    length = _number(content_length)
    if content_range is None:
        return length
    match = _RANGE.match(content_range.strip())
    start, last = (int(match[1]), int(match[2])) if match else (-1, -1)
    if start != progress.received_bytes or last < start:
        raise RegistryError(
            Code.RANGE_INVALID,
            f"the next chunk starts at {progress.received_bytes}",
            detail=content_range,
            headers=progress.fields,
        )
    if length is not None and length != last - start + 1:
        raise RegistryError(
            Code.SIZE_INVALID,
            f"Content-Range holds {last - start + 1} bytes, Content-Length {length}",
            headers=progress.fields,
        )
    return last - start + 1


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise RegistryError(Code.SIZE_INVALID, "Content-Length is not a number", detail=text)
    return int(text)
