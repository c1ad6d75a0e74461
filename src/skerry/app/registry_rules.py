"""What the settings ask of the registry, as its rules; and whose signatures it needs.

Owns that part of the composition, for `node`. Reads the files of users and keys; holds no policy.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from skerry.app.settings import Settings
from skerry.app.settings_trust import TrustSettings
from skerry.app.wiring import name_table, own_platform, tag_windows
from skerry.registry.assembly import Rules
from skerry.registry.core.users import Users, parse_htpasswd
from skerry.trust.core.policies import Policies


def rules_of(settings: Settings) -> Rules:
    """The registry's rules. Raises SettingsError, BadInput, OSError."""
    registry = settings.registry
    users = None
    if registry.users_file:
        text = Path(registry.users_file).read_text(encoding="utf-8")
        users = Users(parse_htpasswd(text), key=secrets.token_bytes(32))
    return Rules(
        names=name_table(settings),
        windows=tag_windows(settings),
        answer_seconds=registry.answer_within_seconds,
        serve_deleted=registry.serve_deleted_tags,
        companions=registry.companions,
        negative_seconds=registry.negative_window_seconds,
        own_platform=own_platform(),
        local_enabled=registry.local.enabled,
        users=users,
        policies=_policies(settings.trust),
    )


def _policies(trust: TrustSettings) -> Policies:
    if not trust.policies:
        return Policies()
    # Late: keys take cryptography, and most of its time and memory.
    from skerry.app.settings_checks_trust import policies_of

    return policies_of(trust)
