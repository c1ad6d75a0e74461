"""One site's servers over the memory transport: who is asked, and what speaks against whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from random import Random

import pytest

from skerry.base.clock import ManualClock
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.core.limits import EVENT_STREAM_STALL_SECONDS, silence_seconds
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.metered import Metered
from skerry.upstream.origin import BadTarget, OriginClient
from skerry.upstream.ports import Dial, TransportError, Trouble, Unavailable
from skerry.upstream.sources import Source, Upstream
from skerry.upstream.testing_transport import MemoryTransport, Scripted
from skerry.wire.message import NO_HEADERS, Headers

FIRST, SECOND = "https://10.0.0.1", "https://10.0.0.2"
FINE = Scripted(body=b"fine")
DEAD = Scripted(trouble=Trouble.FIRST_BYTE_TIMEOUT)


class Rig:
    def __init__(self, *urls: str) -> None:
        self.clock = ManualClock()
        self.transport = MemoryTransport()
        self.registry = Registry()
        sources = tuple(
            Source(name, url, dial=Dial(connections_max=1))
            for name, url in zip(("first", "second"), urls, strict=False)
        )
        self.client = OriginClient(
            Upstream("www.example.org", sources),
            transport=self.transport,
            clock=self.clock,
            events=Events(self.clock.now),
            metrics=UpstreamMetrics(self.registry, ValidationFailures(self.registry)),
            rng=Random(1),
        )

    async def ask(self, method: str = "GET", target: str = "/a", **rest: object) -> Metered:
        """An answer, read to its end."""
        answer = await self.client.send(method, target, **rest)  # type: ignore[arg-type]
        async for _ in answer.chunks():
            pass
        return answer

    async def fail(self, times: int, method: str = "GET") -> None:
        for _ in range(times):
            with pytest.raises(Unavailable):
                await self.ask(method)

    def breakers(self) -> list[str]:
        return [source.breaker for source in self.client.statistics().sources]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("status", [200, 206, 301, 304, 401, 403, 404, 416, 429, 500, 503])
async def test_every_status_is_handed_on_as_it_came(status: int) -> None:
    rig = Rig(FIRST)
    fields = (("X-One", "1"), ("Location", "/b"), ("Content-Encoding", "gzip"))
    rig.transport.on(f"{FIRST}/a", Scripted(status, fields, b"body"))
    answer = await rig.client.send("GET", "/a?q=1%20", Headers((("Host", "www.example.org"),)))
    body = b"".join([chunk async for chunk in answer.chunks()])
    assert (answer.status, answer.source) == (status, "first")
    assert answer.headers.get("x-one") == "1"
    assert body == (b"" if status == 304 else b"body")
    seen = rig.transport.seen[0]
    assert seen.url == f"{FIRST}/a?q=1%20"
    assert seen.headers == Headers((("Host", "www.example.org"),))
    assert rig.transport.open_exchanges == 0


async def test_a_body_flows_to_the_server() -> None:
    rig = Rig(FIRST)
    rig.transport.on(f"{FIRST}/a", FINE)
    await rig.ask("POST", body=chunks(b"one", b"two"))
    assert (rig.transport.seen[0].method, rig.transport.seen[0].body) == ("POST", b"onetwo")


async def test_what_this_hop_cannot_do_is_not_promised_to_the_server() -> None:
    rig = Rig(FIRST)
    rig.transport.on(f"{FIRST}/a", FINE)
    fields = (("Expect", "100-continue"), ("Upgrade", "websocket"), ("Transfer-Encoding", "x"))
    await rig.ask(headers=Headers(fields))
    assert rig.transport.seen[0].headers == NO_HEADERS


@pytest.mark.parametrize("target", ["", "a", "http://evil/", "/a\\b", "/a b", "/" + "a" * 9000])
async def test_a_target_a_client_made_up_speaks_against_no_server(target: str) -> None:
    rig = Rig(FIRST)
    for _ in range(4):
        with pytest.raises(BadTarget):
            await rig.ask(target=target)
    assert rig.breakers() == ["closed"]
    assert rig.client.statistics().sources[0].troubles == ()


async def test_a_dead_server_is_left_alone_and_the_next_one_asked() -> None:
    rig = Rig(FIRST, SECOND)
    rig.transport.on(f"{FIRST}/a", DEAD)
    rig.transport.on(f"{SECOND}/a", FINE)
    for _ in range(5):
        assert (await rig.ask()).source == "second"
    assert rig.breakers() == ["open", "closed"]
    assert len(rig.transport.sent_to("10.0.0.1")) == 3
    assert rig.client.reachable()


async def test_a_server_that_is_back_is_first_again() -> None:
    rig = Rig(FIRST, SECOND)
    rig.transport.on(f"{FIRST}/a", DEAD, DEAD, DEAD, FINE)
    rig.transport.on(f"{SECOND}/a", FINE)
    for _ in range(3):
        await rig.ask()
    assert (await rig.ask()).source == "second"
    rig.clock.advance(3)
    assert (await rig.ask()).source == "first"
    assert rig.breakers() == ["closed", "closed"]


async def test_all_dead_is_said_with_every_cause() -> None:
    rig = Rig(FIRST, SECOND)
    rig.transport.on(f"{FIRST}/a", DEAD)
    with pytest.raises(Unavailable) as caught:
        await rig.ask()
    assert [cause.trouble for cause in caught.value.causes] == [
        Trouble.FIRST_BYTE_TIMEOUT,
        Trouble.REFUSED,
    ]
    await rig.fail(2)
    assert not rig.client.reachable()
    assert 1 <= rig.client.retry_after_seconds() <= 2


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_server_errors_turn_to_the_next_server(status: int) -> None:
    rig = Rig(FIRST, SECOND)
    rig.transport.on(f"{FIRST}/a", Scripted(status, (("Retry-After", "3600"),)))
    rig.transport.on(f"{SECOND}/a", FINE)
    answers = [(await rig.ask()).status for _ in range(4)]
    assert answers == [status, status, status, 200]


async def test_one_broken_page_does_not_close_a_site_with_one_server() -> None:
    rig = Rig(FIRST)
    rig.transport.on(f"{FIRST}/broken", Scripted(503, (("Retry-After", "3600"),)))
    rig.transport.on(f"{FIRST}/a", FINE)
    for _ in range(10):
        assert (await rig.ask(target="/broken")).status == 503
    assert (await rig.ask()).status == 200


async def test_t30_a_server_error_does_not_clear_what_counts() -> None:
    rig = Rig(FIRST)
    broken = Scripted(500)
    rig.transport.on(f"{FIRST}/a", DEAD, broken, DEAD, broken, DEAD)
    for _ in range(2):
        await rig.fail(1)
        await rig.ask()
    await rig.fail(1)
    assert rig.breakers() == ["open"]


@pytest.mark.parametrize("status", [501, 505, 429, 404])
async def test_what_speaks_of_the_request_alone_closes_nothing(status: int) -> None:
    rig = Rig(FIRST, SECOND)
    rig.transport.on(f"{FIRST}/a", Scripted(status, (("Retry-After", "3600"),)))
    for _ in range(10):
        answer = await rig.ask()
        assert (answer.source, answer.status) == ("first", status)


async def test_cut_bodies_count() -> None:
    rig = Rig(FIRST)
    rig.transport.on(f"{FIRST}/a", Scripted(body=b"x" * 100, cut_after=50))
    for _ in range(3):
        with pytest.raises(Exception, match="cut"):
            await rig.ask()
    assert rig.breakers() == ["open"]
    assert rig.transport.open_exchanges == 0


async def test_clients_that_leave_count_for_nothing() -> None:
    rig = Rig(FIRST)
    rig.transport.on(f"{FIRST}/a", DEAD, DEAD, FINE)
    await rig.fail(2)
    answer = await rig.client.send("GET", "/a")
    await answer.close()
    rig.transport.on(f"{FIRST}/a", DEAD)
    await rig.fail(1)
    assert rig.breakers() == ["open"]
    assert rig.client.statistics().sources[0].in_flight == 0


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("DELETE", 204)])
async def test_an_answer_without_a_body_is_whole_at_its_head(method: str, status: int) -> None:
    rig = Rig(FIRST)
    rig.transport.on(f"{FIRST}/a", DEAD, DEAD, Scripted(status), DEAD)
    await rig.fail(2)
    await (await rig.client.send(method, "/a")).close()
    await rig.fail(1)
    assert rig.breakers() == ["closed"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_may_be_done_twice_is_tried_at_the_next_server(method: str) -> None:
    rig = Rig(FIRST, SECOND)
    rig.transport.on(f"{FIRST}/a", DEAD)
    rig.transport.on(f"{SECOND}/a", FINE)
    assert (await rig.ask(method)).source == "second"


async def test_what_may_not_be_done_twice_goes_on_only_when_it_was_not_sent() -> None:
    rig = Rig(FIRST, SECOND)
    rig.transport.on(f"{SECOND}/a", FINE)
    refused = await rig.ask("POST", body=chunks(b"order"))
    assert (refused.source, rig.transport.seen[-1].body) == ("second", b"order")
    rig.transport.on(f"{FIRST}/a", DEAD)
    with pytest.raises(Unavailable):
        await rig.ask("POST")


async def test_a_body_that_was_begun_is_never_sent_to_another_server() -> None:
    rig = Rig(FIRST, SECOND)
    rig.transport.on(f"{FIRST}/a", Scripted(trouble=Trouble.REFUSED))
    rig.transport.on(f"{SECOND}/a", FINE)
    with pytest.raises(Unavailable):
        await rig.ask("PUT", body=chunks(b"one", b"two"))
    assert rig.transport.sent_to("10.0.0.2") == []


async def test_a_body_that_breaks_off_is_not_the_servers_fault() -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield b"begun"
        raise ConnectionResetError("the client has left")

    rig = Rig(FIRST)
    rig.transport.on(f"{FIRST}/a", FINE)
    for _ in range(4):
        with pytest.raises(ConnectionResetError):
            await rig.ask("POST", body=leaving())
    assert rig.breakers() == ["closed"]
    assert rig.client.statistics().sources[0].in_flight == 0


async def test_a_hung_server_costs_the_others_no_connection() -> None:
    rig, other = Rig(FIRST), Rig(SECOND)
    rig.transport.on(f"{FIRST}/a", Scripted(hang=True))
    other.transport.on(f"{SECOND}/a", FINE)
    hung = asyncio.ensure_future(rig.ask())
    await asyncio.sleep(0)
    assert rig.client.statistics().sources[0].in_flight == 1
    assert (await asyncio.wait_for(other.ask(), 30)).status == 200
    hung.cancel()
    await asyncio.wait([hung])
    assert rig.client.statistics().sources[0].in_flight == 0
    assert rig.breakers() == ["closed"]


@pytest.mark.parametrize(
    ("kind", "cut"), [("text/event-stream; charset=utf-8", False), ("text/html", True)]
)
async def test_a_stream_of_events_may_trickle_for_hours(kind: str, cut: bool) -> None:
    rig = Rig(FIRST)
    beats = Scripted(
        headers=(("Content-Type", kind), ("Content-Length", "500")),
        body=b":" * 500,
        chunk_bytes=1,
        before_chunk=lambda: rig.clock.advance(20),
    )
    rig.transport.on(f"{FIRST}/a", beats)
    answer = await rig.client.send("GET", "/a")
    with pytest.raises(TransportError, match="bytes a second") if cut else nullcontext():
        async for _ in answer.chunks():
            pass


def test_a_body_of_events_may_be_silent_for_longer() -> None:
    events = Headers((("content-type", "Text/Event-Stream;x"),))
    assert silence_seconds(5.0, events) == EVENT_STREAM_STALL_SECONDS
    assert silence_seconds(900.0, events) == 900.0
    assert silence_seconds(5.0, NO_HEADERS) == 5.0


async def test_a_switch_of_protocols_nobody_asked_for_is_trouble() -> None:
    rig = Rig(FIRST)
    rig.transport.on(f"{FIRST}/a", Scripted(101))
    await rig.fail(1)
    assert rig.transport.open_exchanges == 0
