"""What of an event may be written down.

Owns the rule that no log line and no file tells which private image something happened to
(requirements S2): its names and digests are left out. Whoever has the token reads them as long as
the node runs. Never decides what is private.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace

from skerry.telemetry.events import Event

HIDDEN = "(a private image)"
_DIGEST = re.compile(r"\b(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\b")


class Veil:
    """Takes private names and digests out of events."""

    def __init__(self, private: Collection[str], *, is_public: Callable[[str], bool]) -> None:
        """`private` are names of upstreams; `is_public` is asked of digests."""
        self._is_public = is_public
        names = "|".join(map(re.escape, private))
        self._names = re.compile(rf"(?<![\w.-])(?:{names})/[^\s,;\"']+") if private else None

    def __call__(self, event: Event) -> Event:
        """The event as it may be told anywhere."""
        if self._names is None:
            return event
        return replace(
            event,
            subject=self._plain(event.subject),
            cause=self._plain(event.cause),
            next_step=self._plain(event.next_step),
        )

    def _plain(self, text: str) -> str:
        if self._names is None:
            return text
        text = self._names.sub(lambda found: found[0].partition("/")[0] + f"/{HIDDEN}", text)
        return _DIGEST.sub(lambda found: found[0] if self._is_public(found[0]) else HIDDEN, text)
