"""Addresses of clients, for fairness alone.

Owns what counts as one client. Never an identity: many may share an address (requirements L1).
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network


def plain_address(text: str) -> str:
    """An address in its one spelling, without a zone, IPv4 out of IPv6; "" for what is none."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


def near_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 network of 64 bits."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return f"{int(found) >> 64:x}/64"
    return str(found)


def network_of(address: str) -> str:
    """What counts as one subscriber: an IPv4 address, or an IPv6 network of 48 bits.

    A single customer may well be given a /48 (RFC 6177), and can dial from all of it.
    """
    near = near_of(address)
    return f"{int(near[:-3], 16) >> 16:x}/48" if near.endswith("/64") else near


class AddressClass(StrEnum):
    """Where an address is, roughly. Bounded: a metric label."""

    LOOPBACK = "loopback"
    PRIVATE = "private"  # RFC 1918, RFC 4193, link-local: the site's own network
    SHARED = "shared"  # RFC 6598: behind a carrier's NAT
    PUBLIC = "public"
    UNKNOWN = "unknown"


_SHARED = ip_network("100.64.0.0/10")
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))


@lru_cache(1024)
def class_of(address: str) -> AddressClass:
    """The class of an address; UNKNOWN for what is none."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return AddressClass.UNKNOWN
    found = getattr(found, "ipv4_mapped", None) or found
    if found.is_loopback:
        return AddressClass.LOOPBACK
    if found in _SHARED:
        return AddressClass.SHARED
    inside = found.is_link_local or any(found in network for network in _PRIVATE)
    return AddressClass.PRIVATE if inside else AddressClass.PUBLIC
