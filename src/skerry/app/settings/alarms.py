"""The settings of [alarms]: what is an alarm, and whom to tell.

Owns their shapes, and what must be true of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from skerry.app.settings.addresses import split_address
from skerry.app.settings.errors import Problem
from skerry.app.settings.units import FilePath, SecretUrl
from skerry.upstream.core.guard import place_of

KINDS = (
    "horizon.near",
    "horizon.passed",
    "catalog.damaged",
    "catalog.restored",
    "file.salvaged",
    "tokens.closed",
    "trust.roots_lost",
    "ledger.off",
    "ledger.rows_missing",
    "budget.meter_blind",
    "task.crashed",
)
_ADDRESS = re.compile(r"[^\s@<>\",;:]{1,64}@[A-Za-z0-9.-]{1,255}\Z")
_KIND = re.compile(r"[a-z_]+\.[a-z_]+\Z")


class WebhookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[alarms.webhook]]: a URL that gets each alarm as JSON."""

    url: SecretUrl
    name: str = ""
    token_file: FilePath = ""
    ca_file: FilePath = ""
    plain_http: bool = False

    @property
    def called(self) -> str:
        """What people read of it. Never the URL: of many services its path is the password."""
        return self.name or place_of(self.url)


class MailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[alarms.mail]: a mail server that takes each alarm."""

    server: str = ""
    sender: str = msgspec.field(default="", name="from")
    to: tuple[str, ...] = ()
    username: str = ""
    password_file: FilePath = ""
    ca_file: FilePath = ""
    starttls: bool = True


class AlarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[alarms]: without a webhook or a mail server nobody is told."""

    events: tuple[str, ...] = KINDS
    webhooks: tuple[WebhookSettings, ...] = msgspec.field(default=(), name="webhook")
    mail: MailSettings = MailSettings()

    @property
    def used(self) -> bool:
        """Whether anybody is to be told."""
        return bool(self.webhooks or self.mail.server)


def check_alarms(alarms: AlarmSettings) -> Iterator[Problem]:
    """Every rule that is broken, in the order of the file."""
    from skerry.app.settings.rules import bundle_trouble, file_trouble, refused, url_trouble

    for at, kind in enumerate(alarms.events):
        if not _KIND.match(kind):
            step = 'write the kind of an event, as in "horizon.near"'
            yield refused(f"alarms.events[{at}]", kind, "is no kind of event", step)
    names: set[str] = {"mail"}
    for at, hook in enumerate(alarms.webhooks):
        here = f"alarms.webhook[{at}]"
        yield from url_trouble(f"{here}.url", hook.url, plain_http=hook.plain_http, path=True)
        yield from file_trouble(f"{here}.token_file", hook.token_file)
        yield from bundle_trouble(f"{here}.ca_file", hook.ca_file)
        name = hook.called
        if name in names:
            yield refused(f"{here}.name", name, "is another channel's", "give each its own name")
        names.add(name)
    yield from _mail(alarms.mail)


def _mail(mail: MailSettings) -> Iterator[Problem]:
    from skerry.app.settings.rules import bundle_trouble, file_trouble, refused

    if not mail.server:
        if mail.sender or mail.to or mail.username:
            step = "write host:port, e.g. mail.example.org:587"
            yield refused("alarms.mail.server", "", "is missing", step)
        return
    try:
        _, port = split_address(mail.server)
    except ValueError:
        port = 0
    if not port:
        step = "write host:port, e.g. mail.example.org:587"
        yield refused("alarms.mail.server", mail.server, "is not host:port", step)
    addresses = [("from", mail.sender), *((f"to[{at}]", to) for at, to in enumerate(mail.to))]
    for field, address in addresses:
        if not _ADDRESS.match(address):
            step = "write one address, as alarms@example.org"
            yield refused(f"alarms.mail.{field}", address, "is no mail address", step)
    if not mail.to:
        yield refused("alarms.mail.to", "", "is empty", "name somebody who is to be told")
    if bool(mail.username) != bool(mail.password_file):
        missing = "password_file" if mail.username else "username"
        reason = "user name and password file are needed together"
        yield refused(f"alarms.mail.{missing}", "", reason, "set both or none")
    if mail.username and not mail.starttls:
        reason = "would send the password in the clear"
        yield refused("alarms.mail.starttls", False, reason, "leave it out")
    yield from file_trouble("alarms.mail.password_file", mail.password_file)
    yield from bundle_trouble("alarms.mail.ca_file", mail.ca_file)
