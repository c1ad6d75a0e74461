"""Webhook and mail against real servers on loopback: what arrives, and what is not taken."""

from __future__ import annotations

import asyncio
import email
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from skerry.adapters.alarm_mail import Mail, message_of
from skerry.adapters.alarm_webhook import Webhook
from skerry.adapters.http_client import HttpTransport
from skerry.adapters.resolver import NameResolver
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.telemetry.alarms import Alarm, ChannelFailed
from skerry.telemetry.events import Level
from skerry.upstream.ports import Dial
from tests.rig.http import Asked, Reply, TinyServer
from tests.rig.pairs import make_pair

ALARM = Alarm(
    key="budget/node/2026-06/notice",
    kind="budget.rung",
    subject="node",
    level=Level.WARNING,
    what="60.00 of 100.00 are spent in 2026-06:\r\nBcc: eve@example.org",
    next_step="skerry costs",
    at=1_780_272_000.0,
)
PASSWORD = "gannet-and-kelp"


class Hook:
    """A webhook that answers as it is told."""

    def __init__(self) -> None:
        self.reply: Reply = Reply(204)
        self.server = TinyServer(self._answer)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> Reply:
        return self.reply


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    await made.server.start()
    yield made
    await made.server.close()


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    nursery = Nursery(on_crash=lambda name, error: None)
    resolver = NameResolver(clock=SystemClock(), nursery=nursery, servers=())
    made = HttpTransport(resolver=resolver, nursery=nursery, environment={})
    yield made
    await made.close()
    await nursery.close()


def webhook(hook: Hook, transport: HttpTransport, token_file: str = "") -> Webhook:
    dial = Dial(first_byte_seconds=0.3, private_hosts=frozenset({"127.0.0.1"}))
    url = f"{hook.server.url}/alarms"
    return Webhook(
        name="pager", url=url, node="rock", transport=transport, dial=dial, token_file=token_file
    )


