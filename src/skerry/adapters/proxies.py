"""Which proxy a URL goes through.

Owns the reading of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` the way Go programs
(containerd, Docker) do, networks in `NO_PROXY` included, so that one environment file serves all.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from skerry.upstream.core.guard import Origin, literal, origin_of


def proxy_for(url: str, environment: Mapping[str, str]) -> str:
    """The proxy's URL, "" for none. This machine itself is never reached through one."""
    origin = origin_of(url)
    if origin is None or _is_exempt(origin, _read(environment, "no_proxy")):
        return ""
    found = _read(environment, f"{origin.scheme}_proxy") or _read(environment, "all_proxy")
    return f"http://{found}" if found and "://" not in found else found


def _read(environment: Mapping[str, str], name: str) -> str:
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


def _is_exempt(origin: Origin, no_proxy: str) -> bool:
    address = literal(origin.host)
    if origin.host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(origin, entry.strip().lower()) for entry in no_proxy.split(","))


def _matches(origin: Origin, entry: str) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    address = literal(origin.host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            pass
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit():
        if int(port) != origin.port:
            return False
        entry = host
    entry = entry.strip("[]")
    name = entry.removeprefix("*").removeprefix(".")
    return origin.host.endswith(f".{name}") or (origin.host == name and not entry.startswith("."))
