"""Which questions the site's resolver takes, and from whom.

Owns the refusals. RFC 1035, RFC 6891 (EDNS), RFC 8482 (ANY), RFC 5936 section 5 (transfers are for
those who are meant to have them: nobody here), RFC 5358 (only its own clients are served).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

import dns.flags
import dns.opcode
import dns.rcode
import dns.rdataclass

from skerry.trust.core.names.values import Ede, Kind, Message, Why

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
DEFAULT_CLIENTS = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
        "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
_FIRST_META, _LAST_META = 128, 255
"""Types that are no data: ANY, transfers, TSIG (RFC 6895 section 3.1)."""
_TRANSFERS = (Kind.AXFR, Kind.IXFR)
_CLASSES = (dns.rdataclass.IN,)


@dataclass(frozen=True, slots=True)
class Refused:
    """A question that is not taken; `any`: it is answered with how little there is to say."""

    rcode: int
    why: Why | None = None
    any: bool = False


def is_client(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address may ask at all."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in each for each in networks)


def refusal(query: Message, *, is_client: bool) -> Refused | None:
    """Why a question is not taken; None when it is."""
    if not is_client:
        return Refused(dns.rcode.REFUSED, Why(Ede.PROHIBITED, "not for this network"))
    if query.opcode() != dns.opcode.QUERY:
        return Refused(dns.rcode.NOTIMP)
    if len(query.question) != 1:
        return Refused(dns.rcode.FORMERR)
    if query.edns > 0:
        return Refused(dns.rcode.BADVERS)
    question = query.question[0]
    if question.rdclass not in _CLASSES:
        return Refused(dns.rcode.REFUSED, Why(Ede.NOT_SUPPORTED, "class IN only"))
    if question.rdtype in _TRANSFERS:
        return Refused(dns.rcode.REFUSED, Why(Ede.PROHIBITED, "zones are not transferred"))
    if question.rdtype == Kind.ANY:
        return Refused(dns.rcode.NOERROR, any=True)
    if _FIRST_META <= question.rdtype <= _LAST_META or question.rdtype in (Kind.OPT, Kind.NONE):
        return Refused(dns.rcode.NOTIMP)
    if not query.flags & dns.flags.RD:
        why = Why(Ede.NOT_SUPPORTED, "this resolver only recurses: set RD")
        return Refused(dns.rcode.REFUSED, why)
    return None
