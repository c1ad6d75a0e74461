"""From an answer of the full way to an entry of the table of ready answers.

Owns which answers can be repeated as bytes or from an open file, and the making of their entries.
Never decides that one may be: its handler has, by `Hot`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace

from skerry.adapters.http_hot import READY_BYTES_MAX, HotFile
from skerry.adapters.http_hot_head import template
from skerry.adapters.http_server_speech import Fields
from skerry.adapters.http_server_state import Carried
from skerry.wire.message import Answer, BodyAborted, Segment

_OF_A_PART = (b"content-range", b"content-length")


def keep_hot(carried: Carried, answer: Answer, fields: Fields) -> Answer:
    """Puts an answer that has leave into the hot table; `fields` are its head as sent now.

    Returns what is to be sent: a small body, once read, is sent from memory. Raises BodyAborted
    when the file is shorter than its segment says; the segment is closed then.
    """
    hot, request, date = answer.hot, carried.hot_request, carried.state.date
    if hot is None or request is None or any(name == b"connection" for name, _ in fields):
        return answer
    whole, status, reads = hot.whole_bytes, answer.status, request.key[0] == b"GET"
    if status == 206 and (whole is None or not reads):
        return answer
    part_head = None
    if whole is not None and reads:
        status = 200 if status == 206 else status
        plain = [field for field in fields if field[0] not in _OF_A_PART]
        ranged = [*plain, (b"content-range", b"bytes ")]
        if status == 200:
            part_head = template(206, ranged, aging=hot.aging, date=date, open_end=True)
        fields = [*plain, (b"content-length", b"%d" % whole)]
    head = template(status, fields, aging=hot.aging, date=date)
    if head is None:
        return answer
    answer, body = _bodies(carried, answer, whole)
    if body is not None and not carried.state.hot.put(
        request,
        hot,
        head=head,
        part_head=part_head,
        body=body,
        generation=carried.hot_generation,
    ):
        _close(body)
    return answer


def _bodies(
    carried: Carried, answer: Answer, whole_bytes: int | None
) -> tuple[Answer, bytes | HotFile | None]:
    """The answer to send, and the whole body to keep; None when it cannot be kept."""
    segment = answer.body
    if isinstance(segment, bytes):
        fits = answer.status != 206 and len(segment) <= READY_BYTES_MAX
        return answer, segment if fits else None
    if isinstance(segment, AsyncIterator) or whole_bytes is None:
        return answer, None
    if whole_bytes > READY_BYTES_MAX:
        return answer, _opened(segment, whole_bytes)
    if not carried.outlet.can_hold(whole_bytes):
        return answer, None
    start, size = segment.offset_bytes, segment.size_bytes
    try:
        body = os.pread(segment.fileno(), whole_bytes, 0)
    finally:
        segment.close()
    if len(body) != whole_bytes:
        raise BodyAborted(f"the file ends at {len(body)}, {whole_bytes} were announced")
    return replace(answer, body=body[start : start + size]), body


def _opened(segment: Segment, size_bytes: int) -> HotFile | None:
    """The segment's file, open once more for as long as the table keeps it."""
    try:
        return HotFile(os.dup(segment.fileno()), size_bytes)
    except OSError:  # no descriptor to spare: this answer takes the full way again
        return None


def _close(body: bytes | HotFile) -> None:
    if isinstance(body, HotFile):
        body.close()
