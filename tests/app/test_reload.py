"""New settings for a running node: what is taken, what waits, and that nobody is cut off."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from skerry.adapters.http_server_tls import CertificateError
from skerry.app.drill.processes import toml_text
from skerry.app.node import Node
from skerry.app.reload import Reloaded, Reloading, waits_for_restart
from skerry.app.settings.errors import SettingsError
from skerry.app.settings.load import load
from skerry.app.settings.schema import DoorSettings, NodeSettings, Settings
from skerry.base.errors import SkerryError
from tests.adapters.http_door import Client, guarded, until
from tests.rig.pairs import make_pair

PUBLIC = {"prefix": "/", "data_class": "public"}


def _url(server: asyncio.Server) -> str:
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Origin:
    """A server that answers every GET with its name and the path; `/slow` waits for `go`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []
        self.connections = 0
        self.go = asyncio.Event()
        self.server: asyncio.Server

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def url(self) -> str:
        return _url(self.server)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                self.asked.append(path)
                body = f"{self.name}{path}".encode() * 1000
                writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n"
                             b"Content-Length: %d\r\n\r\n" % len(body))  # fmt: skip
                writer.write(body[:1000])
                if path == "/slow":
                    await self.go.wait()
                writer.write(body[1000:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Scene:
    """A node with sites, and two origins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.one, self.two = Origin("one"), Origin("two")
        self.config = folder / "skerry.toml"
        self.node: Node

    def site(self, origin: Origin, *hosts: str, **more: object) -> dict[str, object]:
        return {"hosts": list(hosts), "origins": [origin.url], "plain_http": True,
                "route": [PUBLIC], **more}  # fmt: skip

    def write(self, *sites: Mapping[str, object], **doors: str) -> None:
        whole = {
            "node": {"name": "rock", "data_dir": str(self.folder / "data")},
            "doors": {"registry": "127.0.0.1:0", "edge": "127.0.0.1:0", "admin": "127.0.0.1:0",
                      **doors},
            "site": list(sites),
        }  # fmt: skip
        self.config.write_text(toml_text(whole))  # type: ignore[arg-type]

    async def open(self, *sites: Mapping[str, object], **doors: str) -> None:
        self.write(*sites, **doors)
        reread = partial(load, self.config, {}, {})
        self.node = Node(reread(), reread=reread)
        await self.node.start()

    async def reload(self, *sites: Mapping[str, object], **doors: str) -> Reloaded:
        self.write(*sites, **doors)
        return await guarded(reloading(self).reload())

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.node.edge_port))

    async def get(self, host: str, path: str = "/page") -> tuple[int, bytes, str]:
        return await ask(await self.connect(), host, path)


S = TypeVar("S", bound=Scene)


def reloading(scene: Scene) -> Reloading:
    found = scene.node._reloading
    assert found is not None
    return found


async def ask(client: Client, host: str, path: str = "/page") -> tuple[int, bytes, str]:
    await client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    got = await client.answer()
    return got.status, got.body, got.headers.joined("Cache-Status")


@asynccontextmanager
async def played(made: S) -> AsyncIterator[S]:
    """A scene whose origins answer; its node ends with it."""
    await made.one.start()
    await made.two.start()
    yield made
    await made.node.stop()
    for origin in (made.one, made.two):
        origin.server.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with played(Scene(tmp_path)) as made:
        yield made


async def test_a_site_that_comes_and_one_that_goes_are_so_from_the_next_request(
    scene: Scene,
) -> None:
    await scene.open(scene.site(scene.one, "a.example"))
    client = await scene.connect()
    assert (await ask(client, "a.example"))[:2] == (200, b"one/page" * 1000)
    assert (await ask(client, "b.example"))[0] == 421
    done = await scene.reload(scene.site(scene.two, "b.example"))
    assert done == Reloaded(added=("b.example",), removed=("a.example",))
    assert (await ask(client, "b.example"))[:2] == (200, b"two/page" * 1000)
    assert (await ask(client, "a.example"))[0] == 421  # stored, and not served any more
    assert scene.node.events.recent("settings.reloaded")


async def test_what_is_under_way_ends_as_it_began(scene: Scene) -> None:
    await scene.open(scene.site(scene.one, "a.example"))
    client = await scene.connect()
    await client.send(b"GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n")
    status, headers = await client.head()
    assert status == 200
    await scene.reload(scene.site(scene.two, "a.example"))
    assert (await scene.get("a.example", "/other"))[1] == b"two/other" * 1000
    scene.one.go.set()
    length = int(headers.get("content-length") or 0)
    assert await guarded(client.reader.readexactly(length)) == b"one/slow" * 1000
    assert (await ask(client, "a.example", "/more"))[1] == b"two/more" * 1000


async def test_a_route_that_becomes_sensitive_is_not_served_from_here_and_is_forgotten(
    scene: Scene,
) -> None:
    await scene.open(scene.site(scene.one, "a.example"))
    for _ in range(3):
        await scene.get("a.example", "/account")
        await scene.get("a.example", "/media")
    assert "hit" in (await scene.get("a.example", "/account"))[2]
    edge = reloading(scene)._edge
    assert edge is not None
    await until(lambda: len(list(edge._variants.all())) == 2)
    routes = [PUBLIC, {"prefix": "/account", "data_class": "sensitive"}]
    done = await scene.reload(scene.site(scene.one, "a.example", route=routes))
    assert done.changed == ("a.example",)
    before = scene.one.asked.count("/account")
    status, _, cache = await scene.get("a.example", "/account")
    assert (status, "hit" in cache) == (200, False)
    assert scene.one.asked.count("/account") == before + 1
    assert "hit" in (await scene.get("a.example", "/media"))[2]
    assert edge.reclassing is not None
    assert await guarded(edge.reclassing) == 1
    await scene.reload(scene.site(scene.one, "a.example"))
    # Public again, and what was stored before is gone from the index.
    assert "hit" not in (await scene.get("a.example", "/account"))[2]


async def test_an_origin_that_stays_keeps_its_connections_and_its_breaker(scene: Scene) -> None:
    dead = await asyncio.start_server(lambda r, w: w.transport.abort(), "127.0.0.1", 0)
    down = _url(dead)
    origins = [down, scene.one.url]
    await scene.open(scene.site(scene.one, "a.example", origins=origins))
    for number in range(8):
        assert (await scene.get("a.example", f"/{number}"))[0] == 200

    async def breakers() -> list[str]:
        assert scene.node.edge_door is not None
        status = await asyncio.to_thread(_status, scene.node)
        return [source["breaker"] for site in status["sites"] for source in site["sources"]]

    assert await breakers() == ["open", "closed"]
    connections = scene.one.connections
    sites = (scene.site(scene.one, "a.example", origins=origins, route=[{**PUBLIC, "fresh": "5s"}]),
             scene.site(scene.two, "b.example"))  # fmt: skip
    assert (await scene.reload(*sites)).added == ("b.example",)
    assert await breakers() == ["open", "closed", "closed"]
    assert (await scene.get("a.example", "/more"))[0] == 200
    assert scene.one.connections == connections
    # One server more: the others keep what is known of them.
    more = scene.site(scene.one, "a.example", origins=[*origins, scene.two.url])
    await scene.reload(more, sites[1])
    assert (await breakers())[:3] == ["open", "closed", "closed"]
    dead.close()


def _status(node: Node) -> dict[str, list[dict[str, list[dict[str, str]]]]]:
    import json
    import urllib.request

    token = (node.settings.node.data_path / "admin.token").read_text().strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{node.admin_port}/api/v1/status",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)  # type: ignore[no-any-return]


async def test_a_wrong_file_changes_nothing_and_says_why(scene: Scene) -> None:
    await scene.open(scene.site(scene.one, "a.example"))
    with pytest.raises(SettingsError, match="data_class"):
        await scene.reload(
            scene.site(scene.two, "a.example", route=[{"prefix": "/", "data_class": "secret"}])
        )
    assert (await scene.get("a.example"))[1] == b"one/page" * 1000
    (event,) = scene.node.events.recent("settings.refused")
    assert "data_class" in event.cause
    scene.config.unlink()
    with pytest.raises(SettingsError):
        await reloading(scene).reload()
    assert (await scene.get("a.example"))[0] == 200


async def test_what_cannot_follow_is_named(scene: Scene) -> None:
    await scene.open(scene.site(scene.one, "a.example"))
    done = await scene.reload(scene.site(scene.one, "a.example"), edge="127.0.0.1:1")
    assert done == Reloaded(restart=("doors.edge",))
    again = await scene.reload(scene.site(scene.one, "a.example"), edge="127.0.0.1:1")
    assert again.restart == ("doors.edge",)  # still waits
    assert (await scene.reload(scene.site(scene.one, "a.example"))).restart == ()


async def test_the_first_site_waits_for_a_restart(scene: Scene) -> None:
    await scene.open()
    done = await scene.reload(scene.site(scene.one, "a.example"))
    assert done == Reloaded(restart=("site",))


async def test_a_node_without_a_way_to_read_again_says_so(scene: Scene) -> None:
    scene.write(scene.site(scene.one, "a.example"))
    scene.node = Node(load(scene.config, {}, {}))
    await scene.node.start()
    with pytest.raises(SkerryError, match="started without"):
        await reloading(scene).reload()
    assert (await scene.get("a.example"))[0] == 200


async def test_certificates_come_with_their_sites_and_a_bad_one_stops_the_reload(
    scene: Scene, tmp_path: Path
) -> None:
    a, b = (make_pair(tmp_path, name, f"{name}.example") for name in ("a", "b"))

    def site(name: str, pair: object) -> dict[str, object]:
        return scene.site(scene.one, f"{name}.example", cert_file=pair.cert_file,  # type: ignore[attr-defined]
                          key_file=pair.key_file)  # type: ignore[attr-defined]  # fmt: skip

    tls = {"edge_tls": "127.0.0.1:0"}
    await scene.open(site("a", a), **tls)

    async def shown(name: str) -> bytes:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection(
            "127.0.0.1", scene.node.edge_tls_port, ssl=context, server_hostname=name
        )
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return found

    assert await shown("b.example") == await shown("a.example")
    done = await scene.reload(site("a", a), site("b", b), **tls)
    assert done == Reloaded(added=("b.example",), certificates=True)
    assert await shown("b.example") != await shown("a.example")
    Path(b.key_file).write_bytes(Path(a.key_file).read_bytes())
    with pytest.raises((SettingsError, CertificateError)):
        await scene.reload(site("b", b), **tls)
    assert (await scene.get("a.example"))[0] == 200


async def test_a_reload_that_is_asked_for_during_the_start_comes_after_it(scene: Scene) -> None:
    scene.write(scene.site(scene.one, "a.example"))
    reread = partial(load, scene.config, {}, {})
    scene.node = Node(reread(), reread=reread)
    scene.node.reload_soon()
    scene.write(scene.site(scene.two, "a.example"))
    await scene.node.start()
    await until(lambda: len(scene.node.events.recent("settings.reloaded")) == 1)
    assert (await scene.get("a.example"))[1] == b"two/page" * 1000


async def test_reloads_at_once_take_turns(scene: Scene) -> None:
    await scene.open(scene.site(scene.one, "a.example"))
    scene.write(scene.site(scene.two, "a.example"))
    for _ in range(3):
        scene.node.reload_soon()
    await until(lambda: len(scene.node.events.recent("settings.reloaded")) == 3)
    assert (await scene.get("a.example"))[1] == b"two/page" * 1000


def test_every_setting_but_sites_and_certificates_waits_for_a_restart() -> None:
    old = Settings(node=NodeSettings(name="a"), doors=DoorSettings(cert_file="/c", key_file="/k"))
    new = Settings(node=NodeSettings(name="b"), doors=DoorSettings(cert_file="/d", key_file="/e"))
    assert waits_for_restart(old, new) == ("node.name",)
    bare = Settings(node=NodeSettings(name="a"))
    assert waits_for_restart(old, bare) == ("doors.cert_file",)
    assert waits_for_restart(bare, old) == ("doors.cert_file",)
