"""Where an issuer's public keys come from: its own server, or a file.

Owns the requests (OpenID Connect Discovery 1.0 section 4, RFC 7517) and their bounds. Follows no
redirect, and no discovery document to another host. Sends no credential.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from skerry.base.errors import Party, SkerryError
from skerry.upstream.ports import Dial, Transport, TransportError
from skerry.wire.message import BodyAborted, Headers

BYTES_MAX = 256 * 1024
DISCOVERY = "/.well-known/openid-configuration"


class KeysNotFetched(SkerryError):
    """The issuer's keys cannot be had now."""

    party = Party.UPSTREAM


class HttpKeys:
    """`trust.tokens.ports.KeySource` over HTTP."""

    def __init__(self, issuer: str, jwks_url: str, *, transport: Transport, dial: Dial) -> None:
        """Without a `jwks_url` the issuer's discovery document says where they are."""
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._transport = transport
        self._dial = dial

    async def fetch(self) -> bytes:
        """A JWK set, unread. Raises KeysNotFetched."""
        return await self._get(self._jwks_url or await self._discovered())

    async def _discovered(self) -> str:
        text = await self._get(self._issuer.rstrip("/") + DISCOVERY)
        try:
            found = json.loads(text)
            url, issuer = found["jwks_uri"], found["issuer"]
        except (ValueError, KeyError, TypeError) as error:
            raise KeysNotFetched("its discovery document is none") from error
        if issuer != self._issuer or not isinstance(url, str) or not _same_host(url, self._issuer):
            raise KeysNotFetched(
                "its discovery document leads to another host",
                next_step="set access.issuer.jwks_url if that is right",
            )
        return url

    async def _get(self, url: str) -> bytes:
        headers = Headers((("Accept", "application/json"),))
        try:
            exchange = await self._transport.send("GET", url, headers, self._dial)
        except TransportError as error:
            raise KeysNotFetched(error.what) from error
        try:
            if exchange.status != 200:
                raise KeysNotFetched(f"it answered {exchange.status}")
            data = bytearray()
            async for piece in exchange.chunks():
                data += piece
                if len(data) > BYTES_MAX:
                    raise KeysNotFetched("its answer is too long")
            return bytes(data)
        except (TransportError, BodyAborted) as error:
            raise KeysNotFetched("its answer broke off") from error
        finally:
            await exchange.close()


class FileKeySource:
    """`trust.tokens.ports.KeySource` over a file that an operator puts there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def fetch(self) -> bytes:
        """A JWK set, unread. Raises OSError."""
        with self._path.open("rb") as file:
            return file.read(BYTES_MAX)


def _same_host(one: str, other: str) -> bool:
    try:
        mine, theirs = urlsplit(one), urlsplit(other)
        return (mine.scheme, mine.netloc) == (theirs.scheme, theirs.netloc)
    except ValueError:
        return False
