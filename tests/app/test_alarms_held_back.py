"""A node with more alarms than can be told: what is held back is counted and shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.adapters import sqlite_alarms
from tests.rig.crew import Crew
from tests.telemetry.test_alarm_outbox import alarm


async def test_alarms_that_are_held_back_are_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_alarms, "WAITING_MAX", 2)
    crew = Crew(tmp_path / "one")
    crew.more = {"alarms": {"webhook": [{"url": "https://alarms.invalid/"}]}}
    await crew.start()
    try:
        for number in range(5):
            await crew.node.alarms.sound(alarm(f"key-{number}", crew.clock.now() + number))
        (family,) = [
            each for each in crew.node.metrics.families() if each.name == "skerry_alarms_held_back"
        ]
        assert list(family.series().values()) == [3]
        token = (crew.folder / "data" / "admin.token").read_text().strip()
        told = await crew.admin("GET", "/api/v1/alarms", ("Authorization", f"Bearer {token}"))
        assert told.body.count(b'"kind":"alarm.held_back"') == 1
        assert b"3 alarms were held back" in told.body
    finally:
        await crew.stop()
