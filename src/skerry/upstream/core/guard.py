"""Who may be given a credential, and which addresses may be dialled.

Owns the rules (known failures T1, T2, T3, T5, T8). Pure: names are resolved elsewhere, and the
resolved address is judged again here at connect time.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

URL_LENGTH_MAX = 8192
PORTS = {"http": 80, "https": 443}

_HOST = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.?\Z"
)
_NUMBER = re.compile(r"(?:\d+|0x[0-9a-f]*)\Z")
_BASE = re.compile(r"[^:/?#]+://[^/?#]*")
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA = frozenset({"168.63.129.16", "100.100.100.200", "fd00:ec2::254"})
"""Metadata services of clouds that are not on link-local addresses like the others."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
"""All that is given out as global unicast (RFC 4291 section 2.4). Beside it lie old and local ways
to write an IPv4 address, which `ipaddress` does not all know."""
_PROTOCOL_V4 = ipaddress.ip_network("192.0.0.0/24")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host in lower case without brackets or final dot, and port (RFC 6454)."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if PORTS[self.scheme] == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def origin_of(url: str) -> Origin | None:
    """The origin of an http or https URL; None for userinfo, controls or anything malformed."""
    if len(url) > URL_LENGTH_MAX or _CONTROL.search(url):
        return None
    found = _BASE.match(url)
    return _read_origin(found[0]) if found is not None else None


@lru_cache(maxsize=1024)
def _read_origin(base: str) -> Origin | None:
    """The same for scheme and authority alone: of these there are few, of URLs there is no end."""
    try:
        parts = urlsplit(base)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or "@" in parts.netloc:
        return None
    if ":" in host:
        if literal(host) is None:
            return None
    elif not _HOST.match(host):
        return None
    return Origin(parts.scheme, host.rstrip("."), PORTS[parts.scheme] if port is None else port)


def literal(host: str) -> Address | None:
    """The address a host spells out, or None when it is a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def is_odd_number(host: str) -> bool:
    """Whether a host is a number that C libraries read as an address: `127.1`, `0x7f000001`."""
    last = host.rstrip(".").rpartition(".")[2]
    return literal(host) is None and _NUMBER.match(last) is not None


def is_inside(address: Address) -> bool:
    """Whether an address is not of the public internet: private, loopback, link-local, metadata.

    IPv4 inside IPv6 (mapped, 6to4, Teredo, NAT64) is judged as the IPv4 it reaches.
    """
    reached = _reached(address)
    if isinstance(reached, ipaddress.IPv6Address):
        if reached not in _PUBLIC_V6:
            return True
    elif reached in _PROTOCOL_V4:
        return True
    return not reached.is_global or reached.is_multicast or str(reached) in METADATA


def is_beside(address: Address) -> bool:
    """Whether an address is of this link alone, or a cloud's metadata service: no name that was
    configured means it, whatever DNS says."""
    reached = _reached(address)
    return reached.is_link_local or str(reached) in METADATA


def _reached(address: Address) -> Address:
    """The address that packets go to: what a mapped, 6to4, Teredo or NAT64 one has inside."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    teredo = address.teredo
    for inner in (address.ipv4_mapped, address.sixtofour, teredo[1] if teredo else None):
        if inner is not None:
            return inner
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def may_dial(
    host: str, address: Address | None, private_hosts: Iterable[str], *, port: int
) -> bool:
    """Whether a host may be reached at an address (None: not known yet, only the host's form).

    `private_hosts` are those that may be inside, as `place_of` writes them. A name among them
    still never leads to an address of this link or a metadata service: that takes the address
    itself in the settings (known failures T2, T5).
    """
    name = host.lower().rstrip(".")
    if is_listed(name, port, private_hosts):
        return address is None or literal(name) is not None or not is_beside(address)
    # Behind a proxy nobody looks at the address: this name is inside wherever it is asked.
    if is_odd_number(name) or name == "localhost" or name.endswith(".localhost"):
        return False
    found = literal(name) if address is None else address
    return found is None or not is_inside(found)


def is_listed(host: str, port: int, places: Iterable[str]) -> bool:
    """Whether a host, at any port or at this one, is among places as `place_of` writes them."""
    return host in places or _with_port(host, port) in places


def place_of(text: str) -> str:
    """A configured `host`, `host:port` or URL: with a port where it says one, for only that port.

    "" for what is none of them.
    """
    host = host_of(text)
    origin = origin_of(text)
    if origin is not None:
        return _with_port(host, origin.port)
    try:
        port = urlsplit(f"//{text}").port if "://" not in text else None
    except ValueError:
        return ""
    return host if port is None or not host else _with_port(host, port)


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_of(text: str) -> str:
    """The bare host of a configured `host`, `host:port` or URL, in lower case."""
    try:
        parsed = urlsplit(text if "://" in text else f"//{text}")
        return (parsed.hostname or "").rstrip(".")
    except ValueError:
        return ""


def realm_refusal(realm: str, *, source_url: str, realms: Iterable[str]) -> str | None:
    """Why a token service may not be asked, or None when it may.

    Allowed are the source's own origin and what `realms` lists: scheme, host and port must be
    equal and the path equal or below at a slash. An address instead of a name, and plain http,
    pass only when configured just so. A refused realm is not asked at all, not even anonymously.
    """
    wanted, own = origin_of(realm), origin_of(source_url)
    if wanted is None or own is None:
        return "is not a usable URL"
    configured = wanted == own or any(_covers(entry, realm, wanted) for entry in realms)
    # Plain http never for a source that speaks https; else only where it is configured just so.
    if wanted.scheme != "https" and not (configured and own.scheme == "http"):
        return "is not https"
    if configured:
        return None
    if literal(wanted.host) is not None or is_odd_number(wanted.host):
        return "is an address that is not configured"
    return "is not the source's own host and not configured"


def _covers(entry: str, realm: str, wanted: Origin) -> bool:
    """Whether a configured `realms` entry covers a realm URL."""
    base = entry if "://" in entry else f"https://{entry}"
    if origin_of(base) != wanted:
        return False
    prefix, path = urlsplit(base).path.rstrip("/"), urlsplit(realm).path
    if ".." in path.split("/") or "%" in path:
        return path == prefix
    return path == prefix or path.startswith(f"{prefix}/")
