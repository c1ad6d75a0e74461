"""Head and ready body of an answer in one write: one call, one packet.

Owns what uvicorn writes piece by piece until the last piece is there. Decides nothing about it.
"""

from __future__ import annotations

from asyncio import Transport
from types import TracebackType
from typing import cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class WrittenTogether:
    """Collects what a cycle writes meanwhile; all of it goes at the end, in its order.

    The end of the answer itself is to be written outside: it may close the connection, or begin
    the next answer.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._pieces: list[bytes] = []

    def __enter__(self) -> None:
        self._cycle.transport = cast(Transport, self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cycle.transport = self._transport
        if self._pieces and not self._transport.is_closing():
            self._transport.writelines(self._pieces)

    def write(self, data: bytes) -> None:
        """One more piece."""
        self._pieces.append(data)

    def is_closing(self) -> bool:
        """Whether the connection takes no more."""
        return self._transport.is_closing()
