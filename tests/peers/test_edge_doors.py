"""The edge's doors with real programs: WebSocket, streams, hints, reloads, and what nginx behind
the node is asked."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import websockets
from typer.testing import CliRunner
from websockets.asyncio.client import ClientConnection

from skerry.app.drill.processes import Setting
from skerry.cli.main import make_app
from tests.adapters.http_door import Client, guarded
from tests.attacks.test_smuggling import HEADS, SECOND
from tests.rig.pages import HOST, build
from tests.rig.pairs import make_pair
from tests.rig.processes import Rig, need
from tests.rig.sites import Echo, RawOrigin, Site

MIB = 1 << 20


CHAT: dict[str, Setting] = {"prefix": "/ws", "upgrades": ["websocket"], "upgrade_idle": "2s"}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_websocket_carries_storms_of_frames_both_ways(rig: Rig, tls: bool, workers: int) -> None:
    site = Site(rig, {"origins": [Echo(rig).url], "route": [{"prefix": "/"}, CHAT]},
                workers=workers)  # fmt: skip

    async def storm(connection: ClientConnection) -> None:
        small = [os.urandom(number % 300) for number in range(2000)]
        large = [os.urandom(MIB) for _ in range(8)]
        frames = [*small, *large, "text", *small]

        async def send() -> None:
            for frame in frames:
                await connection.send(frame)

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            for frame in frames:
                assert await connection.recv() == frame

    async def talk() -> None:
        async with asyncio.timeout(60), site.websocket(tls=tls) as connection:
            await storm(connection)
            # Longer than `upgrade_idle`: the server's pings are life enough.
            await asyncio.sleep(2.5)
            await connection.send("still here")
            assert await connection.recv() == "still here"
            assert site.metric("skerry_edge_tunnels") == 1

    rig.run(talk())
    assert site.metric('skerry_edge_tunnel_bytes_total{to="client"}') > 8 * MIB


def test_a_websocket_on_a_route_without_it_is_refused_by_the_server_itself(rig: Rig) -> None:
    site = Site(rig, {"origins": [Echo(rig).url], "route": [{"prefix": "/"}, CHAT]})

    async def talk() -> None:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with site.websocket(tls=False, path="/other"):
                pass
        assert refused.value.response.status_code == 426  # it was asked without the offer

    rig.run(talk())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_each_event_arrives_before_the_next_is_sent_and_leaving_is_told(
    rig: Rig, tls: bool
) -> None:
    go = asyncio.Queue[bytes]()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Cache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        gone = asyncio.ensure_future(reader.read())
        while not gone.done():
            said = asyncio.ensure_future(go.get())
            await asyncio.wait({said, gone}, return_when=asyncio.FIRST_COMPLETED)
            if said.done():
                data = said.result()
                writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            else:
                said.cancel()
        raise ConnectionError("the reader left")

    origin = RawOrigin(rig, speak)
    # Silent for far longer than `stall`, as a stream with a heartbeat of 15 s is.
    site = Site(rig, {"origins": [origin.url], "stall": "500ms",
                      "route": [{"data_class": "public"}]})  # fmt: skip

    async def listen() -> None:
        clients = [await site.connect(tls=tls) for _ in range(2)]
        for client in clients:  # two of them are two streams
            await client.send(f"GET /events HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            status, headers = await client.head()
            assert (status, headers.get("content-type")) == (200, "text/event-stream")
        assert origin.open == 2
        for number in range(4):
            for _ in clients:
                go.put_nowait(b"data: %d\n\n" % number)
            for client in clients:
                assert f"data: {number}\n\n".encode() in await guarded(
                    client.reader.readuntil(b"\n\n\r\n")
                )
            await asyncio.sleep(0.8 if number == 2 else 0)
        for client in clients:
            client.leave()
        async with asyncio.timeout(5):
            while origin.open:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    rig.run(listen())


@pytest.mark.parametrize("kind", ["public", "sensitive"])
def test_hints_arrive_while_the_origin_still_thinks(rig: Rig, kind: str) -> None:
    think = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        await think.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=60\r\n\r\n"
                     b"page")  # fmt: skip

    origin = RawOrigin(rig, speak)
    site = Site(rig, {"origins": [origin.url], "route": [{"data_class": kind}]})

    async def ask() -> None:
        client = await site.connect()
        await client.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        status, headers = await client.head()
        assert (status, headers.get("link")) == (103, "</a.css>; rel=preload")
        think.set()
        assert (await client.answer()).body == b"page"
        old = await site.connect()
        await old.send(f"GET /b HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        assert (await guarded(old.reader.read())).startswith(b"HTTP/1.1 200")

    rig.run(ask())


@pytest.mark.parametrize("by", ["signal", "command"])
def test_a_slow_download_outlives_a_reload_and_the_next_request_meets_the_new_site(
    rig: Rig, by: str, tmp_path: Path
) -> None:
    pages = build(rig)  # its nginx is the origin
    data = pages.random("/film", 6 * MIB)
    public: dict[str, Setting] = {"origins": [pages.origin.url],
                                  "route": [{"data_class": "public"}]}  # fmt: skip
    site = Site(rig, public, workers=2)
    got = tmp_path / "film"
    argv = [need("curl"), "-sS", "--fail", "--limit-rate", "2M", "--cacert", site.pair.cert_file]
    argv += ["--resolve", f"{HOST}:{site.port(tls=True)}:127.0.0.1", "-o", str(got)]
    slow = subprocess.Popen([*argv, f"https://{HOST}:{site.port(tls=True)}/film"])
    site.node.child.wait_until(lambda: got.exists() and got.stat().st_size > 0)
    site.rewrite({**public, "hosts": ["other.example", HOST], "route": [{"prefix": "/none/"}]})
    if by == "signal":
        os.kill(site.node.child.pid, signal.SIGHUP)
    else:
        done = CliRunner().invoke(make_app(), ["reload", "--config", str(site.node.config)])
        assert done.exit_code == 0, done.output
        assert "added: site other.example" in done.stdout

    async def status() -> int:
        client = await site.connect(tls=True)
        return await _get(client, "/film")

    site.node.child.wait_until(lambda: rig.run(status()) == 404)
    assert slow.wait(timeout=30) == 0
    assert got.read_bytes() == data


async def _get(client: Client, path: str) -> int:
    await client.send(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return (await client.answer()).status


def test_every_process_shows_a_renewed_certificate_and_a_new_site_s(rig: Rig) -> None:
    echo_url = Echo(rig).url
    site = Site(rig, {"origins": [echo_url]}, workers=2)

    async def shown(name: str) -> set[bytes]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        found: set[bytes] = set()
        for _ in range(16):  # the kernel spreads them over the processes
            _, writer = await asyncio.open_connection(
                "127.0.0.1", site.port(tls=True), ssl=context, server_hostname=name
            )
            found.add(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            writer.close()
        return found

    (old,) = rig.run(shown(HOST))
    site.pair = make_pair(site.folder, "site", HOST)
    new = ssl.PEM_cert_to_DER_cert(Path(site.pair.cert_file).read_text())
    assert new != old
    site.node.child.wait_until(lambda: rig.run(shown(HOST)) == {new}, seconds_max=15)
    other = make_pair(site.folder, "other", "other.example")
    more: dict[str, Setting] = {
        "hosts": ["other.example"],
        "origins": [echo_url],
        "cert_file": other.cert_file,
        "key_file": other.key_file,
    }
    site.rewrite({"origins": [echo_url]}, more)
    done = CliRunner().invoke(make_app(), ["reload", "--config", str(site.node.config)])
    assert "changed: certificates" in done.stdout, done.output
    wanted = ssl.PEM_cert_to_DER_cert(Path(other.cert_file).read_text())
    site.node.child.wait_until(lambda: rig.run(shown("other.example")) == {wanted})
    assert rig.run(shown(HOST)) == {new}


def test_nginx_behind_the_node_is_asked_for_nothing_that_was_smuggled(rig: Rig) -> None:
    pages = build(rig, {"prefix": "/", "methods": ["GET", "HEAD", "POST", "OPTIONS"]})
    pages.random("/smuggled", 10)
    pages.random("/a", 10)
    shapes = [row[1] for row in HEADS]
    hidden = SECOND.replace(b"Host: a", b"Host: " + HOST.encode())
    upgrade = b"Connection: upgrade\r\nUpgrade: "
    post = b"POST /a HTTP/1.1\r\nHost: a\r\n"
    shapes += [
        post + upgrade + b"h2c\r\nContent-Length: %d\r\n\r\n" % len(hidden),
        post + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(hidden),
        post + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: %d\r\n\r\n" % len(hidden),
        post + b"Transfer-Encoding: chunked\r\n\r\n1;\nx\r\n0\r\n\r\n",
        b"GET /a%20HTTP/1.1%0d%0aHost:%20a%0d%0a%0d%0aGET%20/smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    ]

    async def attack() -> None:
        for shape in shapes:
            reader, writer = await asyncio.open_connection(*pages.node.edge.split(":"))
            aimed = shape.replace(b"Host: a\r", b"Host: " + HOST.encode() + b"\r")
            writer.write(aimed + hidden)
            try:
                writer.write_eof()
                whole = await guarded(reader.read())
            except OSError:  # the node may have reset it by then
                whole = b""
            assert whole.count(b"HTTP/1.1 200") == 0, aimed[:80]
            writer.close()

    rig.run(attack())
    assert pages.logged("/smuggled") == 0
    assert pages.curl("/a").status == 200  # and the node is none the worse


@pytest.mark.parametrize("hole", ["silent", "no connection"])
def test_an_origin_that_hangs_costs_another_site_nothing(rig: Rig, hole: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    good, silent = RawOrigin(rig, answer), RawOrigin(rig, hang)
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    address = full.getsockname()
    fill = [socket.socket() for _ in range(4)]
    for each in fill:  # from here on the kernel drops what comes
        each.setblocking(False)
        each.connect_ex(address)
    url = silent.url if hole == "silent" else f"http://127.0.0.1:{address[1]}"
    waits: dict[str, Setting] = {"connect": "5s", "first_byte": "5s"}
    site = Site(
        rig,
        {"hosts": ["bad.example"], "origins": [url], **waits},
        {"hosts": [HOST], "origins": [good.url]},
    )

    async def load() -> None:
        hung = [await site.connect() for _ in range(200)]
        for number, client in enumerate(hung):
            await client.send(f"GET /{number} HTTP/1.1\r\nHost: bad.example\r\n\r\n".encode())
        slowest = 0.0
        for number in range(50):
            began = time.monotonic()
            assert await _get(await site.connect(), f"/{number}") == 200
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 2.0  # none of them waited for what hangs: that takes 5 s and more
        for client in hung:
            client.leave()

    rig.run(load())
    for each in (*fill, full):
        each.close()
