"""A whole edge over memory twins, and an origin that does as it is told.

The origin's promise: it may be down in any way a server can fail, answer anything, cut a body, and
count what it is asked. It answers a conditional request and a range truthfully, and never invents
bytes that nobody put there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_purge_book import SqlitePurgeBook
from skerry.adapters.sqlite_variants import SqliteVariants
from skerry.aio.tasks import Nursery
from skerry.app.doors.hot_tables import HotTables
from skerry.base.clock import ManualClock
from skerry.base.ranges import parse_range
from skerry.cdn.assembly import EdgeParts, assemble_edge
from skerry.cdn.backed import BackedVariants
from skerry.cdn.core.dates import format_date
from skerry.cdn.core.route import Route, Site
from skerry.cdn.core.validation import Outcome, evaluate, if_range_holds, selected
from skerry.cdn.ports import DataClass, RoutePolicy, Tier
from skerry.cdn.sibling_assembly import SiblingParts
from skerry.cdn.vault.assembly import VaultRooms
from skerry.store.testing import MemoryStore, read_segment
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.fills import Fills
from skerry.upstream.misses import Misses, MissMeters, MissRules
from skerry.upstream.ports import Cause, Exchange, TransportError, Trouble, Unavailable
from skerry.wire.message import Answer, Duplex, Headers, Interim, Piece, Request

PUBLIC = RoutePolicy(data_class=DataClass.PUBLIC)
ANY_METHOD = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "LINK", "BREW"}
)


@dataclass
class Page:
    """What the origin has at a path."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Cache-Control", "max-age=60"),)
    status: int = 200
    sized: bool = True
    cut_at: int | None = None
    interim: tuple[tuple[int, Headers], ...] = ()
    duplex: Duplex | None = None


class FakeExchange:
    """One answer; what comes after the first chunk waits for `rest`."""

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes,
        *,
        rest: asyncio.Event | None = None,
        cut_at: int | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.closed = False
        self.body = body
        self.duplex: Duplex | None = None
        self._rest = rest
        self._cut_at = cut_at

    async def chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.body), 65536):
            if start and self._rest is not None:
                await self._rest.wait()
            if self._cut_at is not None and start >= self._cut_at:
                raise TransportError(Trouble.CUT, "was cut")
            yield self.body[start : start + 65536]

    def switched(self) -> Duplex | None:
        return self.duplex

    async def close(self) -> None:
        self.closed = True