async def test_a_webhook_gets_the_alarm_with_its_token(
    hook: Hook, transport: HttpTransport, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{PASSWORD}\n")
    await webhook(hook, transport, str(tmp_path / "token")).send(ALARM)
    (asked,) = hook.server.log.asked
    told = json.loads(asked.body)
    assert (asked.method, asked.path) == ("POST", "/alarms")
    assert asked.value("Authorization") == f"Bearer {PASSWORD}"
    assert asked.value("Idempotency-Key") == f'"{ALARM.token}"'
    assert told["id"] == ALARM.token
    assert (told["node"], told["kind"], told["level"]) == ("rock", "budget.rung", "warning")
    assert told["what"] == ALARM.what


@pytest.mark.parametrize("reply", [Reply(500), Reply(302), Reply(404), Reply(silent=True)])
async def test_what_a_webhook_does_not_take_is_tried_again_under_the_same_token(
    hook: Hook, transport: HttpTransport, reply: Reply
) -> None:
    hook.reply = reply
    channel = webhook(hook, transport)
    with pytest.raises(ChannelFailed):
        await channel.send(ALARM)
    hook.reply = Reply(200)
    await channel.send(ALARM)
    keys = {asked.value("Idempotency-Key") for asked in hook.server.log.asked}
    assert len(hook.server.log.asked) == 2
    assert keys == {f'"{ALARM.token}"'}


async def test_a_token_that_cannot_be_read_is_told_without_it(
    hook: Hook, transport: HttpTransport, tmp_path: Path
) -> None:
    with pytest.raises(ChannelFailed, match="no-such-file cannot be read"):
        await webhook(hook, transport, str(tmp_path / "no-such-file")).send(ALARM)
    assert hook.server.log.asked == []


class Postbox:
    """What a mail server has taken."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.refuse = ""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refuse:
            return self.refuse
        assert isinstance(envelope.content, bytes)
        self.messages.append(email.message_from_bytes(envelope.content))
        self.envelopes.append(envelope)
        self.encrypted.append(session.ssl is not None)
        return "250 OK"


def _authenticate(*arguments: Any) -> AuthResult:
    data = arguments[-1]
    right = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=right, handled=False)


class MailServer(Controller):
    """aiosmtpd on a free port, with STARTTLS required."""

    def __init__(self, postbox: Postbox, folder: Path) -> None:
        self.pair = make_pair(folder, "mail", "localhost")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.pair.cert_file, self.pair.key_file)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        super().__init__(
            postbox,
            hostname="127.0.0.1",
            port=port,
            tls_context=context,
            require_starttls=True,
            authenticator=_authenticate,
            auth_required=True,
        )


def mail(server: Controller, folder: Path, password: str = PASSWORD, ca_file: str = "") -> Mail:
    (folder / "password").write_text(f"{password}\n")
    return Mail(
        host="localhost",
        port=server.port,
        sender="rock@example.org",
        recipients=("ann@example.org", "bob@example.org"),
        node="rock",
        starttls=True,
        ca_file=ca_file,
        username="rock",
        password_file=str(folder / "password"),
    )


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
def server(postbox: Postbox, tmp_path: Path) -> Iterator[MailServer]:
    made = MailServer(postbox, tmp_path)
    made.start()
    yield made
    made.stop()


async def test_mail_goes_out_encrypted_to_all_with_the_tokens_message_id(
    postbox: Postbox, server: MailServer, tmp_path: Path
) -> None:
    await mail(server, tmp_path, ca_file=server.pair.cert_file).send(ALARM)
    (message,), (envelope,) = postbox.messages, postbox.envelopes
    assert postbox.encrypted == [True]
    assert envelope.rcpt_tos == ["ann@example.org", "bob@example.org"]
    assert message["Message-ID"] == f"<{ALARM.token}@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Bcc"] is None, "what an alarm says is no header"
    subject = " ".join(message["Subject"].split())
    assert subject.startswith("[rock] warning: 60.00 of 100.00")
    assert "what to do: skerry costs" in str(message.get_payload())


async def test_what_a_mail_server_does_not_take_is_tried_again_as_the_same_message(
    postbox: Postbox, server: MailServer, tmp_path: Path
) -> None:
    channel = mail(server, tmp_path, ca_file=server.pair.cert_file)
    postbox.refuse = "451 not now"
    with pytest.raises(ChannelFailed, match="said 451"):
        await channel.send(ALARM)
    postbox.refuse = ""
    await channel.send(ALARM)
    assert [each["Message-ID"] for each in postbox.messages] == [f"<{ALARM.token}@example.org>"]


async def test_no_mail_and_no_password_goes_to_a_server_that_cannot_be_believed(
    postbox: Postbox, server: MailServer, tmp_path: Path
) -> None:
    with pytest.raises(ChannelFailed):
        await mail(server, tmp_path).send(ALARM)  # its certificate is nobody's
    assert postbox.messages == []


async def test_a_wrong_password_is_told_without_it(
    postbox: Postbox, server: MailServer, tmp_path: Path
) -> None:
    channel = mail(server, tmp_path, "wrong-and-secret", server.pair.cert_file)
    with pytest.raises(ChannelFailed, match=r"user name or the password \(535\)") as error:
        await channel.send(ALARM)
    assert "wrong-and-secret" not in str(error.value)
    assert "password_file" in str(error.value)
    assert postbox.messages == []


async def test_a_mail_server_that_is_gone_is_a_channel_that_failed(tmp_path: Path) -> None:
    server = MailServer(Postbox(), tmp_path)
    with pytest.raises(ChannelFailed, match="mail server localhost"):
        await mail(server, tmp_path).send(ALARM)


def plain_mail(*, port: int, seconds_max: float = 10.0) -> Mail:
    return Mail(
        host="127.0.0.1",
        port=port,
        sender="rock@example.org",
        recipients=["ann@example.org"],
        node="rock",
        starttls=False,
        ca_file="",
        username="",
        password_file="",
        seconds_max=seconds_max,
    )


async def test_a_mail_server_that_drips_is_broken_off() -> None:
    ended = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"220-wait\r\n")  # always one line more of a greeting
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()
        ended.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    slow = plain_mail(port=server.sockets[0].getsockname()[1], seconds_max=0.1)
    with pytest.raises(ChannelFailed):
        await slow.send(ALARM)
    await ended.wait()
    server.close()


@pytest.mark.parametrize("text", ["half \ud800 a character", "\x1b[2J\x9b31m", "a\x00b"])
def test_what_strangers_wrote_becomes_a_message_all_the_same(text: str) -> None:
    message = message_of(replace(ALARM, what=text, subject=text), plain_mail(port=25))
    assert message["Subject"].isprintable()
    assert message.as_bytes()


async def test_a_password_that_the_library_cannot_send_is_a_failed_channel(
    postbox: Postbox, server: MailServer, tmp_path: Path
) -> None:
    with pytest.raises(ChannelFailed) as error:
        await mail(server, tmp_path, "tölpel", server.pair.cert_file).send(ALARM)
    assert "tölpel" not in str(error.value)
    assert postbox.messages == []
