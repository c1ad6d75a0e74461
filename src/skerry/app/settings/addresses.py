"""Addresses as settings write them.

Owns `host:port`, and nothing of what is behind one.
"""

from __future__ import annotations


def split_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:5000` or `[::1]:5000` as host and port. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("not host:port")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise ValueError("an IPv6 address is written in square brackets")
    return host, int(port)
