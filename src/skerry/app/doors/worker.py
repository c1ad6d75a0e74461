"""A worker: one more process that answers at the public doors (`[node] workers`).

Owns the composition of that process: the doors' copies, their tables, the relay, the reports.
Opens no file and no connection to the outside, and has no settings of its own: the main process
leads it over the line it was born with, and when that ends it ends. Loads as little as it can.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from contextlib import suppress

import uvloop

from skerry.adapters.http_server import Door
from skerry.adapters.http_server_tls import CertificateError
from skerry.adapters.worker_line import PACKET_BYTES_MAX, Line, LineEnded, pair
from skerry.adapters.worker_orders import FollowingTable, Orders, UseTally
from skerry.adapters.worker_packets import (
    Forget,
    Kind,
    Packed,
    Report,
    Setup,
    Shown,
    Stop,
    pack,
    unpack,
)
from skerry.adapters.worker_relay import Lines, Relay
from skerry.aio.each import each
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.telemetry.log_lines import log_to_stderr

REPORT_SECONDS = 1.0
USES_MAX = 8000
"""Numbers in one report; what is over comes with the next one."""

_log = logging.getLogger("skerry.worker")


class Worker:
    """The doors of one worker process. `run` returns when it was told to stop, or main is gone."""

    def __init__(self, control: Line, room: bytearray) -> None:
        self._control = control
        self._room = room
        self._clock = SystemClock()
        self._nursery = Nursery(on_crash=_crashed)
        self._uses = UseTally()
        self._doors: list[Door] = []
        self._orders: Orders

    async def run(self) -> None:
        """The life of the process."""
        packet = await self._control.receive()
        if packet is None:
            return
        await self._open(unpack(packet[0], Setup), packet[1])
        await self._control.send(pack(Kind.OPENED))
        self._nursery.start(self._report(), name="worker.report")
        while (packet := await self._control.receive()) is not None:
            match packet[0][0]:
                case Kind.FORGET:
                    self._forget(unpack(packet[0], Forget))
                case Kind.CERTIFICATES:
                    self._show(unpack(packet[0], Shown))
                case Kind.STOP:
                    stop = unpack(packet[0], Stop)
                    self._nursery.start(self._stop(stop.drain_seconds), name="worker.stop")

    async def _open(self, setup: Setup, descriptors: list[int]) -> None:
        page, *listening = descriptors
        self._orders = Orders(page, setup.order)
        os.close(page)
        lines = Lines(self._line, self._nursery)
        for number, each_door in enumerate(setup.doors):
            mine, listening = listening[: each_door.sockets], listening[each_door.sockets :]
            door = Door(
                Relay(lines, door=number, uses=self._uses),
                name=each_door.name,
                host="",
                port=0,
                clock=self._clock,
                limits=setup.limits,
                hot_fields=each_door.hot_fields,
                plain_refusals=each_door.plain_refusals,
                tls=each_door.tls,
                sockets=[socket.socket(fileno=one) for one in mine],
                hot=FollowingTable(self._orders, files_max=setup.limits.hot_files_max),
            )
            await door.open()
            self._doors.append(door)

    async def _line(self) -> Line:
        """One more line to the main process; waits while that is busy. Raises LineEnded."""
        mine, theirs = pair()
        line = Line(mine, self._room)
        with theirs:
            try:
                await self._control.send(pack(Kind.LINE), [theirs.fileno()])
            except BaseException:
                line.close()
                raise
        return line

    def _show(self, shown: Shown) -> None:
        try:
            self._doors[shown.door].use_certificates(shown.names)
        except CertificateError as error:  # the main process could read them a moment ago
            _log.warning("certificates are not taken: %s", error)

    def _forget(self, what: Forget) -> None:
        for table in (door.hot for door in self._doors):
            if what.everything:
                table.forget_all()
            for about in what.about:
                table.forget(about)
        self._orders.obey(what.order)

    async def _report(self) -> None:
        while True:
            await self._clock.sleep(REPORT_SECONDS)
            await self._control.send(pack(Kind.REPORT, self._counted()))

    def _counted(self) -> Packed:
        for door in self._doors:
            door.settle()
        doors = tuple(door.statistics() for door in self._doors)
        return Report(doors, tuple(self._uses.take(USES_MAX)))

    async def _stop(self, drain_seconds: float) -> None:
        await each(
            self._doors, lambda door: door.close(drain_seconds), at_once=len(self._doors) or 1
        )
        await self._control.send(pack(Kind.REPORT, self._counted()))
        self._control.close()


async def _run(descriptor: int) -> None:
    room = bytearray(PACKET_BYTES_MAX)
    with suppress(LineEnded):
        await Worker(Line(socket.socket(fileno=descriptor), room), room).run()
    # What is left has no one to answer it: connections are reset, as when the node itself dies.
    logging.shutdown()
    os._exit(0)


def _crashed(name: str, error: BaseException) -> None:
    if not isinstance(error, LineEnded):
        _log.error("%s crashed", name, exc_info=error)


def main() -> None:
    """`python -m skerry.app.doors.worker DESCRIPTOR`: started by the main process alone."""
    with log_to_stderr():
        uvloop.run(_run(int(sys.argv[1])))


if __name__ == "__main__":
    main()
