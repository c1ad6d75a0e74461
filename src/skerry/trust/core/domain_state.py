"""The signed state of a domain: its JSON, its envelope, and when one is accepted.

Owns the format (docs/internals/delegation.md): a JSON document that people read before they sign
it, in a DSSE envelope (secure-systems-lab/dsse, protocol and envelope 1.0). Versions only rise; two
documents of one version are never both accepted. Counting owners is `core.threshold`'s.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from skerry.base.digest import Digest, digest_of
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.trust.core.delegation import Caa, Expected
from skerry.trust.core.keys import PublicKey, verifies
from skerry.trust.core.threshold import Claim, Format, Policy, judge
from skerry.wire.strict_json import Json, load_object

KIND = "skerry.domain-state"
FORMAT = 1
PAYLOAD_TYPE = "application/vnd.skerry.domain-state+json"
FILE_BYTES_MAX = 256 << 10
RECORDS_MAX = 128
TEXT_CHARS_MAX = 1024
SIGNATURES_MAX = 64
VERSION_MAX = 1 << 53

_DOMAIN = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*"
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z"
)
_CAA = re.compile(r'(\d{1,3}) ([a-z0-9]{1,15}) "([^"]*)"\Z')
_FIELDS = frozenset(
    {"type", "format", "version", "domain", "made_at", "ns", "ds", "caa", "registrar"}
)


class StateRefused(SkerryError):
    """A signed state is not one that may be believed."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class Floor:
    """The last state that was accepted: no older one, and no other one of its version, ever is."""

    version: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Accepted:
    """A state that was signed as it has to be: `payload` is what was signed, `digest` of that;
    `signers` are the owners that counted."""

    expected: Expected
    payload: bytes
    digest: Digest
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload as it was signed, and the signatures over it: (key id, signature)."""

    payload: bytes
    signatures: tuple[tuple[str, bytes], ...] = ()


def is_domain(text: str) -> bool:
    """Whether a text is a domain as it is kept: in lower case, without the final dot."""
    return bool(_DOMAIN.match(text)) and "." in text


def write_state(expected: Expected, *, made_at: float) -> bytes:
    """The document for people, unsigned."""
    registrar: Json | None = None
    if expected.expires_at is not None or expected.status:
        ends = expected.expires_at
        registrar = {
            "expires": None if ends is None else _text_of(ends),
            "status": sorted(expected.status),
        }
    document = {
        "type": KIND,
        "format": FORMAT,
        "version": expected.version,
        "domain": expected.domain,
        "made_at": _text_of(made_at),
        "ns": sorted(expected.ns),
        "ds": sorted(expected.ds),
        "caa": [str(each) for each in sorted(expected.caa)],
        "registrar": registrar,
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def read_state(data: bytes) -> Expected:
    """A document. Raises BadInput."""
    document = load_object(data, bytes_max=FILE_BYTES_MAX)
    if document.get("type") != KIND or document.get("format") != FORMAT:
        raise _wrong(f"it is no {KIND} of format {FORMAT}")
    if unknown := sorted(document.keys() - _FIELDS):
        raise _wrong(f"it has a field {unknown[0][:40]!r} that this version does not know")
    version, domain = document.get("version"), document.get("domain")
    if not isinstance(version, int) or isinstance(version, bool) or not 0 < version < VERSION_MAX:
        raise _wrong("its version is no number from 1 on")
    if not isinstance(domain, str) or not is_domain(domain):
        raise _wrong("its domain is no domain in lower case")
    registrar = document.get("registrar")
    if registrar is not None and not isinstance(registrar, dict):
        raise _wrong("registrar is no object")
    status = _texts(registrar or {}, "status")
    return Expected(
        domain=domain,
        version=version,
        ns=frozenset(each.lower().rstrip(".") for each in _texts(document, "ns")),
        ds=frozenset(each.lower() for each in _texts(document, "ds")),
        caa=frozenset(_caa(each) for each in _texts(document, "caa")),
        expires_at=_time((registrar or {}).get("expires")),
        status=frozenset(each.lower() for each in status),
    )


def pae(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of the payload and its type."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def write_envelope(envelope: Envelope) -> bytes:
    """The file that a node reads."""
    signatures = [
        {"keyid": keyid, "sig": base64.b64encode(signature).decode()}
        for keyid, signature in envelope.signatures
    ]
    payload = base64.b64encode(envelope.payload).decode()
    document = {"payloadType": PAYLOAD_TYPE, "payload": payload, "signatures": signatures}
    return json.dumps(document, indent=2).encode() + b"\n"


def read_envelope(data: bytes) -> Envelope:
    """A file; an unsigned document is an envelope without signatures. Raises BadInput."""
    document = load_object(data, bytes_max=FILE_BYTES_MAX)
    if document.get("type") == KIND:
        return Envelope(data)
    if document.get("payloadType") != PAYLOAD_TYPE:
        raise _wrong(f"it is no envelope of {PAYLOAD_TYPE}")
    listed = document.get("signatures")
    if not isinstance(listed, list) or len(listed) > SIGNATURES_MAX:
        raise _wrong(f"its signatures are no list of at most {SIGNATURES_MAX}")
    return Envelope(
        _bytes(document.get("payload"), "payload"),
        tuple(_signature(each) for each in listed),
    )


def signed(envelope: Envelope, key: PublicKey, sign: Callable[[bytes], bytes]) -> Envelope:
    """With one more signature; one of the same key is replaced."""
    kept = tuple(each for each in envelope.signatures if each[0] != key.fingerprint)
    made = (key.fingerprint, sign(pae(envelope.payload)))
    return Envelope(envelope.payload, (*kept, made))


def accept(
    data: bytes, domain: str, policy: Policy, *, now: float, floor: Floor | None
) -> Accepted:
    """Judges a file of a domain. Raises StateRefused, with why.

    `policy` says whose signatures it needs; its formats must have `bundle`, since DSSE is what
    those are made of.
    """
    try:
        envelope = read_envelope(data)
        digest = digest_of(envelope.payload)
        verdict = judge(policy, digest, _claims(envelope, digest, policy), now)
        if not verdict.accepted:
            raise StateRefused(f"the state of {domain} is refused: {verdict}", next_step=_SIGN)
        # Parsed only now: what nobody signed is not worth reading.
        expected = read_state(envelope.payload)
    except BadInput as error:
        raise StateRefused(
            f"the state of {domain} cannot be read: {error.what}", next_step=_SIGN
        ) from error
    if expected.domain != domain:
        what = f"the state of {domain} is refused: it is of {expected.domain}"
        raise StateRefused(what, next_step="name the right file")
    if floor is not None and expected.version < floor.version:
        raise StateRefused(
            f"the state of {domain} is rolled back to version {expected.version}, "
            f"{floor.version} was accepted before",
            next_step=_SIGN,
        )
    if floor is not None and expected.version == floor.version and digest != floor.digest:
        raise StateRefused(
            f"the state of {domain} is another one of version {floor.version}, which was "
            "accepted before",
            next_step="sign it with the next version",
        )
    return Accepted(
        expected, envelope.payload, digest, tuple(owner for owner, _ in verdict.signers)
    )


_SIGN = "sign a state with a higher version: skerry domain snapshot, sign"


def _claims(envelope: Envelope, digest: Digest, policy: Policy) -> Iterable[Claim]:
    """Every signature that is good, whatever key id stands beside it: that is no proof."""
    message = pae(envelope.payload)
    for _, signature in envelope.signatures:
        for trusted in policy.keys:
            if verifies(trusted.key, signature, message):
                yield Claim(trusted.key.fingerprint, digest, Format.BUNDLE)


def _signature(each: object) -> tuple[str, bytes]:
    if not isinstance(each, dict):
        raise _wrong("a signature is no object")
    keyid = each.get("keyid", "")
    if not isinstance(keyid, str) or len(keyid) > TEXT_CHARS_MAX:
        raise _wrong("a keyid is no text")
    return keyid, _bytes(each.get("sig"), "sig")


def _bytes(value: object, name: str) -> bytes:
    try:
        return base64.b64decode(value if isinstance(value, str) else "?", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong(f"{name} is not base64") from error


def _texts(document: Json, name: str) -> list[str]:
    value = document.get(name, [])
    if not isinstance(value, list) or len(value) > RECORDS_MAX:
        raise _wrong(f"{name} is no list of at most {RECORDS_MAX}")
    texts = [each for each in value if isinstance(each, str) and len(each) <= TEXT_CHARS_MAX]
    if len(texts) != len(value):
        raise _wrong(f"{name} has something that is no text")
    return texts


def _caa(text: str) -> Caa:
    found = _CAA.match(text)
    if found is None:
        raise _wrong(f'{text[:80]!r} is no CAA record such as 0 issue "ca.example"')
    return Caa(int(found[1]), found[2], found[3])


def _time(value: object) -> float | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise _wrong("registrar.expires is no time such as 2027-01-31T12:00:00Z") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _text_of(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _wrong(what: str) -> BadInput:
    return BadInput(what, next_step="make one with `skerry domain snapshot`")
