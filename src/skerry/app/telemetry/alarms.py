"""The alarms of one node: the outbox, the channels and their routes, from the settings.

Owns that part of the composition. A node that is to tell nobody opens and loads nothing of it.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Protocol

from skerry.aio.tasks import Nursery
from skerry.app.admin.replies import Routes, json_answer
from skerry.app.damage import opened
from skerry.app.settings.addresses import split_address
from skerry.app.settings.schema import Settings
from skerry.base.clock import Clock
from skerry.base.errors import Party, SkerryError
from skerry.telemetry.alarms import Alarm, Alarms, AlarmsUnusable, Channel, Silence, of_events
from skerry.telemetry.events import Events, Level
from skerry.telemetry.metrics import Registry
from skerry.upstream.core.guard import place_of
from skerry.upstream.ports import Dial, Transport
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:
    from skerry.adapters.sqlite_alarms import SqliteAlarms
    from skerry.telemetry.alarm_outbox import AlarmOutbox

ALARMS_FILE = "alarms.sqlite"
SHOWN_MAX = 100


class Site(Protocol):
    """What the node hands over."""

    settings: Settings
    clock: Clock
    events: Events
    nursery: Nursery
    ends: AsyncExitStack
    chance: Random
    alarms: Alarms
    metrics: Registry


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """One alarm, as the API tells it: `sent` to these channels, `waiting` for those, `held_back`
    from the others, which are told of it in one sum."""

    id: str
    kind: str
    subject: str
    level: str
    what: str
    next_step: str
    at: float
    sent: tuple[str, ...]
    waiting: tuple[str, ...]
    held_back: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlarmList:
    """The answer of GET /api/v1/alarms, the latest first, and of POST: the one that was made."""

    alarms: tuple[AlarmRow, ...]


class NodeAlarms:
    """What is open of it."""

    def __init__(self, node: Site) -> None:
        self._node = node
        self._file: SqliteAlarms | None = None
        self._outbox: AlarmOutbox | None = None

    def open(self, transport: Transport) -> Alarms:
        """Begins to send what is configured. An outbox that cannot be opened is kept in memory."""
        node, settings = self._node, self._node.settings
        if not settings.alarms.used:
            return Silence()
        from skerry.telemetry.alarm_outbox import AlarmOutbox

        self._file = _file(node)
        node.ends.push_async_callback(self._file.close)
        self._outbox = outbox = AlarmOutbox(
            self._file,
            _channels(settings, transport),
            clock=node.clock,
            chance=node.chance,
            events=node.events,
        )
        node.metrics.tally(
            "skerry_alarms_held_back",
            "Alarms that were not sent one by one since too many waited; one alarm sums them up.",
            lambda: {(): outbox.statistics().held_back_count},
        )
        start = partial(node.nursery.start, name="alarm")
        node.events.listen(of_events(outbox, frozenset(settings.alarms.events), start))
        node.nursery.start(outbox.run(), name="alarms")
        return outbox

    async def look(self) -> None:
        """Sends what is due, now."""
        if self._outbox is not None:
            await self._outbox.look()

    @property
    def routes(self) -> Routes:
        """What the admin door answers here."""
        return {"/api/v1/alarms": {"GET": self._list, "POST": self._test}}

    async def _list(self, request: Request) -> Answer:
        standing = self._file.recent(SHOWN_MAX) if self._file is not None else ()
        return json_answer(
            AlarmList(tuple(_row(s.alarm, s.sent, s.waiting, s.held_back) for s in standing))
        )

    async def _test(self, request: Request) -> Answer:
        if self._outbox is None or self._file is None:
            raise SkerryError(
                "nobody is to be told",
                next_step="describe a channel: [[alarms.webhook]] or [alarms.mail]",
                party=Party.OPERATOR,
            )
        now = self._node.clock.now()
        alarm = Alarm(
            key=f"alarm.test/{now}",
            kind="alarm.test",
            subject=self._node.settings.node.name,
            level=Level.INFO,
            what="this is a test: alarms of this node reach you",
            next_step="",
            at=now,
        )
        await self._outbox.sound(alarm)
        channels = tuple(channel.name for channel in self._outbox.channels)
        return json_answer(AlarmList((_row(alarm, (), channels),)))


def _row(
    alarm: Alarm,
    sent: tuple[str, ...],
    waiting: tuple[str, ...],
    held_back: tuple[str, ...] = (),
) -> AlarmRow:
    return AlarmRow(
        alarm.token, alarm.kind, alarm.subject, alarm.level.value, alarm.what, alarm.next_step,
        alarm.at, sent, waiting, held_back,
    )  # fmt: skip


def _file(node: Site) -> SqliteAlarms:
    from skerry.adapters.sqlite_alarms import ALARMS, SqliteAlarms

    try:
        file, _ = opened(node.settings.node.data_path / ALARMS_FILE, ALARMS, node.events)
        return SqliteAlarms(file)
    except AlarmsUnusable as error:
        node.events.emit(
            "alarm.not_kept",
            "alarms",
            cause=error.what,
            next_step=error.next_step,
            level=Level.ERROR,
        )
        return SqliteAlarms(None)


def _channels(settings: Settings, transport: Transport) -> list[Channel]:
    from skerry.adapters.alarm_webhook import Webhook

    found: list[Channel] = []
    for hook in settings.alarms.webhooks:
        dial = Dial(
            connect_seconds=5.0,
            first_byte_seconds=10.0,
            ca_file=hook.ca_file or None,
            connections_max=1,
            private_hosts=frozenset({place_of(hook.url)}),
        )
        found.append(
            Webhook(
                name=hook.called,
                url=hook.url,
                node=settings.node.name,
                transport=transport,
                dial=dial,
                token_file=hook.token_file,
            )
        )
    mail = settings.alarms.mail
    if mail.server:
        # Late: the standard library's mail takes a while to load.
        from skerry.adapters.alarm_mail import Mail

        host, port = split_address(mail.server)
        found.append(
            Mail(
                host=host,
                port=port,
                sender=mail.sender,
                recipients=mail.to,
                node=settings.node.name,
                starttls=mail.starttls,
                ca_file=mail.ca_file,
                username=mail.username,
                password_file=mail.password_file,
            )
        )
    return found
