"""Attacks that burn an origin's money, replayed at a few hundred requests a second.

Each asserts two things: the origin is asked no more than its budget, and a visitor who wants what
is stored is served at once, always.
"""

from __future__ import annotations

import http.client
import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest

from tests.rig.pages import HOST, Visitor
from tests.rig.processes import Rig
from tests.rig.shelf import MIB, Shelf, Stream, shelf, site_of

OTHER = "other.example.org"
BUDGET_PER_MINUTE = 240
SECONDS = 4.0
THREADS = 6
PATIENCE_SECONDS = 2.0
FILM = Stream(64 * MIB, seed=51)


@dataclass
class Stand:
    """A node with two sites, each with an origin of its own; the first one is attacked."""

    victim: Shelf
    other: Shelf
    visitor: Visitor
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def asked(self) -> int:
        return len(self.victim.asked)

    def budget(self, seconds: float) -> float:
        """What the origin may be asked in a time, from a full bucket and with a queue's worth."""
        return BUDGET_PER_MINUTE * (1 + (seconds + PATIENCE_SECONDS) / 60)

    def connection(self) -> http.client.HTTPConnection:
        host, _, port = self.visitor.node.edge.partition(":")
        return http.client.HTTPConnection(host, int(port), timeout=20)


@pytest.fixture
def stand(rig: Rig) -> Stand:
    victim, other = shelf(rig), shelf(rig)
    routes: list[dict[str, object]] = [
        {"data_class": "public"},
        {"prefix": "/strict/", "data_class": "public", "query": []},
    ]
    [first] = site_of(victim.url, *routes, requests_per_minute=BUDGET_PER_MINUTE)["site"]  # type: ignore[arg-type,misc]
    [second] = site_of(other.url, hosts=[OTHER])["site"]  # type: ignore[misc]
    made = Stand(victim, other, Visitor(rig, rig.node({"site": [first, second]}, name="rock")))
    victim.put("/page", b"page" * 500)
    victim.put("/strict/page", b"page" * 500)
    victim.put("/film", FILM)
    for _ in range(2):
        assert made.visitor.curl("/page").status == 200
        assert made.visitor.curl("/strict/page").status == 200
    return made


def get(
    connection: http.client.HTTPConnection, path: str, host: str = HOST, **fields: str
) -> http.client.HTTPResponse:
    """One request, its body read."""
    port = connection.port
    headers = {"Host": f"{host}:{port}", **{n.replace("_", "-"): v for n, v in fields.items()}}
    connection.request("GET", path, headers=headers)
    reply = connection.getresponse()
    reply.read()
    return reply


