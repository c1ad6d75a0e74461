"""The log's lines about requests.

Owns what such a line says: what the request's account tells, and nothing that a client wrote. No
address of a client is in it. Bounded: of a flood only some lines are written, the next one says how
many were not, so that no stranger fills the disk.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

from skerry.telemetry.accounts import PUBLIC, Account

LINES_PER_SECOND_MAX = 200
"""Over time; a burst of twice as many is written at once."""

_log = logging.getLogger("skerry.requests")


@dataclass(frozen=True, slots=True)
class RequestLogStatistics:
    """A snapshot, since start."""

    written_count: int
    unsaid_count: int


class RequestLog:
    """Writes one line per request of the full way, and some of the fast way."""

    def __init__(self, *, monotonic: Callable[[], float], fast_share: float) -> None:
        """`fast_share` of the answers of the fast way is told of."""
        self._monotonic = monotonic
        self.fast_share = fast_share
        self._left = 2.0 * LINES_PER_SECOND_MAX
        self._at = monotonic()
        self._unsaid = self._unsaid_all = self._written = 0
        self._fast = 0.0

    def full(
        self, door: str, method: str, account: Account, *, status: int, size: int, seconds: float
    ) -> None:
        """One answer of the full way."""
        if not _log.isEnabledFor(logging.INFO):
            return
        line: dict[str, object] = {
            "door": door,
            "method": method,
            "status": status,
            "kind": account.kind,
            "outcome": account.outcome,
            "class": account.data_class,
            "seconds": round(seconds, 6),
            **_public(account, size),
        }
        if account.trace_id:
            line["trace_id"] = account.trace_id
        self._write(line)

    def fast(self, door: str, account: Account, *, uses: int, size: int) -> None:
        """So many answers of the fast way; `account` is that of the request they repeat."""
        self._fast += uses * self.fast_share
        if self._fast < 1:
            return
        self._fast %= 1
        line: dict[str, object] = {
            "door": door,
            "way": "fast",
            "count": uses,
            "kind": account.kind,
            "outcome": account.outcome,
            "class": account.data_class,
            **_public(account, size),
        }
        self._write(line)

    def _write(self, line: dict[str, object]) -> None:
        now = self._monotonic()
        gained = max(0.0, now - self._at) * LINES_PER_SECOND_MAX
        self._left, self._at = min(2.0 * LINES_PER_SECOND_MAX, self._left + gained), now
        if self._left < 1:
            self._unsaid += 1
            self._unsaid_all += 1
            return
        self._left -= 1
        if self._unsaid:
            line["unsaid"], self._unsaid = self._unsaid, 0
        self._written += 1
        _log.info("%s", json.dumps(line, ensure_ascii=False))

    def statistics(self) -> RequestLogStatistics:
        """A snapshot."""
        return RequestLogStatistics(self._written, self._unsaid_all)


def _public(account: Account, size: int) -> dict[str, object]:
    """What tells one page from another: its name, and its length."""
    if account.data_class != PUBLIC:
        return {}
    return {"bytes": size, **({"subject": account.subject} if account.subject else {})}
