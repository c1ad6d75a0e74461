"""One DNS question on its way out and the answer on its way in.

Owns what makes an answer ours: number, question letter by letter, cookie. An answer that anybody
could have sent proves nothing. RFC 5452, draft-vixie-dnsext-dns0x20, RFC 7873 (cookies).
"""

from __future__ import annotations

import hashlib
import hmac
import random
import secrets
from dataclasses import dataclass
from enum import Enum

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode

from skerry.trust.core.names.values import Ask, Message

PAYLOAD_BYTES = 1232
"""What crosses every path unfragmented (DNS flag day 2020)."""
_chance = random.SystemRandom()


class Verdict(Enum):
    """What an arriving message is."""

    OURS = "ours"
    TRUNCATED = "ours, and too long for a datagram"
    CASE = "ours but for the case of its letters: asked again over a stream"
    COOKIE = "ours: the server wants its new cookie shown"
    FOREIGN = "not ours"


@dataclass(frozen=True, slots=True)
class Sent:
    """A question as it left.

    Attributes:
        cookie: the client's part of the cookie; b"" without one.
        proven: the server has shown before that it knows cookies: one without is not from it.
    """

    id: int
    name: dns.name.Name
    ask: Ask
    wire: bytes
    cookie: bytes = b""
    proven: bool = False


class CookieJar:
    """The cookies of servers; the client's part is different for each of them."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)
        self._servers: dict[str, bytes] = {}

    def of(self, server: str) -> tuple[bytes, bytes]:
        """The client's part and the server's, b"" while it is not known."""
        made = hmac.new(self._secret, server.encode(), hashlib.sha256).digest()[:8]
        return made, self._servers.get(server, b"")

    def keep(self, server: str, cookie: bytes) -> None:
        """What the server wants to be shown next time."""
        self._servers[server] = cookie

    def forget(self, server: str) -> None:
        """The server may have lost its memory, or another has its address."""
        self._servers.pop(server, None)


def make(
    ask: Ask, *, signatures: bool, cookie: tuple[bytes, bytes] | None, plain: bool = False
) -> Sent:
    """A question with a random number, its letters in random case; `plain`: without EDNS."""
    name = _shuffled(ask.name)
    options: list[dns.edns.Option] = []
    if cookie is not None and not plain:
        options.append(dns.edns.CookieOption(*cookie))
    flags = dns.flags.RD | (dns.flags.CD | dns.flags.AD if signatures else 0)
    query = dns.message.make_query(
        name,
        ask.kind,
        use_edns=False if plain else 0,
        want_dnssec=signatures,
        payload=PAYLOAD_BYTES,
        options=options,
        flags=flags,
        id=secrets.randbits(16),
    )
    own, theirs = cookie or (b"", b"")
    return Sent(query.id, name, ask, query.to_wire(), own, bool(theirs))


def read(sent: Sent, data: bytes, *, stream: bool) -> tuple[Verdict, Message | None]:
    """What arrived, and the message when it is ours; nothing that cannot be read is."""
    if len(data) < 12 or int.from_bytes(data[:2], "big") != sent.id:
        return Verdict.FOREIGN, None
    try:
        reply = dns.message.from_wire(data, ignore_trailing=True, keyring=False)
    except (dns.exception.DNSException, ValueError, IndexError):
        return Verdict.FOREIGN, None
    if not reply.flags & dns.flags.QR or len(reply.question) != 1:
        return Verdict.FOREIGN, None
    question = reply.question[0]
    if question.name != sent.name or question.rdtype != sent.ask.kind:
        return Verdict.FOREIGN, None
    if stream:
        return Verdict.OURS, reply
    shown = cookie_of(reply)
    if sent.cookie and ((shown is None and sent.proven) or (shown and shown[0] != sent.cookie)):
        return Verdict.FOREIGN, None
    if question.name.labels != sent.name.labels:
        return Verdict.CASE, None
    if reply.rcode() == dns.rcode.BADCOOKIE:
        return Verdict.COOKIE, reply
    return Verdict.TRUNCATED if reply.flags & dns.flags.TC else Verdict.OURS, reply


def cookie_of(message: Message) -> tuple[bytes, bytes] | None:
    """Both parts of a message's cookie."""
    for each in message.options:
        if isinstance(each, dns.edns.CookieOption):
            return each.client, each.server
    return None


def _shuffled(name: dns.name.Name) -> dns.name.Name:
    bits = _chance.getrandbits(256)
    labels = []
    for label in name.labels:
        made = bytearray(label.lower())
        for at, letter in enumerate(made):
            if 97 <= letter <= 122:
                bits, odd = bits >> 1, bits & 1
                made[at] = letter - 32 if odd else letter
        labels.append(bytes(made))
    return dns.name.Name(labels)