@dataclass
class FakeOrigin:
    """`cdn.ports.Origin` with pages.

    Attributes:
        pages: by target, or a function of the request.
        gate: requests wait for it before they are answered.
        down: every request fails so.
        status: every request is answered so.
        sent_bytes: lengths of all bodies given.
        rest: until it is set, no body goes past its first 64 KiB.
    """

    clock: ManualClock
    name: str = "site"
    pages: dict[str, Page | Callable[[str, Headers], Page]] = field(default_factory=dict)
    asked: list[tuple[str, str, Headers]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    exchanges: list[FakeExchange] = field(default_factory=list)
    sent_bytes: int = 0
    gate: asyncio.Event | None = None
    rest: asyncio.Event | None = None
    down: Trouble | None = None
    status: int = 0

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: AsyncIterator[bytes] | None = None,
        interim: Interim | None = None,
    ) -> Exchange:
        self.asked.append((method, target, headers))
        if body is not None:
            self.bodies.append(b"".join([chunk async for chunk in body]))
        if self.gate is not None:
            await self.gate.wait()
        if self.down is not None:
            cause = Cause(self.name, self.down, f"is {self.down}")
            raise Unavailable(self.name, (cause,), retry_after_seconds=5)
        page = self.pages.get(target)
        if interim is not None and isinstance(page, Page):
            for status, fields in page.interim:
                interim(status, fields)
        exchange = self._exchange(method, target, headers)
        if isinstance(page, Page):
            exchange.duplex = page.duplex
        self.exchanges.append(exchange)
        self.sent_bytes += len(exchange.body)
        return exchange

    def reachable(self) -> bool:
        return self.down is None

    def count(self, method: str = "GET") -> int:
        return sum(asked[0] == method for asked in self.asked)

    def _exchange(self, method: str, target: str, headers: Headers) -> FakeExchange:
        if self.status:
            return FakeExchange(self.status, self._dated(), b"broken")
        found = self.pages.get(target)
        if found is None:
            return FakeExchange(404, self._dated(), b"no such page")
        page = found(method, headers) if callable(found) else found
        fields = Headers((*page.headers, *self._dated()))
        if page.sized:
            fields = fields.with_fields(("Content-Length", str(len(page.body))))
        current = selected(fields)
        reading = method in ("GET", "HEAD")
        if reading and evaluate(method, headers, current) is Outcome.NOT_MODIFIED:
            return FakeExchange(304, fields.without("Content-Length"), b"")
        if method == "HEAD":
            return FakeExchange(page.status, fields, b"")
        wanted = headers.get("Range") if if_range_holds(headers, current) else None
        ranges = parse_range(wanted, len(page.body))
        if isinstance(ranges, tuple) and page.status == 200:
            part = ranges[0]
            fields = fields.with_fields(
                ("Content-Range", part.content_range), ("Content-Length", str(part.size))
            )
            body = page.body[part.start : part.stop]
            return FakeExchange(206, fields, body, rest=self.rest, cut_at=page.cut_at)
        return FakeExchange(page.status, fields, page.body, rest=self.rest, cut_at=page.cut_at)

    def _dated(self) -> Headers:
        return Headers((("Date", format_date(self.clock.now())),))


@dataclass
class Ready:
    """`cdn.ports.ReadyAnswers` that notes what it was told, and tells others of it."""

    forgotten: list[str] = field(default_factory=list)
    all_count: int = 0
    others: HotTables = field(default_factory=HotTables)

    def forget(self, about: str) -> None:
        self.forgotten.append(about)
        self.others.forget(about)

    def forget_all(self) -> None:
        self.all_count += 1
        self.others.forget_all()


