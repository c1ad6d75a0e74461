"""A scripted HTTP server on loopback that misbehaves exactly as told."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

from skerry.upstream.testing_transport import Scripted


class Loopback:
    """One port; scripts by path, the last entry repeats. `heads` are the requests as received."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self.was_asked = asyncio.Event()
        self.connections = 0
        self.close_after_reply = False
        self.dead = False
        self._scripts: dict[str, list[Scripted | bytes]] = {}
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def on(self, path: str, *script: Scripted | bytes) -> str:
        """A script for a path; bytes are sent raw. Returns the URL."""
        self._scripts[path] = list(script)
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Loopback:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *what: object) -> None:
        assert self._server is not None
        self._server.close()
        self.drop()
        await self._server.wait_closed()

    def drop(self) -> None:
        """Closes every connection."""
        for writer in list(self._writers):
            writer.close()

    def say(self, raw: bytes) -> None:
        """Sends what nobody asked for on every connection."""
        for writer in self._writers:
            writer.write(raw)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._answer(reader, writer):
                pass
        writer.close()
        self._writers.discard(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        self.was_asked.set()
        if self.dead:
            await asyncio.get_running_loop().create_future()
        method, target, _ = head.split(" ", 2)
        script = self._scripts[target.partition("?")[0]]
        entry = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(entry, bytes):
            writer.write(entry)
            await writer.drain()
            return False
        if entry.hang:
            await asyncio.get_running_loop().create_future()
        names = {name.lower() for name, _ in entry.headers}
        fields = "".join(f"{name}: {value}\r\n" for name, value in entry.headers)
        if "content-length" not in names and entry.status not in (204, 304):
            fields += f"Content-Length: {len(entry.body)}\r\n"
        writer.write(f"HTTP/1.1 {entry.status} X\r\n{fields}\r\n".encode("latin-1"))
        stops = [stop for stop in (entry.cut_after, entry.stall_after) if stop is not None]
        if method != "HEAD" and entry.status not in (204, 304):
            writer.write(entry.body[: min([len(entry.body), *stops])])
        await writer.drain()
        if entry.stall_after is not None:
            await asyncio.get_running_loop().create_future()
        return entry.cut_after is None and not self.close_after_reply


def server_tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A context with a fresh certificate for 127.0.0.1, and the file to trust it by."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        " -subj /CN=loopback -addext subjectAltName=IP:127.0.0.1,DNS:registry.test"
    )
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert
