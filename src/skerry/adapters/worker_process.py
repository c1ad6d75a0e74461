"""One worker process, from its birth to its death, as the main process sees it.

Owns the child, the line it is led by, what it still has to forget, and what it has told. Decides
neither when there is one nor what happens after it: `app.doors.workers` does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from skerry.adapters.http_server_metrics import DoorMetrics, DoorStatistics
from skerry.adapters.http_server_tls import TlsNames
from skerry.adapters.worker_host import HostStatistics, RelayHost
from skerry.adapters.worker_line import Line, LineEnded, pair
from skerry.adapters.worker_orders import OrderPage, UseBook
from skerry.adapters.worker_packets import Forget, Kind, Report, Setup, Shown, Stop, pack, unpack
from skerry.aio.tasks import Nursery
from skerry.wire.message import Handler

ABOUT_MAX = 500
ABOUT_BYTES_MAX = 64 << 10
"""What a worker may have to forget by name; with more of it, it forgets everything."""

GROUP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What a terminal or a supervisor sends to all processes of a node."""

_log = logging.getLogger("skerry.worker")


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """A snapshot of one worker; `doors` as it last told them, once a second."""

    number: int
    pid: int
    serving: bool
    relay: HostStatistics
    doors: tuple[DoorStatistics, ...]


class ToldDoor:
    """A worker's door as the main process knows it: `http_server.Counted`."""

    def __init__(self, metrics: DoorMetrics, first: DoorStatistics) -> None:
        self.name = first.name
        self._metrics = metrics
        self._last = first
        metrics.count(first, None)
        metrics.add(self)

    def statistics(self) -> DoorStatistics:
        """As it was told last."""
        return self._last

    def tell(self, now: DoorStatistics) -> None:
        """A report has come."""
        self._metrics.count(now, self._last)
        self._last = now

    def settle(self) -> None:
        """Nothing waits here: what was told is counted."""

    def close(self) -> None:
        """The worker is gone; what it counted stays."""
        self._metrics.remove(self)


class Debt:
    """What one worker has to forget and was not told yet, bounded."""

    def __init__(self) -> None:
        self._about: set[str] = set()
        self._bytes = 0
        self._everything = False
        self.owed = asyncio.Event()

    def add(self, about: str | None) -> None:
        """One more order; None for everything."""
        if about is not None and about not in self._about:
            self._about.add(about)
            self._bytes += len(about)
        if about is None or len(self._about) > ABOUT_MAX or self._bytes > ABOUT_BYTES_MAX:
            self._everything = True
        self.owed.set()

    def take(self, order: int) -> Forget:
        """All of it, as one message that pays for every order up to this one."""
        what = Forget(order, self._everything, () if self._everything else tuple(self._about))
        self._about.clear()
        self._bytes, self._everything = 0, False
        self.owed.clear()
        return what


