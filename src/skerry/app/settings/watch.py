"""The settings of [[dns.watch]]: domains whose delegation and registration are watched.

Owns their shapes only.
"""

from __future__ import annotations

import msgspec

from skerry.app.settings.units import Count, FilePath, Seconds


class WatchKeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[dns.watch.key]]: a public key that signs the domain's state, and whose it is."""

    file: FilePath
    owner: str


class DomainWatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[dns.watch]]: one domain and the state that its owners signed."""

    domain: str
    state_file: FilePath
    threshold: Count = 1
    parents: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    registrar: bool = True
    rdap: str = ""
    plain_http: bool = False
    expiry_near_seconds: Seconds = msgspec.field(default=30 * 86400.0, name="expiry_near")
    keys: tuple[WatchKeySettings, ...] = msgspec.field(default=(), name="key")
