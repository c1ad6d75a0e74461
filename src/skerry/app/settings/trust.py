"""The settings of [trust]: whose signatures an image needs before it leaves this node.

Owns their shapes only, so that a command that reads settings loads no cryptography.
"""

from __future__ import annotations

import msgspec

from skerry.app.settings.units import Count, FilePath


class TrustKeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[trust.policy.key]]: a public key, or with `authority` a certificate, and whose it is."""

    file: FilePath
    owner: str
    authority: bool = False
    expires: str = ""
    revoked: bool = False


class TrustPolicySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[trust.policy]]: what holds for repositories; the first that matches counts."""

    name: str
    repositories: tuple[str, ...]
    threshold: Count = 1
    required: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("cosign", "bundle", "notation")
    critical: bool = True
    downgrades: bool = False
    keys: tuple[TrustKeySettings, ...] = msgspec.field(default=(), name="key")


class TrustSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[trust]: without a policy everything leaves, as ever.

    With `root`, a folder, a signed root says whose keys count, and no policy lists keys.
    """

    root: FilePath = ""
    policies: tuple[TrustPolicySettings, ...] = msgspec.field(default=(), name="policy")
