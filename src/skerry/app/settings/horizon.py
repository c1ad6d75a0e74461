"""The settings of [horizon]: when to say that something ends.

Owns their shape.
"""

from __future__ import annotations

import msgspec

from skerry.app.settings.units import Seconds


class HorizonSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[horizon]: things that need the outside, and when their end is near."""

    alarm_below_seconds: Seconds = msgspec.field(default=86400.0, name="alarm_below")
    quiet: tuple[str, ...] = ()
