"""A stage in memory: the whole edge over twins, its clock in the transcript's hands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from skerry.cdn.core.route import Route, Site
from skerry.cdn.ports import DataClass, RoutePolicy
from skerry.upstream.ports import Cause, Exchange, TransportError, Trouble, Unavailable
from skerry.wire.message import Answer, BodyAborted, Headers, Interim
from tests.cdn.transcripts.origin import Given, Heard, answer
from tests.cdn.transcripts.play import Seen
from tests.cdn.transcripts.script import Asks, Says
from tests.cdn.world import ANY_METHOD, FakeExchange, FakeOrigin, World, body_of

CHUNK_BYTES = 8


def policy_of(route: Mapping[str, str]) -> RoutePolicy:
    """The policy that a transcript's `route` line describes."""

    def seconds(name: str) -> float | None:
        return float(route[name]) if name in route else None

    allow = tuple(route["query_allow"].split(",")) if "query_allow" in route else None
    return RoutePolicy(
        data_class=DataClass(route.get("data_class", "public")),
        fresh_seconds=seconds("fresh_seconds"),
        stale_if_error_seconds=seconds("stale_if_error_seconds"),
        stale_while_revalidate_seconds=seconds("stale_while_revalidate_seconds"),
        store_cookies=route.get("store_cookies") == "true",
        query_allow=allow,
    )


def _sized(answer: Answer) -> Headers:
    """The fields with the length that the door would set (`wire.message.Answer`)."""
    if "Content-Length" in answer.headers or answer.status in (204, 304):
        return answer.headers
    if isinstance(answer.body, AsyncIterator):
        return answer.headers
    size = len(answer.body) if isinstance(answer.body, bytes) else answer.body.size_bytes
    return answer.headers.with_fields(("Content-Length", str(size)))


class CutExchange(FakeExchange):
    """An answer in small pieces that may end too soon."""

    def __init__(self, given: Given, *, head: bool) -> None:
        super().__init__(given.status, given.headers, b"" if head else given.body)
        self._cut = given.cut_at

    async def chunks(self) -> AsyncIterator[bytes]:
        body = self.body if self._cut is None else self.body[: self._cut]
        for start in range(0, len(body), max(CHUNK_BYTES, len(body) // 8)):
            yield body[start : start + max(CHUNK_BYTES, len(body) // 8)]
        if self._cut is not None:
            raise TransportError(Trouble.CUT, "was cut")


@dataclass
class ScriptedOrigin(FakeOrigin):
    """`cdn.ports.Origin` that answers by script."""

    def __post_init__(self) -> None:
        self.script: dict[str, Says] = {}
        self.heard: list[Heard] = []

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: AsyncIterator[bytes] | None = None,
        interim: Interim | None = None,
    ) -> Exchange:
        sent = b"" if body is None else b"".join([chunk async for chunk in body])
        heard = Heard(method, target, headers, sent)
        self.heard.append(heard)
        given = answer(
            self.script, heard, now=self.clock.now(), prefix="", site="http://www.example.org"
        )
        if given is None:
            cause = Cause(self.name, Trouble.REFUSED, "is down")
            raise Unavailable(self.name, (cause,), retry_after_seconds=5)
        return CutExchange(given, head=method == "HEAD")


class MemoryStage:
    """`play.Stage` over `tests.cdn.world`."""

    prefix = ""
    site = "http://www.example.org"
    drift_seconds = 0.0
    ours = True

    def __init__(self, route: Mapping[str, str]) -> None:
        size = int(route["slice_bytes"]) if "slice_bytes" in route else None
        policy = policy_of(route)
        self.world = World(policy, slice_bytes=size, make_origin=ScriptedOrigin)
        if route.get("tell_key") == "true":
            told = Route("/", "site", policy, size, ANY_METHOD, tells_key=True)
            self.world.rooms.front.use([Site("site", ("www.example.org",), (told,))])
        origin = self.world.origin
        assert isinstance(origin, ScriptedOrigin)
        self._origin = origin

    def now(self) -> float:
        return self.world.clock.now()

    def says(self, says: Says) -> None:
        self._origin.script[says.path] = says

    async def ask(self, ask: Asks) -> Seen:
        lines = [f"{name}: {value}" for name, value in ask.fields]
        given: Answer = await self.world.ask(ask.path, *lines, method=ask.method, body=ask.body)
        try:
            return Seen(given.status, _sized(given), await body_of(given))
        except BodyAborted:
            return Seen(given.status, given.headers, b"", broken=True)

    async def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    async def settled(self) -> list[Heard]:
        await self.world.settle()
        return self._origin.heard
