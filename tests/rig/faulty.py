"""The malicious upstream: a reverse proxy before a real registry that lies where it is told to.

It injects the faults the node promises to survive and no others: HTTP statuses, wrong bytes under
a right name, wrong names for right bytes, bodies that end early or never, content codings,
redirects to anywhere, and a token service with faults of its own (known failures T1-T13, T25-T31).
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.rig.http import Asked, Reply, TinyServer, read_chunked, read_head

Alter = Callable[[Reply], Reply]


@dataclass(frozen=True)
class Rule:
    """What happens to requests whose path matches; the first matching rule counts.

    Attributes:
        pattern: searched for in the path.
        reply: what is said without asking the real upstream, or None.
        alter: what is done to the real upstream's answer, or None.
        times: how often the rule works before it is spent; 0 for ever.
    """

    pattern: str
    reply: Reply | None = None
    alter: Alter | None = None
    methods: tuple[str, ...] = ("GET", "HEAD")
    times: int = 0


ANY = ".*"
BLOBS = "/blobs/"
MANIFESTS = "/manifests/"


def status(code: int, *, path: str = ANY, retry_after: int | None = None, times: int = 0) -> Rule:
    """An HTTP status with the registry's kind of error body."""
    fields: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    if retry_after is not None:
        fields += (("Retry-After", str(retry_after)),)
    body = json.dumps({"errors": [{"code": "RIG", "message": f"status {code}"}]}).encode()
    return Rule(path, Reply(code, fields, body), times=times)


def html(*, path: str = ANY) -> Rule:
    """A captive portal: 200 and a page, whatever was asked."""
    page = b"<!doctype html><title>Please log in</title><h1>Welcome</h1>"
    return Rule(path, Reply(200, (("Content-Type", "text/html"),), page))


def silent(*, path: str = ANY) -> Rule:
    return Rule(path, Reply(silent=True))


def redirect(location: str, *, path: str = BLOBS, code: int = 307) -> Rule:
    return Rule(path, Reply(code, (("Location", location),)))


def other_bytes(data: bytes, *, path: str = BLOBS, times: int = 0) -> Rule:
    """Other content under the asked name, with every field of the right one."""
    return Rule(path, alter=lambda reply: replace(reply, body=data), times=times)


def flip_bit(*, path: str = BLOBS, at_bytes: int = -1, times: int = 0) -> Rule:
    def flip(reply: Reply) -> Reply:
        if not reply.body:
            return reply
        body = bytearray(reply.body)
        body[at_bytes % len(body)] ^= 1
        return replace(reply, body=bytes(body))

    return Rule(path, alter=flip, times=times)


def lying_digest_header(digest: str, *, path: str = MANIFESTS) -> Rule:
    return Rule(path, alter=lambda reply: reply.with_field("Docker-Content-Digest", digest))


def truncate(share: float = 0.5, *, path: str = BLOBS, times: int = 0) -> Rule:
    """The connection ends in the middle of the body."""
    return Rule(
        path, alter=lambda reply: replace(reply, cut_at_bytes=int(len(reply.body) * share)),
        times=times,
    )  # fmt: skip


def wrong_length(difference: int, *, path: str = BLOBS) -> Rule:
    """Content-Length says so many bytes more or fewer than come."""
    return Rule(
        path,
        alter=lambda reply: replace(reply, announced_bytes=max(0, len(reply.body) + difference)),
    )


def gzip_coded(*, path: str = ANY) -> Rule:
    """A content coding nobody asked for."""

    def code(reply: Reply) -> Reply:
        return replace(reply, body=gzip.compress(reply.body)).with_field("Content-Encoding", "gzip")

    return Rule(path, alter=code)


