"""A node whose edge is open with and without TLS, and origins that do as a test says."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable

from websockets.asyncio.client import connect as connect_websocket
from websockets.asyncio.server import Server, ServerConnection, serve

from skerry.app.drill.processes import NodeProcess, Setting, free_port, toml_text
from tests.adapters.http_door import Client
from tests.rig.pages import HOST
from tests.rig.pairs import make_pair
from tests.rig.processes import Rig, need

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawOrigin:
    """A server on the rig's loop that speaks as a function says; counts its open connections."""

    def __init__(self, rig: Rig, speak: Speak) -> None:
        self._speak = speak
        self.open = 0
        self._server: asyncio.Server
        rig.listen(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await self._speak(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


class Site:
    """A node whose edge is open with and without TLS."""

    def __init__(self, rig: Rig, *sites: dict[str, Setting], **node: Setting) -> None:
        self.rig = rig
        self.folder = rig.place("pair")
        self.pair = make_pair(self.folder, "site", HOST)
        self.tls = f"127.0.0.1:{free_port()}"
        self.settings: dict[str, Setting] = {
            "node": node,
            "doors": {"edge_tls": self.tls},
            "site": [self.site(site) for site in sites],
        }
        self.node: NodeProcess = rig.node(self.settings, name="rock")
        self.node.child.wait_until(self._listens)

    def _listens(self) -> bool:
        """The admin door opens last, behind the one with certificates."""
        admin = int(self.node.admin.rpartition(":")[2])
        with socket.socket() as first, socket.socket() as last:
            doors = ((first, self.port(tls=True)), (last, admin))
            return all(door.connect_ex(("127.0.0.1", port)) == 0 for door, port in doors)

    def site(self, site: dict[str, Setting]) -> dict[str, Setting]:
        return {"hosts": [HOST], "plain_http": True, "cert_file": self.pair.cert_file,
                "key_file": self.pair.key_file, "connect": "500ms", **site}  # fmt: skip

    def rewrite(self, *sites: dict[str, Setting]) -> None:
        """Other sites in the node's file."""
        doors = {"registry": self.node.registry, "edge": self.node.edge, "admin": self.node.admin,
                 "edge_tls": self.tls}  # fmt: skip
        node = {"name": "rock", "data_dir": str(self.node.folder / "data")}
        whole = {"doors": doors, "node": node, "site": [self.site(site) for site in sites]}
        self.node.config.write_text(toml_text(whole))  # type: ignore[arg-type]

    def port(self, *, tls: bool) -> int:
        return int((self.tls if tls else self.node.edge).rpartition(":")[2])

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.pair.cert_file)

    async def connect(self, *, tls: bool = False) -> Client:
        options = {"ssl": self.context(), "server_hostname": HOST} if tls else {}
        streams = await asyncio.open_connection("127.0.0.1", self.port(tls=tls), **options)  # type: ignore[arg-type]
        return Client(*streams)

    def websocket(self, *, tls: bool, path: str = "/ws") -> connect_websocket:
        port = self.port(tls=tls)
        scheme = "wss" if tls else "ws"
        options = {"ssl": self.context(), "server_hostname": HOST} if tls else {}
        return connect_websocket(f"{scheme}://{HOST}:{port}{path}", host="127.0.0.1", port=port,
                                 proxy=None, max_size=None, **options)  # type: ignore[arg-type]  # fmt: skip

    def metric(self, line: str) -> float:
        url = f"http://{self.node.admin}/metrics"
        text = subprocess.run([need("curl"), "-s", url], capture_output=True, check=True).stdout
        rows = [row for row in text.decode().splitlines() if row.startswith(f"{line} ")]
        return float(rows[0].rpartition(" ")[2]) if rows else 0.0


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


class Echo:
    """A WebSocket server from PyPI that says everything again."""

    def __init__(self, rig: Rig) -> None:
        self.server: Server
        rig.listen(self)

    async def start(self) -> None:
        self.server = await serve(echo, "127.0.0.1", 0, max_size=None, ping_interval=0.2)

    async def close(self) -> None:
        self.server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{next(iter(self.server.sockets)).getsockname()[1]}"
