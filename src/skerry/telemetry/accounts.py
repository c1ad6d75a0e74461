"""What may be told of one request, noted while it is answered.

Owns the note that travels with a request (in its context) from the door to its front and to the
upstream: logs, traces and exemplars are written from it alone, never from the request. Everything
counts as sensitive until the front says otherwise, and of a sensitive request nothing is told but
what it was, how it ended and how long it took (requirements S2, P4).
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skerry.telemetry.traces import Span

PUBLIC, SENSITIVE = "public", "sensitive"
SUBJECT_CHARS_MAX = 300
"""A stranger's path may be as long as a request: a log of a flood of them would fill the disk."""


@dataclass(slots=True)
class Account:
    """One request's.

    Attributes:
        data_class: whose business it is.
        kind: what was asked for, of a closed vocabulary.
        outcome: how it was answered, of a closed vocabulary.
        subject: what it was about, "" unless it is public. Never a query.
        span: the trace of it that is kept; None when none is.
    """

    data_class: str = SENSITIVE
    kind: str = ""
    outcome: str = ""
    subject: str = ""
    span: Span | None = None

    def tell(self, data_class: str, subject: str) -> None:
        """The front knows whose business the request is; the subject of a public one is kept."""
        self.data_class = data_class
        self.subject = subject[:SUBJECT_CHARS_MAX] if data_class == PUBLIC else ""

    def end(self, kind: str, outcome: str) -> None:
        """What was asked for, and how it was answered."""
        self.kind, self.outcome = kind, outcome

    @property
    def trace_id(self) -> str:
        """Of the trace that is kept of a public request, for an exemplar; "" for none."""
        shown = self.span is not None and self.data_class == PUBLIC
        return self.span.context.trace_id if shown and self.span is not None else ""


_current: ContextVar[Account | None] = ContextVar("skerry.account", default=None)


def current() -> Account:
    """The account of the request that is being answered; one that nobody reads outside of any."""
    return _current.get() or Account()


@contextmanager
def kept(account: Account) -> Iterator[Account]:
    """Has `current` give this account, here and in what is started from here."""
    token = _current.set(account)
    try:
        yield account
    finally:
        _current.reset(token)