class WorkerProcess:
    """One worker. `live` is its whole life; everything else may be called at any time."""

    def __init__(
        self,
        number: int,
        *,
        program: str,
        fronts: Sequence[Handler],
        sockets: Sequence[socket.socket],
        page: OrderPage,
        metrics: DoorMetrics,
        room: bytearray,
    ) -> None:
        """`program` is the module it runs as; its one argument is the descriptor of its line.
        `fronts` are in the order of the doors, `sockets` too; those stay the caller's."""
        self.number = number
        self._program = program
        self._sockets = sockets
        self._page = page
        self._metrics = metrics
        self._room = room
        self._nursery = Nursery(on_crash=_crashed)
        self._uses = UseBook()
        self._host = RelayHost(fronts, nursery=self._nursery, uses=self._uses)
        self._debt = Debt()
        self._turn = asyncio.Lock()
        self._doors: list[ToldDoor] = []
        self._control: Line | None = None
        self._pid = 0
        self.serving = False

    async def live(self, setup: Setup, *, opened: Callable[[], None], seconds_max: float) -> str:
        """Starts the process and leads it until it ends; returns what it died of.

        `setup.order` is filled in here. `opened` is called once it serves; a worker that does not
        within `seconds_max` is killed. Cancelling kills it, too: nothing is left.
        """
        ours, theirs = pair()
        with theirs:
            process = _spawn(self._program, theirs.fileno())
        self._pid = process.pid
        control = Line(ours, self._room)
        cause = ""
        try:
            await self._set_up(control, setup)
            async with asyncio.timeout(seconds_max) as patience:
                await self._lead(control, patience, opened)
        except TimeoutError:
            cause = f"it did not serve within {seconds_max:g} s; "
        except (LineEnded, msgspec.DecodeError) as error:
            cause = f"{error}; "
        finally:
            self.serving, self._control = False, None
            control.close()
            process.kill()
            code = await asyncio.to_thread(process.wait)
            await self._nursery.close()
            for door in self._doors:
                door.close()
        return cause + (f"killed by signal {-code}" if code < 0 else f"ended with code {code}")

    def stop(self, drain_seconds: float) -> None:
        """Asks it to close its doors and end."""
        if self._control is not None:
            try:
                self._control.send_now(pack(Kind.STOP, Stop(drain_seconds)))
            except LineEnded:
                pass  # it has ended already

    def use_certificates(self, door: int, names: TlsNames) -> None:
        """Has it show other certificates at a door."""
        if self._control is not None:
            packet = pack(Kind.CERTIFICATES, Shown(door, names))
            self._nursery.start(self._send_in_turn(self._control, packet), name="worker.shown")

    async def _send_in_turn(self, control: Line, packet: bytes) -> None:
        async with self._turn:  # the later of two must arrive last
            await control.send(packet)

    def owe(self, about: str | None) -> None:
        """Has it forget something, None for everything. The page tells it that there is more."""
        if self._control is not None:
            self._debt.add(about)

    def statistics(self) -> WorkerStatistics:
        """A snapshot."""
        doors = tuple(door.statistics() for door in self._doors)
        return WorkerStatistics(
            self.number, self._pid, self.serving, self._host.statistics(), doors
        )

    async def _set_up(self, control: Line, setup: Setup) -> None:
        descriptors = [self._page.fileno(), *(one.fileno() for one in self._sockets)]
        # From here on orders are owed: no await lies between the count and the first of them.
        setup = msgspec.structs.replace(setup, order=self._page.count)
        self._control = control
        await control.send(pack(Kind.SETUP, setup), descriptors)
        self._nursery.start(self._tell_orders(control), name="worker.orders")

    async def _lead(
        self, control: Line, patience: asyncio.Timeout, opened: Callable[[], None]
    ) -> None:
        while (packet := await control.receive()) is not None:
            data, descriptors = packet
            match data[0]:
                case Kind.OPENED:
                    patience.reschedule(None)
                    self.serving = True
                    opened()
                case Kind.LINE:
                    self._host.adopt(Line(socket.socket(fileno=descriptors[0]), self._room))
                case Kind.REPORT:
                    self._take_report(unpack(data, Report))

    def _take_report(self, report: Report) -> None:
        if not self._doors:
            self._doors = [ToldDoor(self._metrics, door) for door in report.doors]
        for told, now in zip(self._doors, report.doors, strict=True):
            told.tell(now)
        for number, uses, body_bytes in report.uses:
            self._uses.count(number, uses, body_bytes)

    async def _tell_orders(self, control: Line) -> None:
        while True:
            await self._debt.owed.wait()
            await control.send(pack(Kind.FORGET, self._debt.take(self._page.count)))


def _spawn(program: str, line: int) -> subprocess.Popen[bytes]:
    """A worker, with one end of its line and nothing else of ours.

    Not by fork: a running loop and its connections must not be inherited. `-P` keeps the folder
    the node was started in from being imported from. It inherits that signals to the whole group
    are held back, and leaves it so: the main process alone decides when it ends.
    """
    argv = [sys.executable, "-P", "-m", program, str(line)]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, pass_fds=[line])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _crashed(name: str, error: BaseException) -> None:
    if not isinstance(error, LineEnded):
        _log.error("%s crashed", name, exc_info=error)
