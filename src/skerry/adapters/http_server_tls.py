"""The certificates of one door: which one a client is shown, and their renewal.

Owns the TLS contexts, chosen by the name a client asks for (SNI, RFC 6066 section 3), and reads
the files anew when they change: a pair that is broken, or does not match, leaves the old one in
use. Never ends a connection. TLS 1.2 and later (RFC 9325), ALPN `http/1.1` (RFC 7301).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from skerry.base.clock import Clock
from skerry.base.errors import Party, SkerryError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secret and authenticated ones alone; 1.3 has no others."""
EXPIRES_SECONDS = 14 * 86400.0
TOLD_AGAIN_SECONDS = 86400.0
CHOSEN_MAX = 4096


class CertificateError(SkerryError):
    """A certificate and its key cannot be used."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class Pair:
    """A PEM certificate chain and its key."""

    cert_file: str
    key_file: str


@dataclass(frozen=True, slots=True)
class TlsNames:
    """The pairs of a door; the first is for names that have none, and for clients without a name.

    `hosts` tells which pair a host has, by its number: names in lower case, `*.name`, or `*`.
    With `client_ca_file` clients are asked for a certificate of these authorities; one that shows
    none gets in, one that shows a wrong one does not.
    """

    pairs: tuple[Pair, ...]
    hosts: tuple[tuple[str, int], ...] = ()
    client_ca_file: str = ""


@dataclass(frozen=True, slots=True)
class CertificateNews:
    """Something an operator should know: `kind` is the event's."""

    kind: str
    subject: str
    cause: str
    next_step: str
    trouble: bool


@dataclass(slots=True)
class _Held:
    """One pair in use, and what its files were like when they were last looked at."""

    context: ssl.SSLContext
    signature: object
    expires_at: float
    seen: object = None
    told_at: float = -TOLD_AGAIN_SECONDS


@dataclass(frozen=True, slots=True)
class CertificatesStatistics:
    """A snapshot: the end of each certificate, by file, seconds since the epoch."""

    expires_at: Mapping[str, float]


