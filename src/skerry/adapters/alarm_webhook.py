"""Alarms to a webhook: one POST of JSON each.

Owns the request and what its answer means. The alarm's token goes along as `Idempotency-Key`, the
same at every attempt. Follows no redirect; the answer's body is not read.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from skerry.telemetry.alarms import Alarm, ChannelFailed
from skerry.upstream.ports import Dial, Transport, TransportError
from skerry.wire.message import Headers

TAKE_SECONDS = 10.0
TOKEN_BYTES_MAX = 4096


class Webhook:
    """`telemetry.alarms.Channel`."""

    def __init__(
        self, *, name: str, url: str, node: str, transport: Transport, dial: Dial, token_file: str
    ) -> None:
        """`token_file` holds a bearer token, "" for none; it is read at each attempt."""
        self._name = name
        self._url = url
        self._node = node
        self._transport = transport
        self._dial = dial
        self._token_file = token_file

    @property
    def name(self) -> str:
        """See `Channel`."""
        return self._name

    async def send(self, alarm: Alarm) -> None:
        """See `Channel`. Any 2xx is a yes."""
        fields = [("Content-Type", "application/json"), ("Idempotency-Key", f'"{alarm.token}"')]
        if self._token_file:
            token = await asyncio.to_thread(read_secret, self._token_file)
            fields.append(("Authorization", f"Bearer {token}"))
        body = self._body(alarm)
        try:
            async with asyncio.timeout(TAKE_SECONDS):
                exchange = await self._transport.send(
                    "POST", self._url, Headers(fields), self._dial, body
                )
                await exchange.close()
        except TransportError as error:
            raise self._failed(error.what) from error
        except TimeoutError as error:
            raise self._failed(f"gave no answer within {TAKE_SECONDS:.0f} s") from error
        if not 200 <= exchange.status < 300:
            raise self._failed(f"answered {exchange.status}")

    def _body(self, alarm: Alarm) -> bytes:
        told = {
            "id": alarm.token,
            "node": self._node,
            "kind": alarm.kind,
            "subject": alarm.subject,
            "level": alarm.level.value,
            "what": alarm.what,
            "next_step": alarm.next_step,
            "at": alarm.at,
        }
        return json.dumps(told).encode()

    def _failed(self, what: str) -> ChannelFailed:
        step = "check the URL and its token; the alarm is sent again by itself"
        return ChannelFailed(f"webhook {self._name} {what}", next_step=step)


def read_secret(path: str) -> str:
    """The first line of a file. Raises ChannelFailed."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(TOKEN_BYTES_MAX).partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ChannelFailed(
            f"{path} cannot be read: {reason}", next_step="let this user read it"
        ) from error