class TokenService:
    """Gives out bearer tokens (Docker token protocol), or fails in a way of its own.

    Attributes:
        fault: what it says instead of a token, or None.
        expires_in_seconds: written into the answer.
        user, password: the only ones let in; empty lets everybody in.
    """

    def __init__(self, *, user: str = "", password: str = "") -> None:
        self.server = TinyServer(self._answer)
        self.fault: Reply | None = None
        self.expires_in_seconds = 300
        self.user, self.password = user, password
        self._given: set[str] = set()

    def accepts(self, token: str) -> bool:
        return token in self._given

    def revoke_all(self) -> None:
        self._given.clear()

    async def _answer(self, asked: Asked, _: asyncio.StreamWriter) -> Reply:
        if self.fault is not None:
            return self.fault
        if self.user:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            if asked.value("Authorization") != f"Basic {pair}":
                return Reply(401, (("Content-Type", "application/json"),), b"{}")
        token = f"rig-secret-token-{len(self._given)}-{id(self)}"
        self._given.add(token)
        body = json.dumps({"token": token, "expires_in": self.expires_in_seconds}).encode()
        return Reply(200, (("Content-Type", "application/json"),), body)


class Faulty:
    """The proxy. `rules` may be changed at any moment.

    Attributes:
        tokens: when set, `/v2/` wants a bearer token of this service.
        realm: what the challenge names instead of that service, "" for the true one.
    """

    def __init__(
        self, target: str, *, tokens: TokenService | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.lead_to(target)
        self._used: dict[int, int] = {}
        self.server = TinyServer(self._answer, tls=tls)
        self.rules: list[Rule] = []
        self.tokens = tokens
        self.realm = ""

    @property
    def log(self) -> list[Asked]:
        return self.server.log.asked

    def lead_to(self, target: str) -> None:
        """From now on this is the real registry."""
        self._host, _, port = target.partition(":")
        self._port = int(port)

    def use(self, *rules: Rule) -> None:
        """From now on these rules, and no others."""
        self._used.clear()
        self.rules = list(rules)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> Reply | None:
        rule = self._rule_for(asked)
        if rule is not None and rule.reply is not None:
            return rule.reply
        refused = self._challenge(asked)
        if refused is not None:
            return refused
        if rule is None or rule.alter is None:
            await self._pass(asked, writer)
            return None
        return rule.alter(await self._ask(asked))

    def _rule_for(self, asked: Asked) -> Rule | None:
        for number, rule in enumerate(self.rules):
            if asked.method not in rule.methods or not re.search(rule.pattern, asked.path):
                continue
            used = self._used.get(number, 0)
            if rule.times and used >= rule.times:
                continue
            self._used[number] = used + 1
            return rule
        return None

    def _challenge(self, asked: Asked) -> Reply | None:
        if self.tokens is None or self.tokens.accepts(
            asked.value("Authorization").removeprefix("Bearer ")
        ):
            return None
        realm = self.realm or f"{self.tokens.server.url}/token"
        name = re.match(r"/v2/(.+)/(?:manifests|blobs|tags|referrers)/", asked.path)
        scope = f',scope="repository:{name[1]}:pull"' if name else ""
        challenge = f'Bearer realm="{realm}",service="rig"{scope}'
        return Reply(401, (("WWW-Authenticate", challenge),), b'{"errors":[]}')

    async def _open(self, asked: Asked) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        hop = ("connection", "authorization", "transfer-encoding", "content-length")
        fields = [item for item in asked.fields if item[0].lower() not in hop]
        lines = [f"{asked.method} {asked.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields]
        lines += [f"Content-Length: {len(asked.body)}", "Connection: close", "", ""]
        writer.write("\r\n".join(lines).encode("latin-1") + asked.body)
        return reader, writer

    async def _pass(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """The real answer, byte for byte, as it comes."""
        reader, far = await self._open(asked)
        try:
            while chunk := await reader.read(256 * 1024):
                writer.write(chunk)
                await writer.drain()
        finally:
            far.close()

    async def _ask(self, asked: Asked) -> Reply:
        """The real answer, whole."""
        reader, far = await self._open(asked)
        try:
            first, fields = await read_head(reader)
            reply = Reply(int(first.split(" ", 2)[1]), fields)
            if asked.method == "HEAD":
                return reply
            if reply.value("Transfer-Encoding"):
                body = await read_chunked(reader)
                return replace(reply.with_field("Transfer-Encoding", None), body=body)
            return replace(reply, body=await reader.read())
        finally:
            far.close()
