"""The settings of [dns]: who resolves names, what is believed of them, and the site's own resolver.

Owns their shapes only.
"""

from __future__ import annotations

import msgspec

from skerry.app.settings.units import FilePath, Seconds
from skerry.app.settings.watch import DomainWatchSettings


class LocalNameSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[dns.local]]: a name of this site, answered by this node to the site alone."""

    name: str
    addresses: tuple[str, ...]


class DnsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[dns]: who resolves upstream names; none means /etc/resolv.conf."""

    servers: tuple[str, ...] = ()
    ca_file: FilePath = ""
    dnssec: str = "auto"
    trust_anchor_file: FilePath = ""
    private_names: tuple[str, ...] = ()
    stale_seconds: Seconds = msgspec.field(default=3 * 86400.0, name="stale")
    listen: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    local: tuple[LocalNameSettings, ...] = ()
    watch_every_seconds: Seconds = msgspec.field(default=20.0, name="watch_every")
    registrar_every_seconds: Seconds = msgspec.field(default=86400.0, name="registrar_every")
    watch: tuple[DomainWatchSettings, ...] = ()
