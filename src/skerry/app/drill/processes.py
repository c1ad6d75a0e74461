"""Other programs as children: started, watched, killed by pid, never left behind.

Owns the child, its log file and what /proc says of it. Never ends a process it did not start.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from skerry.app.drill.client import RegistryClient

READY_SECONDS_MAX = 20.0
POLL_SECONDS = 0.01
LOG_TAIL_BYTES = 4000

SKERRY = (sys.executable, "-c", "from skerry.cli.main import main; main()")
"""This very installation's `skerry`, wherever its script is."""

Setting = str | int | float | bool | Sequence["Setting"] | Mapping[str, "Setting"]


class NotReady(RuntimeError):
    """A child ended or stayed silent; the message ends with the tail of its log."""


class Child:
    """One running program. Both its streams go to one log file, which is only ever appended."""

    def __init__(
        self, argv: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.argv = tuple(argv)
        self.log = log
        # A handler that raises must not run between the birth of the child and our knowing it.
        guarded = {signal.SIGTERM} if callable(signal.getsignal(signal.SIGTERM)) else set()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, guarded)
        try:
            with log.open("ab") as out:
                self._process = subprocess.Popen(
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
        except BaseException:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            raise
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)  # one that waited comes now
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        self._process.kill()
        self._process.wait()

    def stop(self, *, seconds_max: float = 5.0) -> int:
        """SIGTERM, then SIGKILL when that did not help. Returns the exit code."""
        if self.alive:
            # The kernel says when it ends; `Popen.wait` sleeps between two looks.
            ended = os.pidfd_open(self.pid)
            try:
                self._process.send_signal(signal.SIGTERM)
                watch = select.poll()
                watch.register(ended, select.POLLIN)
                if not watch.poll(seconds_max * 1000):
                    self.kill()
            finally:
                os.close(ended)
        return self._process.wait()

    def log_tail(self) -> str:
        """The end of the log, for people."""
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def wait_until(
        self, ready: Callable[[], bool], *, seconds_max: float = READY_SECONDS_MAX
    ) -> float:
        """Asks again and again; returns the seconds it took. Raises NotReady."""
        started = time.perf_counter()
        while not ready():
            spent = time.perf_counter() - started
            if not self.alive or spent > seconds_max:
                how = "was not ready" if self.alive else f"ended with {self._process.returncode}"
                raise NotReady(f"{self.argv[0]} {how} after {spent:.1f} s\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - started

    def rss_bytes(self) -> int:
        """Resident memory now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """User and system time spent so far."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


class NodeProcess:
    """`skerry up` with a settings file of its own; can be killed and started again.

    Attributes:
        registry: authority of its registry door.
        edge: authority of its edge door, which opens when the settings have a site.
        admin: authority of its admin door.
        ready_seconds: how long the last start took until the first answer.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Setting], *, name: str = "node"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.registry = f"127.0.0.1:{free_port()}"
        self.edge = f"127.0.0.1:{free_port()}"
        self.admin = f"127.0.0.1:{free_port()}"
        self.config = folder / "skerry.toml"
        self.log = folder / "skerry.log"
        self.ready_seconds = 0.0
        self._child: Child | None = None
        doors: dict[str, Setting] = {
            "registry": self.registry,
            "edge": self.edge,
            "admin": self.admin,
        }
        more = settings.get("doors", {})
        if isinstance(more, Mapping):
            doors |= more
        node: dict[str, Setting] = {"name": name, "data_dir": str(folder / "data")}
        more = settings.get("node", {})
        if isinstance(more, Mapping):
            node |= more
        self.config.write_text(toml_text({**settings, "doors": doors, "node": node}))

    @property
    def child(self) -> Child:
        """The running process. Raises RuntimeError when it is not running."""
        if self._child is None:
            raise RuntimeError("the node is not running")
        return self._child

    def start(self) -> None:
        """Starts it and waits until its registry answers. Raises NotReady."""
        argv = [*SKERRY, "up", "--config", str(self.config)]
        self._child = Child(argv, log=self.log)
        self.ready_seconds = self._child.wait_until(lambda: answers(self.registry))

    def wait_until_stored(self) -> None:
        """Until everything that clients have got is durable too; that comes a moment later."""
        ingest = self.folder / "data" / "ingest"
        self.child.wait_until(
            lambda: (not ingest.exists() or not any(ingest.iterdir())) and self._rows_are_kept()
        )

    def _rows_are_kept(self) -> bool:
        """Whether the index has what the disk has: rows that nobody waits for are written late."""
        seen = RegistryClient(self.admin, timeout_seconds=2).get("/metrics")
        rows = [line.split() for line in seen.body.decode().splitlines()]
        return seen.status == 200 and not any(
            row[0] == "skerry_edge_storing" and float(row[1]) for row in rows
        )

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()
        self._child = None

    def restart(self) -> None:
        """kill -9 and a cold start."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Ends it politely; may be called twice."""
        if self._child is not None:
            self._child.stop()
            self._child = None


def answers(authority: str) -> bool:
    """Whether a registry there says anything but a server error to `GET /v2/`."""
    return 0 < RegistryClient(authority, timeout_seconds=2).get("/v2/").status < 500


def comes_true(
    ready: Callable[[], bool], *, seconds_max: float, every_seconds: float = POLL_SECONDS
) -> bool:
    """Asks again and again, once at least; whether it was so in time."""
    deadline = time.monotonic() + seconds_max
    while not ready():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every_seconds)
    return True


def wait_until_still(read: Callable[[], int], *, quiet_seconds: float = 0.3) -> None:
    """Until a count has stood still for so long. Raises NotReady when it never does."""
    last, since, started = read(), time.monotonic(), time.monotonic()
    while time.monotonic() - since < quiet_seconds:
        time.sleep(POLL_SECONDS)
        if (count := read()) != last:
            last, since = count, time.monotonic()
        if time.monotonic() - started > READY_SECONDS_MAX:
            raise NotReady(f"a count is still rising after {READY_SECONDS_MAX:g} s: {last}")


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def toml_text(settings: Mapping[str, Setting]) -> str:
    """TOML of nested mappings; a sequence of mappings becomes an array of tables."""
    return "\n".join(_table("", settings)) + "\n"


def _table(path: str, table: Mapping[str, Setting]) -> list[str]:
    plain, nested = [], []
    for key, value in table.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            nested += ["", f"[{name}]", *_table(name, value)]
        elif _is_tables(value):
            for entry in value:
                nested += ["", f"[[{name}]]", *_table(name, entry)]
        else:
            plain.append(f"{key} = {_value(value)}")
    return plain + nested


def _is_tables(value: Setting) -> TypeGuard[Sequence[Mapping[str, Setting]]]:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(entry, Mapping) for entry in value)
    )


def _value(value: Setting) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(entry) for entry in value) + "]"
    return str(value)
