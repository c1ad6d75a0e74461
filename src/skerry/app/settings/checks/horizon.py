"""What must be true of [horizon] before a node starts.

Owns its rules.
"""

from __future__ import annotations

from collections.abc import Iterator

from skerry.app.settings.errors import Problem
from skerry.app.settings.horizon import HorizonSettings
from skerry.app.settings.rules import refused
from skerry.telemetry.horizon import Expires


def check_horizon(horizon: HorizonSettings) -> Iterator[Problem]:
    """Every rule that is broken."""
    for number, kind in enumerate(horizon.quiet):
        if kind not in set(Expires):
            step = f"write some of {', '.join(Expires)}"
            yield refused(f"horizon.quiet[{number}]", kind, "is nothing that expires", step)
