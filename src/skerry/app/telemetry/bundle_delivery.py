"""Puts telemetry bundles where they are to be: a folder, and a server.

Owns the order (oldest first), the waits between tries and what is told of them. At least once:
what was sent and not noted is sent again under the same name. Never makes a bundle.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.base.units import format_seconds
from skerry.telemetry.events import Events, Level
from skerry.telemetry.ports import BundleBook, Place
from skerry.upstream.ports import Dial, Transport, TransportError
from skerry.wire.message import Headers

AT_ONCE_MAX = 100
RETRY_SECONDS = 5.0
RETRY_SECONDS_MAX = 300.0
ANSWER_BYTES_MAX = 64 << 10

Name = Callable[[int], str]
"""What the bundle of a number is called."""


class NotPut(SkerryError):
    """A bundle could not be put where it is to be."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where bundles are sent. `url` ends before their names."""

    url: str
    method: str
    dial: Dial
    token: Callable[[], str]


class ToFolder:
    """Writes bundles into a folder, each whole or not at all."""

    place = Place.FILED

    def __init__(self, folder: Path) -> None:
        self.called = str(folder)
        self._folder = folder

    async def put(self, name: str, line: bytes) -> None:
        """Raises NotPut."""
        try:
            await asyncio.to_thread(self._write, name, line)
        except OSError as error:
            raise NotPut(
                f"{self._folder}: {error.strerror or error}",
                next_step="let the node's user write to the folder, or set another one",
            ) from error

    def _write(self, name: str, line: bytes) -> None:
        new = self._folder / f".{name}.new"
        # Others may write to the folder: whoever knows the next name must not lead it elsewhere.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o644), "wb") as file:
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder / name)


class ToServer:
    """Sends bundles over HTTP."""

    place = Place.SENT

    def __init__(self, server: Server, transport: Transport) -> None:
        self.called = server.url
        self._server = server
        self._transport = transport

    async def put(self, name: str, line: bytes) -> None:
        """Raises NotPut. What the server has already (409) is put."""
        server = self._server
        fields = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(line) + 1)),
            # For servers that take a POST: the same bundle always has the same one.
            ("Idempotency-Key", f'"{name}"'),
        ]
        if token := server.token():
            fields.append(("Authorization", f"Bearer {token}"))
        url = f"{server.url.rstrip('/')}/{name}" if server.method == "PUT" else server.url
        try:
            exchange = await self._transport.send(
                server.method, url, Headers(fields), server.dial, line + b"\n"
            )
        except TransportError as error:
            raise NotPut(error.what) from error
        await exchange.close()
        if not (200 <= exchange.status < 300 or exchange.status == 409):
            raise NotPut(
                f"answered {exchange.status}",
                next_step="check the address, the method and the token of telemetry.bundles",
            )


Destination = ToFolder | ToServer


@dataclass(frozen=True, slots=True)
class DeliveryStatistics:
    """A snapshot. `trouble`: why it does not get on now, "" when it does."""

    called: str
    waiting_count: int
    put_count: int
    trouble: str


class Delivery:
    """Takes what waits for one destination there."""

    def __init__(
        self,
        destination: Destination,
        *,
        book: BundleBook,
        name: Name,
        clock: Clock,
        events: Events,
        chance: Random,
    ) -> None:
        self._destination = destination
        self._book = book
        self._name = name
        self._clock = clock
        self._events = events
        self._chance = chance
        self._put = 0
        self._trouble = ""
        self._troubled_at = 0.0
        self._wanted = asyncio.Event()
        self._wanted.set()

    def look(self) -> None:
        """There is a new bundle."""
        self._wanted.set()

    async def run(self) -> None:
        """For ever."""
        wait = RETRY_SECONDS
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._put_all()
            except SkerryError as error:
                self._failed(error)
                self._wanted.set()
                await self._clock.sleep(wait * (0.5 + 0.5 * self._chance.random()))
                wait = min(RETRY_SECONDS_MAX, wait * 2)
            else:
                wait = RETRY_SECONDS

    async def _put_all(self) -> None:
        place = self._destination.place
        while waiting := self._book.waiting(place, count_max=AT_ONCE_MAX):
            for sequence, line in waiting:
                await self._destination.put(self._name(sequence), line)
                await self._book.put(place, sequence)
                self._put += 1
                self._recovered()

    def _failed(self, error: SkerryError) -> None:
        if not self._trouble:
            self._troubled_at = self._clock.now()
            self._events.emit(
                "bundles.waiting",
                self._destination.called,
                cause=error.what,
                next_step=error.next_step or "none is lost: they are kept and sent later",
                level=Level.WARNING,
            )
        self._trouble = error.what

    def _recovered(self) -> None:
        if self._trouble:
            waited = format_seconds(self._clock.now() - self._troubled_at)
            cause = f"it takes them again after {waited}"
            self._events.emit("bundles.sent", self._destination.called, cause=cause)
        self._trouble = ""

    def statistics(self) -> DeliveryStatistics:
        """A snapshot. Raises TelemetryUnusable."""
        waiting = self._book.count(self._destination.place)
        return DeliveryStatistics(self._destination.called, waiting, self._put, self._trouble)
