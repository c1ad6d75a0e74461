"""Where chains of trust begin, and the names that have none.

Owns the reading of anchors: DS or DNSKEY records, one a line, as name servers keep them. The
root's are those of IANA (https://data.iana.org/root-anchors/, KSK-2017 and KSK-2024); a file of
the operator's takes their place when they change (RFC 5011 names the process, people carry it out).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import dns.exception
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS

from skerry.base.errors import BadInput
from skerry.trust.core.names.values import Kind, Name

ROOT = """
. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
. IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
"""
ANCHORS_MAX = 64
_STEP = 'write lines such as ". IN DS 20326 8 2 E06D..." or ". IN DNSKEY 257 3 8 ..."'


@dataclass(frozen=True, slots=True)
class Anchor:
    """What is known of a zone's keys without asking anybody."""

    zone: Name
    ds: tuple[DS, ...] = ()
    keys: tuple[DNSKEY, ...] = ()


@dataclass(frozen=True, slots=True)
class Anchors:
    """All of them, and below which names nothing has to be signed (RFC 7646)."""

    anchors: tuple[Anchor, ...]
    unsigned: tuple[Name, ...] = ()

    def above(self, name: Name) -> Anchor | None:
        """The nearest at or above a name; None where none is, or nothing has to be signed."""
        if any(name.is_subdomain(each) for each in self.unsigned):
            return None
        over = [each for each in self.anchors if name.is_subdomain(each.zone)]
        return max(over, key=lambda each: len(each.zone), default=None)


def read_anchors(text: str, *, unsigned: Iterable[str] = ()) -> Anchors:
    """Anchors of a file. Raises BadInput."""
    ds: dict[Name, list[DS]] = {}
    keys: dict[Name, list[DNSKEY]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition(";")[0].split()
        if not words:
            continue
        try:
            name = dns.name.from_text(words[0])
            rest = [w for w in words[1:4] if not w.isdigit() and w.upper() != "IN"][:1]
            kind = dns.rdatatype.from_text(rest[0])
            at = words.index(rest[0], 1)
            record = dns.rrset.from_text(name, 0, "IN", kind, " ".join(words[at + 1 :]))[0]
        except (dns.exception.DNSException, ValueError, IndexError) as error:
            raise BadInput(f"line {number} is no trust anchor", next_step=_STEP) from error
        if kind == Kind.DS:
            ds.setdefault(name, []).append(cast(DS, record))
        elif kind == Kind.DNSKEY:
            keys.setdefault(name, []).append(cast(DNSKEY, record))
        else:
            raise BadInput(f"line {number} is neither DS nor DNSKEY", next_step=_STEP)
    zones = [*dict.fromkeys((*ds, *keys))]
    if not 0 < len(zones) <= ANCHORS_MAX:
        raise BadInput(f"{len(zones)} trust anchors are there", next_step=_STEP)
    found = tuple(Anchor(z, tuple(ds.get(z, ())), tuple(keys.get(z, ()))) for z in zones)
    return Anchors(found, tuple(dns.name.from_text(each) for each in unsigned))
