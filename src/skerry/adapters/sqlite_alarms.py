"""The outbox of alarms in SQLite.

Owns `alarms.sqlite` (docs/internals/alarms.md). Never decides when something is tried again.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from skerry.adapters.sqlite_file import Form, Row, SqliteFile
from skerry.telemetry.alarms import (
    HELD_BACK,
    IMPORTANCE,
    WAITING_MAX,
    Added,
    Alarm,
    AlarmsUnusable,
    Due,
    HeldBack,
    Standing,
)
from skerry.telemetry.events import Level

KEPT_MAX = 10_000
"""Alarms on record; beyond, the oldest of those that wait for nobody are forgotten."""
SENT_KEPT_SECONDS = 90 * 86400.0
"""So long a key is remembered after its alarm was sent: longer than any budget's period."""

_WAITING, _SENT, _GIVEN_UP, _HELD_BACK = range(4)
"""What `delivery.sent` says."""
_ALARM = "key, kind, subject, level, what, next_step, at"
_SCHEMA = """
CREATE TABLE alarm (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, level TEXT NOT NULL,
    what TEXT NOT NULL, next_step TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX alarm_by_time ON alarm (at);
CREATE TABLE delivery (
    key TEXT NOT NULL REFERENCES alarm (key), channel TEXT NOT NULL, attempts INTEGER NOT NULL,
    due_at REAL NOT NULL, sent INTEGER NOT NULL, PRIMARY KEY (key, channel)
) WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (due_at) WHERE sent = 0
"""
ALARMS = Form(
    0x534B414C,  # "SKAL"
    1,
    _SCHEMA,
    named="the outbox of alarms",
    unusable=AlarmsUnusable,
    without="alarms that were not sent yet are lost",
)


class SqliteAlarms:
    """`telemetry.alarms.Outbox` over one SQLite file, or in memory without a path."""

    def __init__(self, path: Path | SqliteFile | None) -> None:
        self._file = path if isinstance(path, SqliteFile) else SqliteFile(path, ALARMS)

    async def add(self, alarm: Alarm, channels: Sequence[str]) -> Added:
        def change(db: sqlite3.Connection) -> Added:
            if not _insert(db, alarm, channels):
                return Added(new=False)
            held_back = sum(_hold_back(db, channel, alarm.at) for channel in channels)
            _forget(db)
            return Added(new=True, held_back=held_back)

        return await self._file.write(change, synced=True)

    def due(self, now: float, count_max: int) -> list[Due]:
        rows = self._file.read(
            f"SELECT {_named()}, d.channel, d.attempts FROM delivery d "
            "JOIN alarm a ON a.key = d.key "
            "WHERE d.sent = 0 AND d.due_at <= ? ORDER BY a.at, a.key LIMIT ?",
            (now, count_max),
        )
        return [Due(_alarm(row[:7]), row[7], row[8]) for row in rows]

    async def sent(self, key: str, channel: str) -> None:
        sql = "UPDATE delivery SET sent = 1 WHERE key = ? AND channel = ?"
        await self._file.write(lambda db: db.execute(sql, (key, channel)), synced=True)

    async def failed(self, key: str, channel: str, *, again_at: float) -> None:
        sql = (
            "UPDATE delivery SET attempts = attempts + 1, due_at = ? WHERE key = ? AND channel = ?"
        )
        await self._file.write(lambda db: db.execute(sql, (again_at, key, channel)))

    async def drop(self, before: float) -> int:
        old = "SELECT key FROM alarm WHERE at < ?"
        if not self._file.read(f"{old} LIMIT 1", (before,)):
            return 0

        def change(db: sqlite3.Connection) -> int:
            given_up = db.execute(
                f"UPDATE delivery SET sent = 2 WHERE sent = 0 AND key IN ({old})", (before,)
            ).rowcount
            long_ago = (before - SENT_KEPT_SECONDS,)
            db.execute(f"DELETE FROM delivery WHERE key IN ({old})", long_ago)
            db.execute("DELETE FROM alarm WHERE at < ?", long_ago)
            return given_up

        return await self._file.write(change)

    def recent(self, count_max: int) -> list[Standing]:
        rows = self._file.read(f"SELECT {_ALARM} FROM alarm ORDER BY at DESC LIMIT ?", (count_max,))
        found: list[Standing] = []
        for row in rows:
            deliveries = self._file.read(
                "SELECT channel, sent FROM delivery WHERE key = ? ORDER BY channel", (row[0],)
            )
            sent, waiting, held_back = (
                tuple(channel for channel, done in deliveries if done == state)
                for state in (_SENT, _WAITING, _HELD_BACK)
            )
            found.append(Standing(_alarm(row), sent, waiting, held_back))
        return found

    async def close(self) -> None:
        """Writes what is queued."""
        await self._file.close()


