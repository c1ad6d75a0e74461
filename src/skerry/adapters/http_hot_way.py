"""The fast way of one connection: a request that the hot table answers, before a task exists.

Owns which requests may take it at a door, and how a ready answer, or a part of a file, gets onto
the connection: at once where nothing waits in front of it, the rest by a task like any body. Never
decides what may be ready. Design section 5, RFC 9110 section 14.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from skerry.adapters.http_hot import REQUEST_BYTES_MAX, HotEntry, HotFile, HotRequest
from skerry.store.growth import FileSegment

if TYPE_CHECKING:
    from skerry.adapters.http_server_connection import DoorConnection

HARMLESS = frozenset({
    b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"connection",
    b"docker-distribution-api-version", b"x-meta-source-client", b"traceparent", b"tracestate",
})  # fmt: skip
"""Fields that no answer of the registry depends on, but for those that its `Hot` names."""

FIELDS_MAX = 64
FIELDS_BYTES_MAX = 16 << 10
"""A larger head goes the full way, where it may be refused."""

_RANGE = re.compile(rb"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")
_RANGE_LINE = re.compile(rb"\r\nRange: (bytes=[0-9]{0,18}-[0-9]{0,18})(?=\r\n)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HotFields:
    """Which requests of a door may take the fast way, by the fields they carry.

    Attributes:
        harmless: when set, no other field may be there.
        decisive: none of these may be there.
        ranges: whether a `Range` may be there.
        moot: fields that mean nothing beside another one, which then has to be there.
    """

    harmless: frozenset[bytes] | None = HARMLESS
    decisive: frozenset[bytes] = frozenset()
    ranges: bool = False
    moot: Mapping[bytes, bytes] = field(default_factory=dict)


class HotWay:
    """One connection's."""

    __slots__ = ("_connection", "_fields", "_state", "_table")

    def __init__(self, connection: DoorConnection) -> None:
        self._connection = connection
        self._state = connection.state
        self._table = connection.state.hot
        self._fields = connection.state.hot_fields

    def repeats(self, data: bytes) -> bool:
        """Answers what came when it is one whole request that was seen before."""
        if len(data) > REQUEST_BYTES_MAX:
            return False
        state, table = self._state, self._table
        entry = table.repeat(data, now=state.monotonic(), date=state.date)
        if entry is not None and not self._connection.vouched(entry.key[1]):
            return False
        if entry is not None:
            self._send(entry)
            return True
        if not self._fields.ranges:
            return False
        # The same request without its Range was seen, and one line more is still one request.
        line = _RANGE_LINE.search(data)
        if line is None or not data.endswith(b"\r\n\r\n", line.end()):
            return False
        without = data[: line.start()] + data[line.end() :]
        entry = table.repeat(without, now=state.monotonic(), date=state.date)
        if entry is None or not self._connection.vouched(entry.key[1]):
            return False
        return self._send_part(entry, line[1])

    def request(self) -> HotRequest | None:
        """The request just parsed; None when it must go the full way."""
        connection, rules = self._connection, self._fields
        parser, fields = connection.parser, connection.headers
        method = parser.get_method()
        if method not in (b"GET", b"HEAD") or parser.get_http_version() != "1.1":
            return None
        if parser.should_upgrade() or not parser.should_keep_alive():
            return None
        harmless, decisive = rules.harmless, rules.decisive
        host = wanted = beside = None
        size = 0
        for name, value in fields:
            size += len(name) + len(value) + 4
            if name == b"host":
                if host is not None:
                    return None
                host = value
            elif name == b"range" and rules.ranges:
                if wanted is not None or method != b"GET":
                    return None
                wanted = value
            elif name == b"connection":
                if value.lower() != b"keep-alive":
                    return None
            elif name in decisive or (harmless is not None and name not in harmless):
                return None
            elif name in rules.moot:
                beside = rules.moot[name]
        if (
            not host
            or not connection.vouched(host)
            or len(fields) > FIELDS_MAX
            or size > FIELDS_BYTES_MAX
        ):
            return None
        if beside is not None and all(name != beside for name, _ in fields):
            return None
        return HotRequest((method, host, connection.url), fields, wanted)

    def answers(self, request: HotRequest) -> HotEntry | None:
        """Answers a parsed request if the table can; the entry it was."""
        state = self._state
        entry = self._table.find(request, now=state.monotonic(), date=state.date)
        if entry is None:
            return None
        if request.wanted is None:
            self._send(entry)
            return entry
        return entry if self._send_part(entry, request.wanted) else None

    def remember(self, data: bytes, entry: HotEntry, wanted: bytes | None) -> None:
        """Notes what came as one whole request that this entry answered."""
        if wanted is None:
            self._table.remember(data, entry)
        elif (line := _RANGE_LINE.search(data)) is not None and line[1] == wanted:
            self._table.remember(data[: line.start()] + data[line.end() :], entry)

    # sending

    def _send(self, entry: HotEntry) -> None:
        self._table.used(entry)
        file = entry.body
        if not isinstance(file, HotFile) or entry.key[0] == b"HEAD":
            self._connection.transport.write(entry.ready)
        else:
            self._send_file(entry, entry.ready, 0, file.size_bytes)

    def _send_part(self, entry: HotEntry, wanted: bytes) -> bool:
        """Answers with one part; False when the full way has to say what this range means."""
        body = entry.body
        total = len(body) if isinstance(body, bytes) else body.size_bytes
        found = None if entry.part_head is None else part_of(wanted, total)
        if found is None or entry.part_head is None:
            return False
        start, stop = found
        if not entry.part:
            state = self._state
            entry.part = entry.part_head.render(state.monotonic(), state.date)
        numbers = (start, stop - 1, total, stop - start)
        head = entry.part + b"%d-%d/%d\r\ncontent-length: %d\r\n\r\n" % numbers
        self._table.used_part(entry, stop - start)
        if isinstance(body, bytes):
            self._connection.transport.write(head + body[start:stop])
        else:
            self._send_file(entry, head, start, stop - start)
        return True

    def _send_file(self, entry: HotEntry, head: bytes, start: int, size: int) -> None:
        file, connection, table = entry.body, self._connection, self._table
        if not isinstance(file, HotFile):
            raise TypeError("an answer of ready bytes has no file")
        sent = connection.outlet.send_now(head, file.fd, start, size)
        if sent == size:
            return
        # The whole was counted: a client that leaves in the middle is not sent the rest.
        table.missing(entry, size - sent)
        if connection.transport.is_closing():
            return
        try:
            rest = FileSegment(os.dup(file.fd), offset_bytes=start + sent, size_bytes=size - sent)
        except OSError:  # the head is gone, and no descriptor is left to keep its promise
            connection.outlet.abort()
            return
        connection.start_rest(rest, partial(table.went, entry))


def part_of(wanted: bytes, total: int) -> tuple[int, int] | None:
    """First byte and end of the one part that a `Range` asks for, None for anything else.

    As `base.ranges.parse_range` reads it (RFC 9110 section 14.1.2).
    """
    match = _RANGE.match(wanted)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, total - int(last or 0)), total
    else:
        start = int(first)
        stop = min(int(last) + 1, total) if last else total
    return (start, stop) if start < stop else None
