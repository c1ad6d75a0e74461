"""A registry of a few images behind a token service of its own, and a proxy before the world.

Owns what they answer and what they were asked. The registry may send blobs to another host, as
registries before an object store do; it gives nothing to whoever brings no token.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from dataclasses import dataclass, replace

from skerry.app.drill.images import Image
from tests.rig.http import Asked, Reply, TinyServer, read_head

JSON = ("Content-Type", "application/json")


class GuardedRegistry:
    """Pulls of pushed images, with a token that takes a password.

    Attributes:
        public: scheme, host and port it is known by; its own address unless set.
        blobs_at: where blobs are redirected to, "" for here; a signature is put behind it.
        given: every token it gave out.
    """

    def __init__(
        self, *, user: str = "", password: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        self.server = TinyServer(self._answer, tls=tls)
        self.public = ""
        self.blobs_at = ""
        self.given: list[str] = []
        self._pair = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._content: dict[str, Reply] = {}

    def push(self, name: str, image: Image, tag: str) -> None:
        """Makes an image, and all below it, be there."""
        for child in image.children:
            self.push(name, child, "")
        for blob in image.blobs:
            digest = ("Docker-Content-Digest", str(blob.digest))
            self._content[f"/v2/{name}/blobs/{blob.digest}"] = Reply(200, (digest,), blob.data)
        fields = (
            ("Content-Type", image.manifest.media_type),
            ("Docker-Content-Digest", str(image.digest)),
        )
        for reference in filter(None, (tag, str(image.digest))):
            path = f"/v2/{name}/manifests/{reference}"
            self._content[path] = Reply(200, fields, image.manifest.data)

    def bytes_of(self, digest: str) -> bytes | None:
        """A blob by digest, wherever it is; for a store of objects."""
        found = (r.body for path, r in self._content.items() if path.endswith(f"/blobs/{digest}"))
        return next(found, None)

    async def _answer(self, asked: Asked, _: asyncio.StreamWriter) -> Reply:
        if asked.path == "/token":
            return self._token(asked)
        token = asked.value("Authorization").removeprefix("Bearer ")
        if token not in self.given:
            realm = f"{self.public or self.server.url}/token"
            challenge = f'Bearer realm="{realm}",service="rig"'
            return Reply(401, (("WWW-Authenticate", challenge), JSON), b'{"errors":[]}')
        if self.blobs_at and "/blobs/" in asked.path:
            digest = asked.path.rpartition("/")[2]
            place = f"{self.blobs_at}/{digest}?X-Signature=signed-url-secret"
            return Reply(307, (("Location", place),))
        reply = self._content.get(asked.path, Reply(404, (JSON,), b'{"errors":[]}'))
        return replace(reply, fields=(*reply.fields, ("Content-Length", str(len(reply.body)))))

    def _token(self, asked: Asked) -> Reply:
        if self._pair and asked.value("Authorization") != f"Basic {self._pair}":
            return Reply(401, (JSON,), b"{}")
        self.given.append(f"guarded-token-{len(self.given)}-{id(self)}")
        body = json.dumps({"token": self.given[-1], "expires_in": 300}).encode()
        return Reply(200, (JSON,), body)


class ObjectStore:
    """Gives the blobs of a registry to whoever brings the signature, and wants no token."""

    def __init__(self, registry: GuardedRegistry) -> None:
        self._registry = registry
        self.server = TinyServer(self._answer)

    async def _answer(self, asked: Asked, _: asyncio.StreamWriter) -> Reply:
        # Object stores refuse a request that is signed in two ways.
        if asked.value("Authorization") or not asked.query("X-Signature"):
            return Reply(400)
        data = self._registry.bytes_of(asked.path.removeprefix("/"))
        return Reply(404) if data is None else Reply(200, (), data)


@dataclass
class ForwardProxy:
    """An HTTP proxy for which every name is this machine (RFC 9110 section 9.3.6).

    Attributes:
        lines: first lines of the requests it got, in order.
        port: where it listens.
    """

    lines: list[str]
    port: int = 0
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            first, fields = await read_head(reader)
            self.lines.append(first)
            method, target, version = first.split(" ")
            if method == "CONNECT":
                port = int(target.rpartition(":")[2])
                far_reader, far = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                authority, _, path = target.removeprefix("http://").partition("/")
                port = int(authority.rpartition(":")[2])
                far_reader, far = await asyncio.open_connection("127.0.0.1", port)
                kept = [f"{name}: {value}" for name, value in fields]
                head = [f"{method} /{path} {version}", *kept, "", ""]
                far.write("\r\n".join(head).encode("latin-1"))
            await asyncio.gather(_carry(reader, far), _carry(far_reader, writer))
        writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
