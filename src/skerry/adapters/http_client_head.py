"""The head of a request on its way out, as bytes.

Owns its form: target, fields, framing of the body. Refuses whatever could be read as something else
on the other side: a line break in a value, a name that is no token. RFC 9112 sections 3, 5 and 6.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import skerry
from skerry.upstream.core.guard import PORTS, Origin
from skerry.upstream.ports import TransportError, Trouble
from skerry.wire.message import Headers

USER_AGENT = f"skerry/{skerry.__version__}"

_FIELDS = re.compile(r"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [^\r\n\0]*\r\n)*")
_LINE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^\x00-\x20\x7f]+ HTTP/1\.1\r\n")
_URL = re.compile(r"[^:]+://[^/?#]+([^#]*)")


@dataclass(frozen=True, slots=True)
class Framing:
    """How the body's end is told: its length, or chunks; neither is no body."""

    length_bytes: int | None = None
    chunked: bool = False


def target_of(url: str) -> str:
    """The target of a usable URL, byte for byte as it is sent."""
    found = _URL.match(url)
    target = found[1] if found is not None else ""
    return target if target.startswith("/") else f"/{target}"


def host_field(origin: Origin) -> str:
    """What `Host` says of an origin (RFC 9110 section 7.2)."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return host if PORTS[origin.scheme] == origin.port else f"{host}:{origin.port}"


def proxy_fields(proxy: str) -> tuple[tuple[str, str], ...]:
    """The credentials that a proxy's URL carries (RFC 7617)."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return ()
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return (("Proxy-Authorization", f"Basic {b64encode(pair.encode()).decode()}"),)


def wants_switch(headers: Headers) -> bool:
    """Whether a request asks to speak another protocol on its connection."""
    return "Upgrade" in headers and "upgrade" in headers.joined("Connection").lower()


def request_head(
    method: str,
    target: str,
    headers: Headers,
    *,
    host: str,
    framing: Framing,
    more: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """The head with the empty line. `Host` and `User-Agent` are given unless `headers` has them.

    `Connection` is kept for an upgrade alone, and the framing is ours. Raises TransportError
    PROTOCOL for what cannot be sent.
    """
    lines: list[str] = []
    own_host = own_agent = True
    for name, value in headers:
        low = name.lower()
        if low == "host":
            if own_host:
                lines.insert(0, f"Host: {value}\r\n")
            own_host = False
            continue
        if low in ("content-length", "transfer-encoding"):
            continue
        if low == "connection" and "upgrade" not in value.lower():
            continue
        own_agent = own_agent and low != "user-agent"
        lines.append(f"{name}: {value}\r\n")
    if own_host:
        lines.insert(0, f"Host: {host}\r\n")
    if own_agent:
        lines.append(f"User-Agent: {USER_AGENT}\r\n")
    lines += [f"{name}: {value}\r\n" for name, value in more]
    if framing.chunked:
        lines.append("Transfer-Encoding: chunked\r\n")
    elif framing.length_bytes is not None:
        lines.append(f"Content-Length: {framing.length_bytes}\r\n")
    line, fields = f"{method} {target} HTTP/1.1\r\n", "".join(lines)
    try:
        # One line for each field: a value with a line break in it would be more.
        sound = fields.count("\n") == len(lines) and _FIELDS.fullmatch(fields)
        if sound and _LINE.fullmatch(line):
            return f"{line}{fields}\r\n".encode("latin-1")
    except UnicodeEncodeError:
        pass
    raise TransportError(
        Trouble.PROTOCOL, f"{host} cannot be asked: a header or the URL is malformed"
    )
