"""Alarms by e-mail: one message each, by SMTP.

Owns the message (RFC 5322) and the conversation (RFC 5321, STARTTLS of RFC 3207), in a thread: the
standard library's client waits. The Message-ID is the alarm's token, so that one that came twice
is seen to be one.
"""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from skerry.adapters.alarm_webhook import read_secret
from skerry.telemetry.alarms import Alarm, ChannelFailed

SMTP_SECONDS = 15.0
"""So long the server may be silent."""
SMTP_SECONDS_MAX = 50.0
"""So long the whole conversation may take: a server that says a byte now and then would otherwise
keep the thread, and there are few of them."""


class _Bounded(smtplib.SMTP):
    """A conversation that is broken off after a time."""

    def __init__(self, host: str, port: int, seconds_max: float) -> None:
        self._ends = threading.Timer(seconds_max, self._break_off)
        self._ends.daemon = True
        self._ends.start()
        super().__init__(host, port, timeout=SMTP_SECONDS)

    def _break_off(self) -> None:
        if self.sock is not None:
            with suppress(OSError):  # it has ended by itself
                # Not the one of TLS: that would change what the reading thread is at.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        self._ends.cancel()
        super().close()


class Mail:
    """`telemetry.alarms.Channel`."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        sender: str,
        recipients: Sequence[str],
        node: str,
        starttls: bool,
        ca_file: str,
        username: str,
        password_file: str,
        seconds_max: float = SMTP_SECONDS_MAX,
    ) -> None:
        """Without `starttls` no password is sent: the settings refuse that."""
        self._seconds_max = seconds_max
        self._host, self._port = host, port
        self._sender = sender
        self._recipients = tuple(recipients)
        self._node = node
        self._starttls = starttls
        self._ca_file = ca_file
        self._username = username
        self._password_file = password_file

    @property
    def name(self) -> str:
        """See `Channel`."""
        return "mail"

    async def send(self, alarm: Alarm) -> None:
        """See `Channel`. Taken when the server has taken it for every recipient."""
        await asyncio.to_thread(self._send, message_of(alarm, self))

    def _send(self, message: EmailMessage) -> None:
        try:
            with _Bounded(self._host, self._port, self._seconds_max) as server:
                if self._starttls:
                    context = ssl.create_default_context(cafile=self._ca_file or None)
                    server.starttls(context=context)
                if self._username:
                    server.login(self._username, read_secret(self._password_file))
                refused = server.send_message(message)
        except smtplib.SMTPAuthenticationError as error:
            raise self._failed(
                f"refused the user name or the password ({error.smtp_code})",
                step="see alarms.mail.username and alarms.mail.password_file",
            ) from error
        except smtplib.SMTPResponseException as error:
            raise self._failed(f"said {error.smtp_code}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise self._failed(_reason(error)) from error
        except UnicodeError as error:  # the library's logins know ASCII alone
            raise self._failed("cannot be told that user name or password") from error
        if refused:
            raise self._failed(f"took it for {len(self._recipients) - len(refused)} recipients")

    @property
    def node(self) -> str:
        """Whose alarms they are."""
        return self._node

    @property
    def sender(self) -> str:
        """From whom."""
        return self._sender

    @property
    def recipients(self) -> tuple[str, ...]:
        """To whom."""
        return self._recipients

    def _failed(
        self, what: str, *, step: str = "check alarms.mail and the server's log"
    ) -> ChannelFailed:
        again = f"{step}; the alarm is sent again by itself"
        return ChannelFailed(f"mail server {self._host}:{self._port} {what}", next_step=again)


def message_of(alarm: Alarm, mail: Mail) -> EmailMessage:
    """The message for an alarm: the same at every attempt."""
    message = EmailMessage()
    message["Subject"] = f"[{mail.node}] {alarm.level.value}: {_line(alarm.what)}"[:200]
    message["From"] = mail.sender
    message["To"] = ", ".join(mail.recipients)
    message["Date"] = format_datetime(datetime.fromtimestamp(alarm.at, UTC))
    message["Message-ID"] = f"<{alarm.token}@{mail.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no robot answers it
    lines = [alarm.what, "", f"about: {alarm.subject}", f"kind: {alarm.kind}"]
    if alarm.next_step:
        lines.append(f"what to do: {alarm.next_step}")
    message.set_content(_sendable("\n".join(lines)) + "\n")
    return message


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in _sendable(text)).split())


def _sendable(text: str) -> str:
    """What strangers wrote may hold halves of characters, which no message can."""
    return text.encode("utf-8", "replace").decode()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
