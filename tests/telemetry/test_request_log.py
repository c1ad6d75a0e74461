"""Lines about requests: what they say, and how many there are."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading

import pytest

from skerry.telemetry import accounts
from skerry.telemetry.accounts import Account
from skerry.telemetry.log_lines import (
    QUEUED_MAX,
    REQUESTS_LOGGER,
    ConsoleLines,
    JsonLines,
    LogFormat,
    log_to_stderr,
)
from skerry.telemetry.request_log import LINES_PER_SECOND_MAX, RequestLog

PUBLIC = Account("public", "page", "hit", "www.example.org/film")
SENSITIVE = Account("sensitive", "page", "pass")


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [json.loads(text) for text in caplog.messages]


def told(log: RequestLog, account: Account) -> None:
    log.full("edge", "GET", account, status=200, size=7, seconds=0.25)


def test_a_line_says_what_the_account_tells(caplog: pytest.LogCaptureFixture) -> None:
    log = RequestLog(monotonic=lambda: 0.0, fast_share=0)
    told(log, PUBLIC)
    told(log, SENSITIVE)
    public, sensitive = lines(caplog)
    assert public == {
        "door": "edge", "method": "GET", "status": 200, "kind": "page", "outcome": "hit",
        "class": "public", "seconds": 0.25, "bytes": 7, "subject": "www.example.org/film",
    }  # fmt: skip
    assert sensitive == {
        "door": "edge", "method": "GET", "status": 200, "kind": "page", "outcome": "pass",
        "class": "sensitive", "seconds": 0.25,
    }, "neither name nor length"  # fmt: skip


def test_a_flood_is_told_of_in_part_and_counted_whole(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    log = RequestLog(monotonic=lambda: now, fast_share=0)
    for _ in range(5 * LINES_PER_SECOND_MAX):
        told(log, PUBLIC)
    assert len(caplog.messages) == 2 * LINES_PER_SECOND_MAX
    now = 1.0
    told(log, PUBLIC)
    assert lines(caplog)[-1]["unsaid"] == 3 * LINES_PER_SECOND_MAX
    assert log.statistics().unsaid_count == 3 * LINES_PER_SECOND_MAX


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.01, 10), (1.0, 1000)])
def test_the_fast_way_is_sampled_by_its_share(
    caplog: pytest.LogCaptureFixture, share: float, count: int
) -> None:
    now = 0.0
    log = RequestLog(monotonic=lambda: now, fast_share=share)
    for _ in range(1000):
        now += 1
        log.fast("edge", PUBLIC, uses=1, size=7)
    assert abs(len(caplog.messages) - count) <= 1
    assert all(line["way"] == "fast" for line in lines(caplog))


def record(name: str, message: str) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "f", 1, "%s", (message,), None)


def test_a_request_is_one_json_line_with_its_time() -> None:
    found = json.loads(JsonLines().format(record(REQUESTS_LOGGER, '{"door": "edge"}')))
    assert (found["door"], found["level"], found["logger"]) == ("edge", "warning", REQUESTS_LOGGER)
    assert found["at"] > 0


def test_the_console_gets_plain_lines_without_control_characters() -> None:
    text = json.dumps({"at": 1, "kind": "tag.moved", "subject": "a\x1b[2J", "next_step": ""})
    line = ConsoleLines().format(record("skerry.events", text))
    assert line.endswith("events: tag.moved a\N{REPLACEMENT CHARACTER}[2J")
    assert "\x1b" not in line
    line = ConsoleLines().format(record(REQUESTS_LOGGER, '{"door": "edge", "status": 200}'))
    assert line.endswith("requests: door=edge status=200")


def test_a_reader_that_does_not_read_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Standard error is a pipe whose other end has stopped: lines go, requests do not wait."""
    stuck = Stuck()
    monkeypatch.setattr(sys, "stderr", stuck)
    before = _logging()
    with log_to_stderr(LogFormat.JSON, "debug", requests=True):
        log = logging.getLogger(REQUESTS_LOGGER)
        try:
            for _ in range(QUEUED_MAX + 500):
                log.info("%s", '{"door": "edge"}')
            assert stuck.written <= 1, "the thread waits, this one got here"
        finally:
            stuck.reads.set()
    assert _logging() == before, "nothing of it is left"
    assert QUEUED_MAX <= stuck.written <= QUEUED_MAX + 2


def _logging() -> list[object]:
    """What a log to standard error changes in this process."""
    found = [logging.getLogger(name) for name in ("", "skerry", REQUESTS_LOGGER)]
    return [(each.level, each.propagate, each.handlers[:]) for each in found]


class Stuck(io.StringIO):
    """Takes one line and then waits until somebody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = threading.Event()
        self.written = 0

    def write(self, text: str) -> int:
        self.written += text.count("\n")
        self.reads.wait()
        return len(text)


def test_no_path_makes_a_long_line() -> None:
    account = accounts.Account()
    account.tell(accounts.PUBLIC, f"shop.example.org/{'p' * 8000}")
    assert len(account.subject) == accounts.SUBJECT_CHARS_MAX