class World:
    """One edge with one site; `policy` is that of its route."""

    def __init__(
        self,
        policy: RoutePolicy = PUBLIC,
        *,
        file: EdgeFile | None = None,
        store: MemoryStore | None = None,
        clock: ManualClock | None = None,
        admits: Callable[[str, int], bool] = lambda key, size: True,
        slice_bytes: int | None = None,
        upgrades: frozenset[str] = frozenset(),
        tiers: tuple[Tier, ...] = (),
        make_origin: type[FakeOrigin] = FakeOrigin,
        routes: tuple[Route, ...] = (),
        make_vault: Callable[[World], VaultRooms] | None = None,
        siblings: SiblingParts | None = None,
        name: str = "rock",
        hosts: tuple[str, ...] = ("www.example.org",),
        misses: MissRules | None = None,
    ) -> None:
        self.clock = clock or ManualClock()
        self.events = Events(self.clock.now)
        self.metrics = Registry()
        self.crashes: list[BaseException] = []
        self.nursery = Nursery(on_crash=lambda name, error: self.crashes.append(error))
        self.store = store or MemoryStore(self.clock)
        self.file = file or EdgeFile(None)
        self.variants = SqliteVariants(self.file)
        self.ready = Ready()
        self.store.removed = lambda digest: self.ready.forget(str(digest))
        self.origin = make_origin(self.clock)
        told = {"clock": self.clock, "events": self.events, "metrics": self.metrics}
        self.failures = ValidationFailures(self.metrics)
        self.fills = Fills(self.store, self.nursery, failures=self.failures, **told)  # type: ignore[arg-type]
        self.book = SqlitePurgeBook(self.file)
        vault = make_vault(self) if make_vault else None
        route = Route("/", "site", policy, slice_bytes, ANY_METHOD, upgrades=upgrades)
        self.sites = [Site("site", hosts, routes or (route,))]
        self.misses = Misses(
            {"site": misses or MissRules()},
            clock=self.clock,
            events=self.events,
            meters=MissMeters(self.metrics),
        )
        parts = self._parts(vault, tiers, siblings, name=name, admits=admits)
        self.rooms = assemble_edge(parts, self.sites)

    def _parts(
        self,
        vault: VaultRooms | None,
        tiers: tuple[Tier, ...],
        siblings: SiblingParts | None,
        *,
        name: str,
        admits: Callable[[str, int], bool],
    ) -> EdgeParts:
        return EdgeParts(
            store=self.store,
            variants=BackedVariants(self.variants, vault.writeback) if vault else self.variants,
            book=self.book,
            fills=self.fills,
            origins={"site": self.origin},
            clock=self.clock,
            events=self.events,
            metrics=self.metrics,
            nursery=self.nursery,
            node_name=name,
            loop_id=f"{name}-1",
            chance=Random(7),
            sign=lambda message: b"signed",
            ready=self.ready,
            admits=admits,
            backing=vault.writeback if vault else None,
            deeper=vault.tier if vault else None,
            tiers=lambda entries, purges: (*tiers, vault.tier) if vault else tiers,
            siblings=siblings,
            misses=self.misses,
        )

    def page(
        self, target: str, body: bytes, *fields: str, status: int = 200, sized: bool = True
    ) -> Page:
        """Puts a page there; fields as `Name: value`, by default fresh for a minute."""
        parts = (field.partition(": ") for field in fields or ("Cache-Control: max-age=60",))
        page = Page(body, tuple((name, value) for name, _, value in parts), status, sized)
        self.origin.pages[target] = page
        return page

    async def ask(
        self,
        target: str = "/",
        *fields: str,
        method: str = "GET",
        body: bytes = b"",
        interim: Interim | None = None,
        client: str = "",
        port: int = 0,
    ) -> Answer:
        """One request to the edge's door."""
        path, _, query = target.partition("?")
        parts = (field.partition(": ") for field in fields)
        headers = [(name, value) for name, _, value in parts]
        if "Host" not in Headers(headers):
            headers.insert(0, ("Host", "www.example.org"))
        if body:
            headers.append(("Content-Length", str(len(body))))

        async def sent() -> AsyncIterator[bytes]:
            if body:
                yield body

        return await self.rooms.front(
            Request(
                method,
                path,
                Headers(headers),
                query=query,
                raw_path=path,
                body=sent(),
                interim=interim,
                client=client,
                client_port=port,
            )
        )

    async def get(self, target: str = "/", *fields: str) -> tuple[int, bytes, str]:
        """Status, body and our member of Cache-Status."""
        answer = await self.ask(target, *fields)
        return answer.status, await body_of(answer), status_of(answer)

    async def settle(self) -> None:
        """Lets what runs behind the answers come to its end."""
        async with asyncio.timeout(10):
            while len(self.nursery):
                await self.nursery.idle()

    async def close(self) -> None:
        await self.nursery.close()
        assert not self.crashes


def status_of(answer: Answer) -> str:
    """Our member of Cache-Status, without our name."""
    last = answer.headers.joined("Cache-Status").rpartition("rock")[2]
    return last.removeprefix("; ").removeprefix(";").strip()


async def body_of(answer: Answer) -> bytes:
    """The whole body, whatever kind it is. Raises BodyAborted."""
    body = answer.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, AsyncIterator):
        try:
            return b"".join([await _bytes_of(piece) async for piece in body])
        finally:
            closing = getattr(body, "aclose", None)
            if closing is not None:
                await closing()
    return await read_segment(body)


async def _bytes_of(piece: Piece) -> bytes:
    return piece if isinstance(piece, bytes) else await read_segment(piece)
