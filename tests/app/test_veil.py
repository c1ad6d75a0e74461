"""What may be written down of events: nothing that names a private image."""

from __future__ import annotations

import json
import logging

import pytest

from skerry.adapters.sqlite_telemetry import SqliteTelemetry
from skerry.app.telemetry.veil import HIDDEN, Veil
from skerry.telemetry.events import Event, Events

SECRET, PUBLIC = f"sha256:{'5' * 64}", f"sha256:{'7' * 64}"
VEIL = Veil(("vault.example:5000", "quay.io"), is_public=lambda digest: digest == PUBLIC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("quay.io/clinic/mrs-doe:latest", f"quay.io/{HIDDEN}"),
        ("a vault.example:5000/clinic/x, then", f"a vault.example:5000/{HIDDEN}, then"),
        ("docker.io/library/alpine:3", "docker.io/library/alpine:3"),
        ("notquay.io/a/b", "notquay.io/a/b"),
        ("quay.io via origin", "quay.io via origin"),
        (f"{SECRET} rotted", f"{HIDDEN} rotted"),
        (f"{PUBLIC} rotted", f"{PUBLIC} rotted"),
    ],
)
def test_private_names_and_digests_are_left_out(text: str, told: str) -> None:
    veiled = VEIL(Event(1.0, "tag.moved", text, text, text))
    assert (veiled.subject, veiled.cause, veiled.next_step) == (told, told, told)


def test_without_private_upstreams_nothing_is_left_out() -> None:
    event = Event(1.0, "tag.moved", "quay.io/a/b:1", SECRET)
    assert Veil((), is_public=lambda digest: False)(event) == event


async def test_the_log_and_the_file_get_the_veiled_event_and_the_operator_all_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    events = Events(lambda: 100.0)
    book = SqliteTelemetry(None, keep_seconds=1e9, bytes_max=1 << 30)
    events.veil = VEIL
    events.keep_in(book)
    events.emit("tag.moved", "quay.io/clinic/mrs-doe:latest", cause=f"now {SECRET}")
    kept = book.history(since=0, until=1e12, kind="", count_max=10)
    assert "mrs-doe" not in caplog.text + repr(kept)
    assert SECRET not in caplog.text + repr(kept)
    assert json.loads(caplog.messages[0])["subject"] == f"quay.io/{HIDDEN}"
    assert events.history(0)[0].subject == "quay.io/clinic/mrs-doe:latest"


async def test_history_joins_the_lives_before_with_this_one_and_tells_nothing_twice() -> None:
    now = 100.0
    book = SqliteTelemetry(None, keep_seconds=1e9, bytes_max=1 << 30)
    before = Events(lambda: now)
    before.keep_in(book)
    before.emit("breaker.opened", "first")
    now = 200.0
    events = Events(lambda: now)
    events.emit("tag.moved", "before the file was open")
    events.keep_in(book)
    now = 300.0
    events.emit("breaker.closed", "third")
    assert [each.subject for each in events.history(0)] == [
        "first", "before the file was open", "third"
    ]  # fmt: skip
    assert [each.subject for each in events.history(0, "breaker")] == ["first", "third"]
    assert [each.subject for each in events.history(250)] == ["third"]
    assert [each.subject for each in events.history(0, count_max=1)] == ["third"]
    kept = book.history(since=0, until=1e12, kind="", count_max=10)
    assert len(kept) == 3
