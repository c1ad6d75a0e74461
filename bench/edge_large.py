"""A 10 GB object behind the edge, read at random places by eight clients.

Owns the measurement of memory, of bytes asked of the origin, and of what a seek fetches. The origin
computes its bytes, so only what is touched is on any disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from random import Random

from bench.figures import Figure, within
from bench.machine import MIB, SERVERS, cpu_seconds, forget_peak, memory_bytes, started_on
from bench.stage import Stage
from tests.rig.pages import HOST, Visitor
from tests.rig.shelf import Shelf, Stream, edge, shelf

SIZE = 10 * 1000 * MIB
READERS, READS, READ_BYTES_MAX = 8, 40, 4 * MIB
PATH = "/large"
PIECE_BYTES = 256 << 10


def large(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """A 10 GB object: memory, bytes from the origin per unique slice, a seek, cost of a hit."""
    origin = shelf(stage.rig)
    content = Stream(SIZE)
    origin.put(PATH, content)
    with started_on(SERVERS):
        visitor = edge(stage.rig, origin.url)
    pid = visitor.node.child.pid
    yield _seek(origin, visitor, content)
    forget_peak(pid)
    touched = _readers(visitor, content, READS // 4 if quick else READS)
    asked = origin.sent_bytes(PATH) / (len(touched) * MIB)
    yield within("large-bytes-per-slice", "x", values=[asked], most=1.0)
    peak = memory_bytes(pid, "VmHWM") / MIB
    yield within("large-rss-peak", "MiB", values=[peak], most=200e6 / MIB)
    yield _hits(visitor, content, rounds=2 if quick else 5)


def _seek(origin: Shelf, visitor: Visitor, content: Stream) -> Figure:
    """Bytes that a look at 90 % costs."""
    start = SIZE * 9 // 10
    _read(_connection(visitor), content, start, start + 1000)
    return within("large-seek-bytes", "MiB", values=[origin.sent_bytes(PATH) / MIB], most=1.0)


def _readers(visitor: Visitor, content: Stream, reads: int) -> set[int]:
    """Eight at once; the slices that any of them touched, with the one of the seek."""

    def one(seed: int) -> set[int]:
        chance, connection = Random(seed), _connection(visitor)
        touched: set[int] = set()
        for _ in range(reads):
            start = chance.randrange(SIZE - READ_BYTES_MAX)
            stop = start + chance.randrange(1, READ_BYTES_MAX)
            _read(connection, content, start, stop)
            touched |= set(range(start // MIB, (stop - 1) // MIB + 1))
        return touched

    with ThreadPoolExecutor(READERS) as pool:
        every = pool.map(one, range(READERS))
        return set().union(*every) | {SIZE * 9 // 10 // MIB}


def _hits(visitor: Visitor, content: Stream, rounds: int) -> Figure:
    """CPU-seconds of the node per GB that is sent from slices that are here."""
    span = 64 * MIB
    connection = _connection(visitor)
    _read(connection, content, 0, span)
    costs = []
    for _ in range(rounds):
        before = cpu_seconds(visitor.node.child.pid)
        for _ in range(8):
            _drain(connection, 0, span)
        costs.append((cpu_seconds(visitor.node.child.pid) - before) / (8 * span / 1e9))
    return within("large-hit-cpu", "s/GB", values=costs, most=0.5)


def _connection(visitor: Visitor) -> HTTPConnection:
    host, _, port = visitor.node.edge.partition(":")
    return HTTPConnection(host, int(port), timeout=60)


def _take(connection: HTTPConnection, start: int, stop: int) -> bytes:
    return _asked(connection, start, stop).read()


def _drain(connection: HTTPConnection, start: int, stop: int) -> None:
    """In pieces that stay in the processor's cache, as a player takes it."""
    reply = _asked(connection, start, stop)
    while reply.read(PIECE_BYTES):
        pass


def _asked(connection: HTTPConnection, start: int, stop: int) -> HTTPResponse:
    host = f"{HOST}:{connection.port}"
    fields = {"Host": host, "Range": f"bytes={start}-{stop - 1}"}
    connection.request("GET", PATH, headers=fields)
    reply = connection.getresponse()
    if reply.status != 206:
        raise RuntimeError(f"{start}-{stop}: {reply.status}")
    return reply


def _read(connection: HTTPConnection, content: Stream, start: int, stop: int) -> None:
    if _take(connection, start, stop) != content.read(start, stop):
        raise RuntimeError(f"{start}-{stop} is not what the origin has")
