"""Whether a set of records was signed by a zone's key.

Owns windows, candidates and the limits on work: keys that share a tag, and signatures by the
dozen, are how a small answer buys seconds of a validator's time (KeyTrap, CVE-2023-50387). The
mathematics is dnspython's. RFC 4035 section 5.3, RFC 6840, RFC 8624.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import dns.exception
import dns.node
import dns.rdataset
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS
from dns.rdtypes.ANY.RRSIG import RRSIG

from skerry.trust.core.names.values import Ede, Name, RRset, Why

SIGNATURES_MAX = 8
"""Over one set."""
KEYS_WITH_ONE_TAG_MAX = 2
CHECKS_MAX = 48
"""For one question, its whole chain included."""
DS_MAX = 8
KEYS_MAX = 32
RSA_KEY_BYTES_MAX = 520
RSA_EXPONENT_BYTES_MAX = 8

ALGORITHMS = frozenset(
    {
        Algorithm.RSASHA1,
        Algorithm.RSASHA1NSEC3SHA1,
        Algorithm.RSASHA256,
        Algorithm.RSASHA512,
        Algorithm.ECDSAP256SHA256,
        Algorithm.ECDSAP384SHA384,
        Algorithm.ED25519,
        Algorithm.ED448,
    }
)
_RSA = frozenset({5, 7, 8, 10})
DIGESTS = frozenset({1, 2, 4})
_ZONE, _REVOKED = 0x0100, 0x0080


class Work:
    """How many signatures may still be checked for one question."""

    def __init__(self, checks_max: int = CHECKS_MAX) -> None:
        self.left = checks_max

    def take(self) -> bool:
        """Whether one more may be."""
        self.left -= 1
        return self.left >= 0


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a set: `why` is None when a signature holds.

    Attributes:
        until: when that signature ends, in seconds since the epoch.
        ttl_seconds: what it leaves of the set's lifetime (RFC 4035 section 5.3.3).
        labels: of the name that was signed: fewer than the owner's say a wildcard was expanded.
    """

    why: Why | None = None
    until: float = 0.0
    ttl_seconds: float = 0.0
    labels: int = 0


def check(
    rrset: RRset,
    signed: RRset | None,
    *,
    keys: Sequence[DNSKEY],
    zone: Name,
    now: float,
    work: Work,
) -> Checked:
    """Whether one of the signatures over a set is a zone's own and holds now."""
    found = [
        each
        for each in cast("list[RRSIG]", list(signed or ()))
        if each.signer == zone and each.algorithm in ALGORITHMS
    ]
    if not found:
        return Checked(Why(Ede.RRSIGS_MISSING, f"{_said(rrset)} has no signature of {zone}"))
    why = Why(Ede.BOGUS, f"no signature over {_said(rrset)} is by a key of {zone}")
    for rrsig in found[:SIGNATURES_MAX]:
        if outside := _window(rrset, rrsig, now):
            why = outside
            continue
        for key in candidates(keys, rrsig):
            if not work.take():
                return Checked(Why(Ede.BOGUS, f"{_said(rrset)} takes too many signature checks"))
            if _holds(rrset, rrsig, key, zone, now):
                left = min(rrset.ttl, rrsig.original_ttl, max(0.0, rrsig.expiration - now))
                return Checked(None, float(rrsig.expiration), float(left), rrsig.labels)
            why = Why(Ede.BOGUS, f"the signature over {_said(rrset)} is not by {zone}'s key")
    return Checked(why)


def candidates(keys: Sequence[DNSKEY], rrsig: RRSIG) -> Iterator[DNSKEY]:
    """The keys that may have made a signature, as many as will be tried."""
    same = (
        key for key in keys if key.algorithm == rrsig.algorithm and key.key_id() == rrsig.key_tag
    )
    for _, key in zip(range(KEYS_WITH_ONE_TAG_MAX), same, strict=False):
        yield key


def usable(keys: RRset) -> tuple[DNSKEY, ...]:
    """The zone keys of a DNSKEY set that may sign: not revoked, of a bounded size."""
    found = []
    for key in cast("list[DNSKEY]", list(keys)[:KEYS_MAX]):
        if key.flags & _ZONE and not key.flags & _REVOKED and key.protocol == 3 and _bounded(key):
            found.append(key)
    return tuple(found)


def matching(ds_set: Sequence[DS], keys: Sequence[DNSKEY], zone: Name) -> tuple[DNSKEY, ...]:
    """The keys that a DS set names. SHA-1 counts only where nothing better is there (RFC 4509)."""
    import dns.dnssec  # late, as in `_holds`

    believed = [each for each in ds_set if supported(each)]
    if any(each.digest_type != 1 for each in believed):
        believed = [each for each in believed if each.digest_type != 1]
    named = []
    for ds in believed[:DS_MAX]:
        tagged = [k for k in keys if k.algorithm == ds.algorithm and k.key_id() == ds.key_tag]
        for key in tagged[:KEYS_WITH_ONE_TAG_MAX]:
            made = dns.dnssec.make_ds(
                zone, key, ds.digest_type, policy=dns.dnssec.allow_all_policy, validating=True
            )
            if made.digest == ds.digest:
                named.append(key)
    return tuple(named)


def supported(ds: DS) -> bool:
    """Whether this DS can be followed at all (RFC 4035 section 5.2)."""
    return ds.algorithm in ALGORITHMS and ds.digest_type in DIGESTS


def _bounded(key: DNSKEY) -> bool:
    """Whether checking with it takes a bounded time: a long exponent does not."""
    if key.algorithm not in _RSA:
        return True
    data = key.key
    exponent = data[0] if data and data[0] else RSA_EXPONENT_BYTES_MAX + 1
    return len(data) <= RSA_KEY_BYTES_MAX and exponent <= RSA_EXPONENT_BYTES_MAX


def _window(rrset: RRset, rrsig: RRSIG, now: float) -> Why | None:
    if now > rrsig.expiration:
        ago = int(now - rrsig.expiration)
        return Why(Ede.SIGNATURE_EXPIRED, f"the signature over {_said(rrset)} ended {ago} s ago")
    if now < rrsig.inception:
        to_go = int(rrsig.inception - now)
        return Why(Ede.NOT_YET_VALID, f"the signature over {_said(rrset)} begins in {to_go} s")
    return None


def _holds(rrset: RRset, rrsig: RRSIG, key: DNSKEY, zone: Name, now: float) -> bool:
    import dns.dnssec  # late: with cryptography it is most of what this package weighs

    keys: dict[Name, dns.node.Node | dns.rdataset.Rdataset]
    keys = {zone: dns.rdataset.from_rdata(0, key)}
    try:
        dns.dnssec.validate_rrsig(rrset, rrsig, keys, now=now, policy=dns.dnssec.allow_all_policy)
    except (dns.exception.DNSException, ValueError, TypeError, AssertionError):
        return False  # a malformed key or signature proves nothing
    return True


def _said(rrset: RRset) -> str:
    return f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)}"