class Certificates:
    """What a TLS door shows."""

    def __init__(
        self, names: TlsNames, *, clock: Clock, tell: Callable[[CertificateNews], None]
    ) -> None:
        """Raises CertificateError when a pair cannot be used."""
        self._clock = clock
        self._tell = tell
        self._shown: WeakKeyDictionary[ssl.SSLObject, Pair] = WeakKeyDictionary()
        self._chosen: dict[str, Pair] = {}
        self._held: dict[Pair, _Held] = {}
        self._names = names
        self.use(names)
        # What a handshake begins with; the name then says what it goes on with.
        self.context = _context(names.pairs[0], names.client_ca_file)
        self.context.sni_callback = self._choose

    def use(self, names: TlsNames) -> None:
        """Takes other pairs, for handshakes from now on. Raises CertificateError, changes nothing.

        Files of pairs that are kept are looked at again, too.
        """
        held = {
            pair: self._held.get(pair)
            or _Held(_context(pair, names.client_ca_file), _signature(pair), _end(pair))
            for pair in names.pairs
        }
        self._names, self._held = names, held
        self._hosts = {host: names.pairs[number] for host, number in names.hosts}
        self._chosen.clear()

    def pair_for(self, host: str) -> Pair:
        """The pair of a host name: its own, the nearest wildcard's, or the first."""
        host = host.lower().rstrip(".")
        found = self._chosen.get(host)
        if found is None:
            found = self._look_up(host)
            if len(self._chosen) >= CHOSEN_MAX:
                self._chosen.clear()
            self._chosen[host] = found
        return found

    @property
    def asks_clients(self) -> bool:
        """Whether a client may have shown a certificate."""
        return bool(self._names.client_ca_file)

    def vouches(self, shown: ssl.SSLObject | None, authority: str) -> bool:
        """Whether the certificate that a connection was shown is that of a host.

        Asking for another one's is a mistake of the client's, or a way around what is in front of
        this door (RFC 9110 section 15.5.20).
        """
        if len(self._names.pairs) == 1 or shown is None:
            return True
        pair = self._shown.get(shown, self._names.pairs[0])
        return self.pair_for(authority.rpartition("]")[0] or authority.partition(":")[0]) == pair

    def check(self) -> None:
        """Reads what has changed since, and tells of certificates near their end.

        A file that is just being written is left until it rests between two checks.
        """
        for pair, held in self._held.items():
            signature = _signature(pair)
            if signature not in (held.signature, held.seen):
                held.seen = signature
            elif signature != held.signature:
                held.signature = signature
                self._renew(pair, held)
            self._watch_end(pair, held)

    def statistics(self) -> CertificatesStatistics:
        """A snapshot."""
        ends = {pair.cert_file: held.expires_at for pair, held in self._held.items()}
        return CertificatesStatistics(ends)

    def _renew(self, pair: Pair, held: _Held) -> None:
        try:
            held.context = _context(pair, self._names.client_ca_file)
            held.expires_at = _end(pair)
        except CertificateError as error:
            news = ("certificate.refused", error.what, error.next_step)
        else:
            held.told_at = -TOLD_AGAIN_SECONDS
            news = ("certificate.renewed", "its files have changed", "")
        self._tell(CertificateNews(news[0], pair.cert_file, news[1], news[2], bool(news[2])))

    def _watch_end(self, pair: Pair, held: _Held) -> None:
        left = held.expires_at - self._clock.now()
        now = self._clock.monotonic()
        if left >= EXPIRES_SECONDS or now - held.told_at < TOLD_AGAIN_SECONDS:
            return
        held.told_at = now
        days = int(left // 86400)
        cause = f"its certificate ends in {days} days" if left > 0 else "its certificate has ended"
        step = "put a renewed pair into the same files: it is taken without a restart"
        self._tell(CertificateNews("certificate.expires", pair.cert_file, cause, step, True))

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        pair = self.pair_for(name or "")
        self._shown[connection] = pair
        connection.context = self._held[pair].context
        return None

    def _look_up(self, host: str) -> Pair:
        found, rest = self._hosts.get(host), host
        while found is None and "." in rest:
            rest = rest.partition(".")[2]
            found = self._hosts.get(f"*.{rest}")
        return found or self._hosts.get("*") or self._names.pairs[0]


def _context(pair: Pair, client_ca_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password here a sealed key would be asked for at the terminal.
        context.load_cert_chain(pair.cert_file, pair.key_file, password=lambda: "")
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = str(getattr(error, "reason", "") or getattr(error, "strerror", "") or error)
        raise CertificateError(
            f"the certificate {pair.cert_file!r} with key {pair.key_file!r} cannot be used:"
            f" {reason.replace('_', ' ').lower()}",
            next_step="write a PEM chain and its key without a password; the old pair, if there"
            " is one, stays in use",
        ) from error
    if client_ca_file:
        _ask_clients(context, client_ca_file)
    return context


def _ask_clients(context: ssl.SSLContext, client_ca_file: str) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL
    try:
        context.load_verify_locations(client_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(
            f"the authorities in {client_ca_file!r} cannot be used",
            next_step="write their certificates in PEM",
        ) from error


def _end(pair: Pair) -> float:
    """When a certificate ends, seconds since the epoch. Raises CertificateError."""
    # Takes longer to load than all the rest: a door without TLS need not wait.
    from cryptography import x509

    try:
        with open(pair.cert_file, "rb") as file:
            chain = x509.load_pem_x509_certificates(file.read())
        return chain[0].not_valid_after_utc.timestamp()
    except (OSError, ValueError, IndexError) as error:
        raise CertificateError(
            f"the certificate {pair.cert_file!r} cannot be read: {error}",
            next_step="write a PEM chain, the door's own certificate first",
        ) from error


def _signature(pair: Pair) -> object:
    """What changes when a file is written or replaced; None for one that is not there."""
    found: list[tuple[int, int, int] | None] = []
    for name in (pair.cert_file, pair.key_file):
        try:
            status = os.stat(name)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
