"""Digests of representations in HTTP fields: what an origin promises, what a client asks for.

Owns the reading and writing of Repr-Digest, Content-Digest and Want-Repr-Digest (RFC 9530). A
representation here is the bytes as stored, with their content coding, so its SHA-256 is the name of
its body in the store. Only SHA-256 is checked; other algorithms are passed on (section 5 names two
that are secure, and the store has one).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import http_sf

from skerry.base.digest import Digest
from skerry.wire.message import Headers

ALGORITHM = "sha-256"
SHA256_BYTES = 32


def promised(status: int, headers: Headers) -> Digest | None:
    """What the whole body of an answer must hash to, None when nothing is said that can be read.

    A Content-Digest is that of a whole only in an answer that brings it (section 2). Two fields
    that contradict each other are told by the one that fails: the representation's counts.
    """
    digest = _digest_in(headers, "Repr-Digest")
    if digest is None and status == 200:
        digest = _digest_in(headers, "Content-Digest")
    return digest if status == 200 else None


def of_the_part(headers: Headers) -> Digest | None:
    """What the content of a 206 must hash to (section 2)."""
    return _digest_in(headers, "Content-Digest")


def of_the_whole(headers: Headers) -> Digest | None:
    """What a representation must hash to, whichever part of it an answer brings (section 3)."""
    return _digest_in(headers, "Repr-Digest")


def is_wanted(headers: Headers) -> bool:
    """Whether a client asks for the SHA-256 of the representation (section 4)."""
    member = _members(headers, "Want-Repr-Digest").get(ALGORITHM)
    weight = member[0] if isinstance(member, tuple) else member
    return isinstance(weight, int) and not isinstance(weight, bool) and 0 < weight <= 10


def with_repr_digest(headers: Headers, digest: Digest) -> Headers:
    """The fields with the representation's SHA-256, beside what the origin said in others."""
    if digest.algorithm != "sha256" or ALGORITHM in _members(headers, "Repr-Digest"):
        return headers
    encoded = base64.b64encode(bytes.fromhex(digest.hex)).decode()
    ours = f"{ALGORITHM}=:{encoded}:"
    theirs = headers.joined("Repr-Digest") if _members(headers, "Repr-Digest") else ""
    return headers.with_fields(("Repr-Digest", f"{theirs}, {ours}" if theirs else ours))


def _digest_in(headers: Headers, name: str) -> Digest | None:
    member = _members(headers, name).get(ALGORITHM)
    value = member[0] if isinstance(member, tuple) else member
    if not isinstance(value, bytes) or len(value) != SHA256_BYTES:
        return None
    return Digest("sha256", value.hex())


def _members(headers: Headers, name: str) -> Mapping[str, object]:
    """A dictionary field; {} for one that is none (RFC 9651 section 4.2: it is ignored)."""
    value = headers.joined(name)
    if not value:
        return {}
    try:
        parsed = http_sf.parse(value.encode("latin-1"), tltype="dictionary")
    except (ValueError, binascii.Error):
        return {}
    return parsed if isinstance(parsed, dict) else {}
