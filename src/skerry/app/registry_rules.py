"""What the settings ask of the registry, as its rules; and whose signatures it needs.

Owns that part of the composition, for `node`. Reads the files of keys; holds no policy.
"""

from __future__ import annotations

from skerry.app.settings.schema import Settings
from skerry.app.settings.trust import TrustSettings
from skerry.app.wiring import name_table, own_platform, tag_windows
from skerry.registry.access import Access
from skerry.registry.assembly import Rules
from skerry.trust.core.policies import Policies


def rules_of(settings: Settings, access: Access | None) -> Rules:
    """The registry's rules. Raises SettingsError."""
    registry = settings.registry
    return Rules(
        names=name_table(settings),
        windows=tag_windows(settings),
        answer_seconds=registry.answer_within_seconds,
        serve_deleted=registry.serve_deleted_tags,
        companions=registry.companions,
        negative_seconds=registry.negative_window_seconds,
        own_platform=own_platform(),
        local_enabled=registry.local.enabled,
        access=access,
        local_deletion=registry.local.deletion,
        local_overwriting=registry.local.overwriting,
        policies=_policies(settings.trust),
    )


def _policies(trust: TrustSettings) -> Policies:
    if not trust.policies:
        return Policies()
    # Late: keys take cryptography, and most of its time and memory.
    from skerry.app.settings.checks.trust import policies_of

    return policies_of(trust)
