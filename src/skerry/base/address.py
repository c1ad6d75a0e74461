"""Addresses of clients, for fairness alone.

Owns what counts as one client. Never an identity: many may share an address (requirements L1).
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


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
