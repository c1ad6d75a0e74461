"""The node's log: one line each on standard error, as JSON or for a person's eyes.

Owns the form, and that lines about requests never keep the node waiting for whoever reads them.
What is said, and that no secret is in it, is the business of who says it.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from logging.handlers import QueueHandler, QueueListener

EVENTS_LOGGER = "skerry.events"
REQUESTS_LOGGER = "skerry.requests"
END_SECONDS = 1.0
QUEUED_MAX = 10_000
"""Lines about requests that wait for a slow reader; any more are left out."""


Lines = queue.Queue[logging.LogRecord | None]


class LogFormat(StrEnum):
    JSON = "json"
    CONSOLE = "console"


class JsonLines(logging.Formatter):
    """Events are JSON already; everything else is made so, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        if record.name == EVENTS_LOGGER:
            return record.getMessage()
        line: dict[str, object] = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.name == REQUESTS_LOGGER:
            return json.dumps(line)[:-1] + ", " + record.getMessage()[1:]
        line["message"] = record.getMessage()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class ConsoleLines(logging.Formatter):
    """The same for people: time, level, and what a line says, without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback has more."""
        text = record.getMessage()
        if record.name in (EVENTS_LOGGER, REQUESTS_LOGGER):
            text = " ".join(
                str(value) if name in ("kind", "subject") else f"{name}={value}"
                for name, value in json.loads(text).items()
                if name not in ("at", "level") and value not in ("", None)
            )
        text = _plain(text)
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{at} {record.levelname.lower():<7} {record.name.removeprefix('skerry.')}: {text}"
        if record.exc_info:
            # What failed may say what a stranger wrote.
            line += "\n" + "\n".join(map(_plain, self.formatException(record.exc_info).split("\n")))
        return line


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


class _Patient(QueueHandler):
    """Hands lines to a thread; one that has no room is left out."""

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # it stays in this process


class RequestLines(QueueListener):
    """The thread that writes lines about requests; it does not keep the node from ending."""

    def __init__(self, lines: Lines, handler: logging.Handler) -> None:
        super().__init__(lines, handler)
        self._lines = lines

    def stop(self) -> None:
        """Writes what is left, for as long as a reader who has stopped is waited for."""
        thread, self._thread = self._thread, None
        if thread is None:
            return  # was never started
        with suppress(queue.Full):
            self._lines.put(None, timeout=END_SECONDS)  # the sentinel of a listener
            thread.join(END_SECONDS)


@contextmanager
def log_to_stderr(
    form: LogFormat = LogFormat.JSON, level: str = "info", *, requests: bool = False
) -> Iterator[None]:
    """Sends our own log from a level on, and others' from WARNING on, to standard error; within
    it, and as it was before after that.

    With `requests` their lines too, through a thread that writes what is left at the end.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form is LogFormat.JSON else ConsoleLines())
    root, ours, own = map(logging.getLogger, ("", "skerry", REQUESTS_LOGGER))
    before = root.level, ours.level, own.propagate
    lines: Lines = queue.Queue(QUEUED_MAX)
    patient, listener = _Patient(lines), RequestLines(lines, handler)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    ours.setLevel(level.upper())
    own.propagate = not requests
    if requests:
        own.addHandler(patient)
        listener.start()
    try:
        yield
    finally:
        own.removeHandler(patient)
        listener.stop()
        root.removeHandler(handler)
        root.setLevel(before[0])
        ours.setLevel(before[1])
        own.propagate = before[2]