@contextmanager
def attacked(stand: Stand, one: Callable[[int], tuple[str, dict[str, str]]]) -> Iterator[Counter]:  # type: ignore[type-arg]
    """Threads that send what `one` makes of a number, until the block ends; statuses counted."""
    over, said = threading.Event(), Counter[int]()

    def attack() -> None:
        connection = stand.connection()
        while not over.is_set():
            path, fields = one(next(stand.numbers))
            try:
                said[get(connection, path, **fields).status] += 1
            except (OSError, http.client.HTTPException):
                said[0] += 1
                connection.close()
        connection.close()

    threads = [threading.Thread(target=attack) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield said
    finally:
        over.set()
        for thread in threads:
            thread.join()


def visit(stand: Stand, seconds: float = SECONDS) -> float:
    """A visitor who wants what is stored, all the while; the 95th slowest of a hundred, in s."""
    connection, took = stand.connection(), []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        reply = get(connection, "/page")
        took.append(time.monotonic() - began)
        assert reply.status == 200
        assert "hit" in (reply.headers["Cache-Status"] or "")
    return sorted(took)[len(took) * 95 // 100]


def other_site_is_well(stand: Stand) -> None:
    """What is not stored of another site comes from its origin, at once."""
    connection = stand.connection()
    path = f"/new-{next(stand.numbers)}"
    stand.other.put(path, b"other" * 100)
    began = time.monotonic()
    assert get(connection, path, OTHER).status == 200
    assert time.monotonic() - began < 1.0


def test_a_flood_of_invented_paths(stand: Stand) -> None:
    began, before = time.monotonic(), stand.asked()
    with attacked(stand, lambda number: (f"/invented-{number}", {})) as said:
        slowest = visit(stand)
        other_site_is_well(stand)
    asked = stand.asked() - before
    assert asked <= stand.budget(time.monotonic() - began)
    assert set(said) <= {404, 503}
    assert said[503] > 0
    assert slowest < 0.25
    refused = stand.visitor.curl("/invented-again")
    assert refused.status in (404, 503)


def test_what_is_over_the_budget_is_told_when_to_come_again(stand: Stand) -> None:
    with attacked(stand, lambda number: (f"/invented-{number}", {})) as said:
        connection, reply = stand.connection(), None
        until = time.monotonic() + 20
        while (reply is None or reply.status != 503) and time.monotonic() < until:
            reply = get(connection, f"/mine-{next(stand.numbers)}")
    assert reply is not None
    assert reply.status == 503
    assert said
    assert int(reply.headers["Retry-After"]) >= 1
    assert "connection_limit_reached" in reply.headers["Proxy-Status"]
    assert "no-store" in reply.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/page", "/strict/page"])
def test_invented_queries_around_the_cache(stand: Stand, path: str) -> None:
    began, before = time.monotonic(), stand.asked()
    with attacked(stand, lambda number: (f"{path}?bust={number}", {})) as said:
        slowest = visit(stand)
        other_site_is_well(stand)
    asked = stand.asked() - before
    if path.startswith("/strict"):
        assert asked == 0
        assert set(said) == {200}
    else:
        assert asked <= stand.budget(time.monotonic() - began)
        assert said[503] > 0
    assert slowest < 0.25


def test_ranges_that_want_more_than_they_are_worth(stand: Stand) -> None:
    tiny = ",".join(f"{start}-{start}" for start in range(4000, 0, -40))
    shapes = [f"bytes={tiny}", "bytes=" + "0-," * 40 + "0-", "bytes=0-9,5-14,7-20,8-30"]
    began, before = time.monotonic(), stand.victim.sent_bytes("/film")
    received = stand.visitor.node.child.rss_bytes()
    with attacked(stand, lambda number: ("/film", {"Range": shapes[number % 3]})) as said:
        slowest = visit(stand)
    assert stand.victim.sent_bytes("/film") - before <= 2 * MIB
    assert set(said) <= {416, 503}
    assert stand.asked() <= stand.budget(time.monotonic() - began) + 10
    assert stand.visitor.node.child.rss_bytes() - received < 64 * MIB
    assert slowest < 0.25


def test_tiny_ranges_all_over_a_large_file_cost_its_slices_once(stand: Stand) -> None:
    def one(number: int) -> tuple[str, dict[str, str]]:
        at = number * 7919 * 1021 % (FILM.size_bytes - 1)
        return "/film", {"Range": f"bytes={at}-{at}"}

    with attacked(stand, one) as said:
        slowest = visit(stand)
    assert stand.victim.sent_bytes("/film") <= FILM.size_bytes
    assert said[206] > 100
    assert slowest < 0.25


def test_heads_that_are_too_large_are_refused_before_anybody_is_asked(stand: Stand) -> None:
    before = stand.asked()
    fields = {f"X-{n}": "x" * 500 for n in range(95)} | {f"Y-{n}": "y" for n in range(3)}
    with attacked(
        stand, lambda number: (f"/big-{number}", {**fields, "X-Last": "z" * 20_000})
    ) as said:
        slowest = visit(stand)
    assert set(said) <= {431, 400, 0}
    assert stand.asked() == before
    assert slowest < 0.25


def test_readers_that_take_nothing_hold_up_nobody(stand: Stand) -> None:
    host, _, port = stand.visitor.node.edge.partition(":")
    assert stand.visitor.curl("/film", "-r", f"0-{8 * MIB}").status == 206
    rss = stand.visitor.node.child.rss_bytes()
    with ExitStack() as held:
        for _ in range(200):
            slow = held.enter_context(socket.create_connection((host, int(port))))
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            asked = f"GET /film HTTP/1.1\r\nHost: {HOST}:{port}\r\nRange: bytes=0-{8 * MIB}\r\n\r\n"
            slow.sendall(asked.encode())
        assert visit(stand) < 0.25
        assert stand.visitor.node.child.rss_bytes() - rss < 64 * MIB
