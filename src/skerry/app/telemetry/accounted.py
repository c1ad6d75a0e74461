"""A front whose requests are told of: in the log, and in traces.

Owns the account that travels with each request, and what happens when its answer is there. Never
looks into a request but for its method and its trace context.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from skerry.telemetry.accounts import Account, kept
from skerry.telemetry.request_log import RequestLog
from skerry.telemetry.tracer import Tracer
from skerry.wire.message import Answer, Handler, Hot, Request, announced_bytes


class Accounted:
    """A handler around another one."""

    def __init__(
        self,
        front: Handler,
        *,
        door: str,
        monotonic: Callable[[], float],
        log: RequestLog | None,
        tracer: Tracer | None,
    ) -> None:
        self._front = front
        self._door = door
        self._monotonic = monotonic
        self._log = log
        self._tracer = tracer

    async def __call__(self, request: Request) -> Answer:
        began, account = self._monotonic(), Account()
        if self._tracer is not None:
            sent = request.headers.get("traceparent") or ""
            account.span = self._tracer.begin(sent, f"{request.method} {self._door}")
        status = 500
        with kept(account):
            try:
                answer = await self._front(request)
                status = answer.status
            finally:
                if account.span is not None and self._tracer is not None:
                    self._tracer.end(account.span, account, status=status)
        if self._log is None:
            return answer
        self._log.full(
            self._door,
            request.method,
            account,
            status=status,
            size=announced_bytes(answer),
            seconds=self._monotonic() - began,
        )
        if answer.hot is not None and self._log.fast_share > 0:
            return replace(answer, hot=self._told(answer.hot, account, self._log))
        return answer

    def _told(self, hot: Hot, account: Account, log: RequestLog) -> Hot:
        """The same leave, whose uses are told of in the log as well."""
        # Whoever repeats an answer was not followed: its trace is another request's.
        repeated = replace(account, span=None)

        def hit(uses: int, body_bytes: int) -> None:
            hot.hit(uses, body_bytes)
            if uses:  # none: more has left of an answer that was told of
                log.fast(self._door, repeated, uses=uses, size=body_bytes)

        return replace(hot, hit=hit)
