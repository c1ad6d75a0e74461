"""Settings of what the node tells about itself: metrics, logs, events.

Owns the shapes only, like `settings`.
"""

from __future__ import annotations

import msgspec

from skerry.app.settings_units import Count


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[telemetry]: `sensitive_group_min` is how many requests stand together at the least."""

    sensitive_group_min: Count = 10
