"""Says once when something that needs the outside comes near its end, and once when all is well.

Owns what was said. What expires is the horizon's to know (requirements S6).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from skerry.base.units import format_seconds
from skerry.telemetry.events import Events, Level
from skerry.telemetry.horizon import NEXT_STEPS, Expires, Expiry, Horizon

TOLD_MAX = 1024
"""So many things are remembered as told of; sources give fewer."""


class HorizonAlarm:
    """Looks at the horizon when told to; `quiet` kinds are never told of."""

    def __init__(
        self,
        horizon: Horizon,
        *,
        events: Events,
        now: Callable[[], float],
        below_seconds: float,
        quiet: Collection[Expires] = (),
    ) -> None:
        self._horizon = horizon
        self._events = events
        self._now = now
        self._below_seconds = below_seconds
        self._quiet = frozenset(quiet)
        self._near: set[tuple[Expires, str]] = set()
        self._over: set[tuple[Expires, str]] = set()

    def look(self) -> None:
        """Tells of each thing that has come near its end or passed it since the last look, and
        when nothing is near any more."""
        now = self._now()
        last: dict[tuple[Expires, str], Expiry] = {}
        for each in self._horizon.expiries():
            if each.kind not in self._quiet and each.at - now < self._below_seconds:
                last.setdefault((each.kind, each.what), each)
        for key, each in list(last.items())[:TOLD_MAX]:
            if each.at <= now and key not in self._over:
                self._tell("horizon.passed", each, "has ended", Level.ERROR)
            elif each.at > now and key not in self._near:
                left = format_seconds(each.at - now)
                self._tell("horizon.near", each, f"ends in {left}", Level.WARNING)
        if self._near and not last:
            self._events.emit(
                "horizon.clear", "horizon", cause="nothing that needs the outside ends soon"
            )
        self._near = set(list(last)[:TOLD_MAX])
        self._over = {key for key in self._near if last[key].at <= now}

    def _tell(self, kind: str, each: Expiry, what: str, level: Level) -> None:
        self._events.emit(
            kind,
            each.what,
            cause=f"{each.kind.replace('_', ' ')} {what}",
            next_step=NEXT_STEPS[each.kind],
            level=level,
        )
