"""The log's lines."""

from __future__ import annotations

import json
import logging
import sys

from skerry.telemetry.log_lines import EVENTS_LOGGER, ConsoleLines, JsonLines


def record(
    name: str, message: str, *, broken: bool = False, why: str = "two\nlines"
) -> logging.LogRecord:
    found = None
    if broken:
        try:
            raise ValueError(why)
        except ValueError:
            found = sys.exc_info()
    return logging.LogRecord(name, logging.WARNING, "f", 1, "%s", (message,), found)


def test_an_event_is_logged_as_the_json_it_is() -> None:
    assert JsonLines().format(record(EVENTS_LOGGER, '{"kind": "tag.moved"}')) == (
        '{"kind": "tag.moved"}'
    )


def test_everything_else_becomes_one_json_line_with_its_traceback() -> None:
    line = JsonLines().format(record("skerry.node", "a\nb", broken=True))
    assert "\n" not in line
    found = json.loads(line)
    assert found["message"] == "a\nb"
    assert "ValueError" in found["traceback"]


def test_what_failed_moves_no_cursor_and_makes_no_line_of_its_own_kind() -> None:
    text = ConsoleLines().format(record("skerry.http", "x", broken=True, why="\x1b[2J\x9b1m\rgone"))
    assert all(line.isprintable() for line in text.split("\n"))
    assert "ValueError" in text


def test_a_line_of_json_moves_no_cursor_either() -> None:
    line = JsonLines().format(record("skerry.http", "a\x9b2J\u202eb", broken=True, why="\x9b1m"))
    assert line.isascii()
    assert json.loads(line)["message"] == "a\x9b2J\u202eb"
