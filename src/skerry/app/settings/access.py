"""The settings of [access]: who is known to this node, and what they may do.

Owns their shapes only, so that a command that reads settings loads nothing heavy.
"""

from __future__ import annotations

import msgspec

from skerry.app.settings.units import FilePath, Seconds


class GroupSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[access.group]]: identities under one name."""

    name: str
    members: tuple[str, ...] = ()


class RuleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[access.rule]]: who may do what to repositories; all that match one add up."""

    repositories: tuple[str, ...]
    identities: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    actions: tuple[str, ...] = ("pull",)
    anonymous_pull: bool = False


class CertificateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[access.certificate]]: client certificates that are somebody."""

    match: str
    identity: str
    groups: tuple[str, ...] = ()


class WorkloadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[access.issuer.grant]]: what workloads with these claims may do."""

    claims: tuple[str, ...]
    repositories: tuple[str, ...]
    actions: tuple[str, ...] = ("pull",)
    groups: tuple[str, ...] = ()


class IssuerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[access.issuer]]: an OpenID Connect issuer whose ID tokens are taken."""

    name: str
    url: str
    audience: str
    jwks_url: str = ""
    jwks_file: FilePath = ""
    ca_file: FilePath = ""
    plain_http: bool = False
    refresh_seconds: Seconds = msgspec.field(default=3600.0, name="refresh")
    outage_seconds: Seconds = msgspec.field(default=7 * 86400.0, name="outage")
    grants: tuple[WorkloadSettings, ...] = msgspec.field(default=(), name="grant")


class RoleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[access.roles]: who may use the admin door; `@name` means a group."""

    viewers: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()


class AccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[access]: without anybody known, everything public is open, as ever."""

    robots: bool = False
    realm: str = ""
    algorithm: str = "EdDSA"
    token_seconds: Seconds = msgspec.field(default=300.0, name="token")
    refresh_seconds: Seconds = msgspec.field(default=30 * 86400.0, name="refresh")
    rotate_seconds: Seconds = msgspec.field(default=30 * 86400.0, name="rotate")
    leeway_seconds: Seconds = msgspec.field(default=30.0, name="leeway")
    session_seconds: Seconds = msgspec.field(default=8 * 3600.0, name="session")
    rules: tuple[RuleSettings, ...] = msgspec.field(default=(), name="rule")
    groups: tuple[GroupSettings, ...] = msgspec.field(default=(), name="group")
    certificates: tuple[CertificateSettings, ...] = msgspec.field(default=(), name="certificate")
    issuers: tuple[IssuerSettings, ...] = msgspec.field(default=(), name="issuer")
    roles: RoleSettings = RoleSettings()
