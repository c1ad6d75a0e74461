"""A stranger with many connections or endless messages must cost the others nothing."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from skerry.adapters.http_server_state import DoorLimits
from skerry.base.address import near_of
from skerry.base.clock import ManualClock
from skerry.wire.message import Answer, Request
from tests.adapters.http_door import (
    Front,
    GrowingFile,
    beats,
    connect,
    guarded,
    opened,
    request,
    until,
)

CHUNKED = request("/v2/", "Transfer-Encoding: chunked", method="POST")
FIELDS = b"X-Filler: " + b"b" * 40 + b"\r\n"


@pytest.mark.parametrize(
    "endless",
    [b"0\r\n" + FIELDS * 100, b"0\r\nX-Never: ends" + b"a" * 4000, b"1;ext=" + b"e" * 4000],
    ids=["trailers", "one trailer", "a chunk extension"],
)
async def test_framing_that_never_ends_ends_the_connection(endless: bytes) -> None:
    async with opened(Front()) as door:
        client = await connect(door)
        await client.send(CHUNKED)
        assert (await client.answer()).status == 404
        (connection,) = door._state.connections

        async def send_for_ever() -> None:
            await client.send(endless)
            while True:
                await client.send(endless.partition(b"\r\n")[2] or endless[-4000:])

        with pytest.raises(ConnectionError):
            await guarded(send_for_ever())
        assert len(connection.headers) < 10  # none of it was kept


async def test_a_body_that_nobody_reads_is_not_taken_for_ever() -> None:
    limits = DoorLimits(unread_bytes_max=1 << 20)
    clock = ManualClock()
    async with opened(Front(), limits=limits, clock=clock) as door:
        client = await connect(door)
        await client.send(request("/v2/", f"Content-Length: {1 << 40}", method="PUT"))
        assert (await client.answer()).status == 404
        await client.send(bytes(2 << 20))
        await until(lambda: all(c.refusal is not None for c in door._state.connections))
        await beats(door, clock, 6)
        await client.ended()
        assert door.statistics().connections == 0


async def test_a_body_that_nobody_reads_cannot_be_dripped_to_keep_the_connection() -> None:
    clock = ManualClock()
    async with opened(Front(), limits=DoorLimits(body_stall_seconds=3), clock=clock) as door:
        client = await connect(door)
        await client.send(request("/v2/", "Content-Length: 1000", method="PUT"))
        assert (await client.answer()).status == 404
        for _ in range(3):
            await client.send(b".")
            await beats(door, clock, 1)
        await beats(door, clock, 1)
        assert not await client.ended()


async def test_idle_connections_make_way_when_the_door_is_full() -> None:
    async with opened(Front(), limits=DoorLimits(connections_max=8)) as door:
        idle = [await connect(door) for _ in range(8)]
        await until(lambda: door.statistics().connections == 8)
        half_a_head = await connect(door)
        await half_a_head.send(b"GET /v2/ HT")
        for _ in range(20):
            wanted = await connect(door)
            assert (await wanted.get("/v2/")).status == 404
        await idle[0].ended()
        assert door.statistics().connections <= 8


async def test_one_client_cannot_have_all_connections() -> None:
    limits = DoorLimits(connections_max=8, client_connections_max=2)
    async with opened(Front(), limits=limits) as door:
        kept = [await connect(door) for _ in range(2)]
        await until(lambda: door.statistics().connections == 2)
        assert (await (await connect(door)).answer()).status == 503
        kept[0].leave()
        await until(lambda: door.statistics().connections < 3)
        await until(lambda: sum(door._state.clients.values()) == door.statistics().connections)


async def test_a_trusted_proxy_may_have_them_all_since_many_stand_behind_it() -> None:
    limits = DoorLimits(connections_max=8, client_connections_max=2, proxies=("127.0.0.1/32",))
    async with opened(Front(), limits=limits) as door:
        kept = [await connect(door) for _ in range(6)]
        for client in kept:
            await client.send(request("/v2/"))
            assert (await client.answer()).status == 404
        assert door.statistics().connections == len(kept)


async def test_refusals_that_nobody_reads_do_not_fill_the_door() -> None:
    limits = DoorLimits(connections_max=16, client_connections_max=8)
    async with opened(Front(), limits=limits) as door:
        kept = [await connect(door) for _ in range(60)]
        await until(lambda: door.statistics().connections <= 10)
        for client in kept:
            client.leave()


def test_one_ipv6_network_is_one_client() -> None:
    assert near_of("2001:db8::1") == near_of("2001:db8::ffff:2%eth0")
    assert near_of("2001:db8:0:1::1") != near_of("2001:db8::1")
    assert near_of("192.0.2.1") != near_of("192.0.2.2")
    assert near_of("::ffff:192.0.2.1") != near_of("::ffff:192.0.2.2")


async def test_a_reader_that_takes_a_little_now_and_then_is_given_up(tmp_path: Path) -> None:
    clock = ManualClock()
    blob = GrowingFile.whole(tmp_path / "blob", bytes(32 << 20))
    front = Front()
    front.always("/blob", Answer(200, body=blob))
    limits = DoorLimits(send_stall_seconds=4, send_bytes_min=16 << 20)
    async with opened(front, clock=clock, limits=limits) as door:
        client = await connect(door, receive_buffer_bytes=4096)
        await client.send(request("/blob"))
        await until(
            lambda: any(c.outlet.taken_bytes() is not None for c in door._state.connections)
        )
        for _ in range(6):
            await guarded(client.reader.read(1000))
            await beats(door, clock, 1)
        await guarded(blob.closed.wait())


async def test_large_answers_in_memory_are_bounded_whoever_does_not_read_them() -> None:
    front = Front()
    front.always("/list", Answer(200, body=os.urandom(8 << 20)))
    front.always("/small", Answer(200, body=b"small"))
    async with opened(front, limits=DoorLimits(held_bytes_max=20 << 20)) as door:
        deaf = [await connect(door, receive_buffer_bytes=4096) for _ in range(2)]
        for client in deaf:
            await client.send(request("/list"))
        await until(lambda: door._state.traffic.held_bytes == 16 << 20)
        client = await connect(door)
        got = await client.get("/list")
        assert (got.status, got.headers.get("retry-after")) == (503, "5")
        assert (await client.get("/small")).body == b"small"
        for each in deaf:
            each.leave()
        await until(lambda: door._state.traffic.held_bytes == 0)
        assert (await client.get("/list")).status == 200


async def test_a_waiting_request_is_never_the_one_that_makes_way() -> None:
    gate = asyncio.Event()

    async def slow(request: Request) -> Answer:
        await gate.wait()
        return Answer(200, body=b"at last")

    front = Front({"/slow": slow})
    async with opened(front, limits=DoorLimits(connections_max=4)) as door:
        patient = await connect(door)
        await patient.send(request("/slow"))
        await until(lambda: front.asked == ["/slow"])
        for _ in range(10):
            assert (await (await connect(door)).get("/none")).status == 404
        gate.set()
        assert (await patient.answer()).body == b"at last"
