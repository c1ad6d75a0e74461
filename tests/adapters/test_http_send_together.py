"""What a cycle writes in pieces goes out as one, in its order, and not to a closing connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from skerry.adapters.http_send_together import WrittenTogether


class NotingTransport:
    """Notes each call that would be one of the kernel's."""

    def __init__(self) -> None:
        self.calls: list[list[bytes]] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.calls.append([data])

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.calls.append(list(pieces))


class Cycle:
    def __init__(self) -> None:
        self.noting = NotingTransport()
        self.transport = self.noting


def together(cycle: Cycle) -> WrittenTogether:
    return WrittenTogether(cast(RequestResponseCycle, cycle))


def test_pieces_are_one_call_and_what_comes_after_is_written_at_once() -> None:
    cycle = Cycle()
    with together(cycle):
        cycle.transport.write(b"head")
        cycle.transport.write(b"body")
        assert cycle.noting.calls == []
    cycle.transport.write(b"next")
    assert cycle.noting.calls == [[b"head", b"body"], [b"next"]]


def test_what_was_written_before_an_error_is_out_and_the_transport_is_given_back() -> None:
    cycle = Cycle()

    def broken() -> None:
        with together(cycle):
            cycle.transport.write(b"head")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert cycle.noting.calls == [[b"head"]]
    assert cycle.transport is cycle.noting


def test_a_connection_that_closes_meanwhile_is_written_nothing() -> None:
    cycle = Cycle()
    with together(cycle):
        cycle.transport.write(b"head")
        cycle.noting.closing = True
    assert cycle.noting.calls == []
