"""The node's log: one JSON line each on standard error.

Owns the form. What is said, and that no secret is in it, is the business of who says it.
"""

from __future__ import annotations

import json
import logging
import sys

EVENTS_LOGGER = "skerry.events"


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
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr() -> None:
    """Sends our own log from INFO on, and others' from WARNING on, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("skerry").setLevel(logging.INFO)
