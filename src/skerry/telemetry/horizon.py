"""How long this node can go on alone: until the first thing that needs the outside expires.

Owns the comparison (requirements S6). Whoever holds something that expires adds a source of it and
goes on knowing what it is; nothing here is told secrets, or asks anybody outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from skerry.telemetry.metrics import Registry


class Expires(StrEnum):
    """What kind of thing expires. Bounded: a metric label."""

    TLS_CERTIFICATE = "tls_certificate"
    TRUST_ROOT = "trust_root"
    DNS_SIGNATURE = "dns_signature"
    JWKS = "jwks"
    CREDENTIAL = "credential"
    TOKEN_KEY = "token_key"
    DOMAIN = "domain"


NEXT_STEPS = MappingProxyType(
    {
        Expires.TLS_CERTIFICATE: "put a renewed certificate into the same file: it is taken "
        "without a restart",
        Expires.TRUST_ROOT: "let its holders publish a new root (`skerry root next`), or cut off a "
        "grace (`skerry root grace`); what was admitted goes on being served",
        Expires.DNS_SIGNATURE: "nothing on this node: it asks again by itself; if it stays, tell "
        "the zone's operator to sign it",
        Expires.JWKS: "nothing on this node: keys are fetched again by themselves; if it stays, "
        "look at the identity provider",
        Expires.CREDENTIAL: "put a new one into its file",
        Expires.TOKEN_KEY: "let the node rotate it, or make a new one",
        Expires.DOMAIN: "renew the domain at its registrar",
    }
)
"""What to do about each kind."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """One thing that will not hold without the outside.

    Attributes:
        kind: what it is.
        what: its name, for people: a host, a role, a file. Never a secret.
        at: when it ends, in seconds since the epoch.
    """

    kind: Expires
    what: str
    at: float


Source = Callable[[], Iterable[Expiry]]


class Horizon:
    """What this node knows to expire."""

    def __init__(self, now: Callable[[], float], metrics: Registry) -> None:
        self._now = now
        self._sources: list[Source] = []
        metrics.gauge(
            "skerry_horizon_seconds",
            "Seconds until the first thing of a kind that needs the outside expires.",
            self._seconds,
            {"kind": Expires},
        )
        metrics.gauge(
            "skerry_horizon_first_seconds",
            "Seconds until the first thing of all that needs the outside expires, and its kind.",
            self._first_seconds,
            {"kind": Expires},
        )

    def now(self) -> float:
        """Seconds since the epoch, by the clock that everything here is judged by."""
        return self._now()

    def add(self, source: Source) -> None:
        """Asks `source` from now on, each time somebody looks; it answers at once, from memory."""
        self._sources.append(source)

    def expiries(self) -> tuple[Expiry, ...]:
        """All of them, the first to end first."""
        every = (each for source in self._sources for each in source())
        return tuple(sorted(every, key=lambda each: (each.at, each.kind, each.what)))

    def first(self) -> Expiry | None:
        """What ends first; None when nothing does: the node can go on for ever."""
        return next(iter(self.expiries()), None)

    def _seconds(self) -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {}
        for each in self.expiries():
            found.setdefault((each.kind,), max(0.0, each.at - self._now()))
        return found

    def _first_seconds(self) -> dict[tuple[str, ...], float]:
        first = self.first()
        return {} if first is None else {(first.kind,): max(0.0, first.at - self._now())}
