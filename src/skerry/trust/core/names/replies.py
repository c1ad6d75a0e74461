"""What is believed, as a message to the one who asked.

Owns flags, sizes, extended errors and the server's cookies. RFC 1035, RFC 4035 section 3.2 (AD, CD,
DO), RFC 6891, RFC 7873 and RFC 9018 (cookies, with our own hash), RFC 8482, RFC 8914.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from skerry.trust.core.names.values import Answer, Kind, Message, Name, RRset, Why

PAYLOAD_BYTES = 1232
PLAIN_BYTES = 512
COOKIE_SECONDS_MAX, COOKIE_AHEAD_SECONDS = 3600, 300
_PROOFS = (Kind.RRSIG, Kind.NSEC, Kind.NSEC3)


@dataclass(frozen=True, slots=True)
class Said:
    """What goes into a reply besides the question."""

    rcode: int
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    ttl_seconds: float = 0.0
    authentic: bool = False
    why: Why | None = None


class ServerCookies:
    """The server's part of cookies: proof that an address is the asker's own."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, client: bytes, address: str, now: float) -> bytes:
        """16 bytes: version, time, and a hash over them, the client's part and its address."""
        head = b"\x01\0\0\0" + int(now).to_bytes(8, "big")[-4:]
        said = client + head + address.encode()
        return head + hmac.new(self._secret, said, hashlib.sha256).digest()[:8]

    def holds(self, client: bytes, shown: bytes, address: str, now: float) -> bool:
        """Whether it is one of ours, for this address, and not old (RFC 9018 section 4.3)."""
        if len(shown) != 16 or shown[:4] != b"\x01\0\0\0":
            return False
        made = int.from_bytes(shown[4:8], "big")
        if not -COOKIE_SECONDS_MAX <= made - int(now) <= COOKIE_AHEAD_SECONDS:
            return False
        return hmac.compare_digest(shown, self.make(client, address, float(made)))


def cookie_in(query: Message) -> dns.edns.CookieOption | None:
    """The cookie that a question shows."""
    found = (each for each in query.options if isinstance(each, dns.edns.CookieOption))
    return next(found, None)


def reply(query: Message, said: Said, *, cookie: bytes | None) -> Message:
    """The message; `cookie` is both parts."""
    made = dns.message.make_response(query, recursion_available=True, our_payload=PAYLOAD_BYTES)
    made.flags &= ~dns.flags.AD
    made.flags |= query.flags & dns.flags.CD
    wants = bool(query.ednsflags & dns.flags.DO)
    if said.authentic and (wants or query.flags & dns.flags.AD):
        made.flags |= dns.flags.AD
    kind = query.question[0].rdtype if query.question else Kind.NONE
    ttl = max(0, int(said.ttl_seconds))
    made.answer = [_aged(each, ttl) for each in said.answer if _shown(each, kind, wants)]
    made.authority = [_aged(each, ttl) for each in said.authority if _shown(each, kind, wants)]
    options: list[dns.edns.Option] = []
    if said.why is not None:
        options.append(
            dns.edns.EDEOption(dns.edns.EDECode.make(int(said.why.ede)), said.why.what[:200])
        )
    if cookie is not None:
        options.append(dns.edns.CookieOption(cookie[:8], cookie[8:]))
    if query.edns >= 0:
        flags = dns.flags.DO if wants else 0
        made.use_edns(0, flags, PAYLOAD_BYTES, options=options)
    made.set_rcode(dns.rcode.Rcode.make(said.rcode))
    return made


def wire(query: Message, made: Message, *, stream: bool) -> bytes:
    """The bytes: what is too long for a datagram says so (RFC 2181 section 9)."""
    if stream:
        return made.to_wire(max_size=65535, prefer_truncation=True)
    offered = query.payload if query.edns >= 0 else PLAIN_BYTES
    size = min(max(offered, PLAIN_BYTES), PAYLOAD_BYTES)
    return made.to_wire(max_size=size, prefer_truncation=True)


def said_of(answer: Answer, ttl_seconds: float, *, authentic: bool, why: Why | None) -> Said:
    """An answer that is believed."""
    return Said(answer.rcode, answer.answer, answer.authority, ttl_seconds, authentic, why)


def little(name: Name) -> Said:
    """What ANY gets (RFC 8482 section 4.2)."""
    made = dns.rrset.from_text(name, 3600, "IN", "HINFO", '"RFC8482" ""')
    return Said(dns.rcode.NOERROR, (made,), ttl_seconds=3600.0)


def _shown(rrset: RRset, kind: int, wants: bool) -> bool:
    return wants or rrset.rdtype == kind or rrset.rdtype not in _PROOFS


def _aged(rrset: RRset, ttl: int) -> RRset:
    if rrset.ttl <= ttl:
        return rrset
    return dns.rrset.from_rdata_list(rrset.name, ttl, list(rrset))
