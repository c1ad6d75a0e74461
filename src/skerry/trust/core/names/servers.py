"""Which name server is asked next, and how long it is waited for.

Owns how servers are written in settings, what is known of how each behaves, and the order. Pure:
times are arguments.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace

from skerry.base.errors import BadInput

PORT, TLS_PORT = 53, 853
TLS_PREFIX = "tls://"
FIRST_GUESS_SECONDS = 0.2
TRY_SECONDS_MIN, TRY_SECONDS_MAX = 0.3, 1.5
HEDGE_SECONDS_MIN, HEDGE_SECONDS_MAX = 0.05, 0.4
AWAY_SECONDS = 10.0
"""A server that did not answer is asked last for so long."""
AWAY_FAILURES_MAX = 2
_STEP = (
    'write ip, ip:port, [ip6]:port, tls://ip or tls://name@ip, e.g. "tls://dns.example@192.0.2.53"'
)


@dataclass(frozen=True, slots=True)
class Server:
    """One name server.

    Attributes:
        tls: speaks DNS over TLS (RFC 7858).
        name: what its certificate must say; "" for its address.
    """

    address: str
    port: int = PORT
    tls: bool = False
    name: str = ""

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address and self.port != PORT else self.address
        port = "" if self.port == (TLS_PORT if self.tls else PORT) else f":{self.port}"
        named = f"{self.name}@" if self.name else ""
        return f"{TLS_PREFIX}{named}{host}{port}" if self.tls else f"{host}{port}"


def read_server(text: str) -> Server:
    """A server as settings name it. Raises BadInput."""
    tls = text.startswith(TLS_PREFIX)
    name, _, rest = text.removeprefix(TLS_PREFIX).rpartition("@")
    host, port = rest, ""
    if rest.startswith("["):
        host, end, after = rest[1:].partition("]")
        port = after.removeprefix(":")
        if not end or (after and (not port or after == port)):
            host = ""
    elif rest.count(":") == 1:
        host, _, port = rest.partition(":")
        port = port or "x"
    number = int(port) if port.isascii() and port.isdigit() else 0
    number = number if port else (TLS_PORT if tls else PORT)
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        number = 0
    if not 0 < number < 65536 or (name and not tls):
        raise BadInput(f"{text!r} is not a DNS server", next_step=_STEP)
    return Server(host, number, tls, name.lower())


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What is known of one server: its smoothed round trip, and failures in a row."""

    seconds: float = FIRST_GUESS_SECONDS
    failures: int = 0
    failed_at: float = 0.0

    def answered(self, seconds: float) -> Behaviour:
        """After an answer that took so long (RFC 6298's smoothing)."""
        return Behaviour(self.seconds + (seconds - self.seconds) / 8)

    def failed(self, now: float) -> Behaviour:
        """After a try without an answer."""
        return replace(self, failures=self.failures + 1, failed_at=now)

    def is_away(self, now: float) -> bool:
        """Whether others are asked first."""
        return self.failures >= AWAY_FAILURES_MAX and now < self.failed_at + AWAY_SECONDS

    @property
    def try_seconds(self) -> float:
        """How long one datagram is waited for."""
        return min(max(self.seconds * 4, TRY_SECONDS_MIN), TRY_SECONDS_MAX)

    @property
    def hedge_seconds(self) -> float:
        """After which the next server is asked too."""
        return min(max(self.seconds * 2, HEDGE_SECONDS_MIN), HEDGE_SECONDS_MAX)


def order(
    servers: tuple[Server, ...], behaviours: Mapping[Server, Behaviour], now: float
) -> tuple[Server, ...]:
    """Who is asked first: those that answer, as configured; then those that were away."""
    return tuple(sorted(servers, key=lambda each: behaviours[each].is_away(now)))