def _insert(db: sqlite3.Connection, alarm: Alarm, channels: Sequence[str]) -> bool:
    """False for a key that is there."""
    row = (alarm.key, alarm.kind, alarm.subject, alarm.level.value, alarm.what, alarm.next_step,
           alarm.at)  # fmt: skip
    new = db.execute(f"INSERT OR IGNORE INTO alarm ({_ALARM}) VALUES (?,?,?,?,?,?,?)", row)
    if not new.rowcount:
        return False
    db.executemany(
        "INSERT INTO delivery (key, channel, attempts, due_at, sent) VALUES (?,?,0,0,0)",
        [(alarm.key, channel) for channel in channels],
    )
    return True


def _hold_back(db: sqlite3.Connection, channel: str, now: float) -> int:
    """What waits for a channel beyond the bound is not sent; the alarm that says so is. How many
    these were."""
    waiting = (
        "FROM delivery d JOIN alarm a ON a.key = d.key "
        f"WHERE d.sent = {_WAITING} AND d.channel = ? AND a.kind"
    )
    [(count,)] = db.execute(f"SELECT count(*) {waiting} != ?", (channel, HELD_BACK))
    if count <= WAITING_MAX:
        return 0
    grave = " ".join(f"WHEN '{level}' THEN {at}" for at, level in enumerate(IMPORTANCE))
    victims = db.execute(
        f"SELECT a.key, a.level {waiting} != ? ORDER BY CASE a.level {grave} ELSE 9 END, a.at, "
        "a.key LIMIT ?",
        (channel, HELD_BACK, count - WAITING_MAX),
    ).fetchall()
    before = [
        each
        for row in db.execute(f"SELECT {_named()} {waiting} = ?", (channel, HELD_BACK)).fetchall()
        if (each := HeldBack.of(_alarm(row))) is not None and each.place == channel
    ]
    held = before[0] if before else HeldBack(channel, now, secrets.token_hex(4))
    old = held.alarm(now).key
    for key, level in victims:
        db.execute(
            f"UPDATE delivery SET sent = {_HELD_BACK} WHERE key = ? AND channel = ?",
            (key, channel),
        )
        held = held.with_one(_level(level))
    alarm = held.alarm(now)
    if not before:
        _insert(db, alarm, (channel,))
    else:
        # One that is on its way just now is told with its old count, and again with this one.
        db.execute(
            "UPDATE alarm SET key = ?, level = ?, what = ?, at = ? WHERE key = ?",
            (alarm.key, alarm.level.value, alarm.what, now, old),
        )
        db.execute("UPDATE delivery SET key = ? WHERE key = ?", (alarm.key, old))
    return len(victims)


def _forget(db: sqlite3.Connection) -> None:
    [(count,)] = db.execute("SELECT count(*) FROM alarm")
    if count <= KEPT_MAX:
        return
    going = db.execute(
        "SELECT key FROM alarm a WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.key = a.key "
        f"AND d.sent = {_WAITING}) ORDER BY at LIMIT ?",
        (count - KEPT_MAX,),
    ).fetchall()
    db.executemany("DELETE FROM delivery WHERE key = ?", going)
    db.executemany("DELETE FROM alarm WHERE key = ?", going)


def _named() -> str:
    return ", ".join(f"a.{name}" for name in _ALARM.split(", "))


def _alarm(row: Row) -> Alarm:
    key, kind, subject, level, what, next_step, at = row
    # A row that somebody has changed must not keep the others from being sent.
    return Alarm(key, kind, subject, _level(level), what, next_step, at)


def _level(text: str) -> Level:
    return Level(text) if text in {*Level} else Level.ERROR
