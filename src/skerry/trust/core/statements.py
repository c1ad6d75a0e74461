"""Short statements that people sign apart: a grace for a root, a broken glass for one image.

Owns their envelope (DSSE v1, several signatures over one payload), their two payloads and every
bound of them. A statement names all that it holds for: one root, or one digest under one version of
one policy at one node, and a time that ends. Never decides who is believed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass

from skerry.base.digest import Digest, InvalidDigest
from skerry.base.errors import BadInput
from skerry.trust.core.bundle import pre_authentication
from skerry.trust.core.keys import PublicKey, verifies
from skerry.wire.strict_json import Json, load_object

STATEMENT_BYTES_MAX = 64 << 10
SIGNATURES_MAX = 64
REASON_CHARS_MAX = 400
GRACE_SECONDS_MAX = 90 * 86400.0
GLASS_SECONDS_MAX = 24 * 3600.0
AHEAD_SECONDS_MAX = 300.0
"""How far ahead of ours the clock of who signed may go."""
GRACE_TYPE = "application/vnd.skerry.grace.v1+json"
GLASS_TYPE = "application/vnd.skerry.break-glass.v1+json"


@dataclass(frozen=True, slots=True)
class Grace:
    """A root that has expired may be used for so long all the same.

    Attributes:
        root_version, root_digest: the root it speaks of, and no other.
        begins_at, ends_at: seconds since the epoch.
    """

    root_version: int
    root_digest: str
    begins_at: float
    ends_at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Glass:
    """One image may leave one node for a short time without the signatures it lacks.

    Attributes:
        node: fingerprint of the node's key.
        policy, version: what it sets aside; a change of the policy ends it.
        begins_at, ends_at: seconds since the epoch.
    """

    digest: Digest
    policy: str
    version: str
    node: str
    begins_at: float
    ends_at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Statement:
    """An envelope as it was read: what was signed, and the signatures, whoever made them."""

    kind: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...] = ()

    @property
    def message(self) -> bytes:
        """What each signature is over."""
        return pre_authentication(self.kind, self.payload)

    def signed(self, key: PublicKey, signature: bytes) -> Statement:
        """With one more signature, or with this one in place of the same key's."""
        others = tuple(each for each in self.signatures if each[0] != key.fingerprint)
        return Statement(self.kind, self.payload, (*others, (key.fingerprint, signature)))

    def encoded(self) -> bytes:
        """The envelope as JSON."""
        document = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.kind,
            "signatures": [
                {"keyid": key_id, "sig": base64.b64encode(signature).decode()}
                for key_id, signature in self.signatures
            ],
        }
        return json.dumps(document, indent=1).encode() + b"\n"


def read_statement(data: bytes) -> Statement:
    """An envelope of one of our two kinds. Raises BadInput."""
    document = load_object(data, bytes_max=STATEMENT_BYTES_MAX)
    kind, listed = document.get("payloadType"), document.get("signatures")
    if kind not in (GRACE_TYPE, GLASS_TYPE):
        raise BadInput("that is neither a grace nor a broken glass")
    if not isinstance(listed, list) or len(listed) > SIGNATURES_MAX:
        raise BadInput(f"the statement has no list of signatures, or more than {SIGNATURES_MAX}")
    signatures = [
        (str(each.get("keyid", "")), _bytes(each.get("sig")))
        for each in listed
        if isinstance(each, dict)
    ]
    return Statement(str(kind), _bytes(document.get("payload")), tuple(signatures))


def signers_of(statement: Statement, keys: Iterable[PublicKey]) -> frozenset[str]:
    """Fingerprints of the keys that signed it. The key id of a signature counts for nothing."""
    signatures = {signature for _, signature in statement.signatures}
    return frozenset(
        key.fingerprint
        for key in keys
        if any(verifies(key, each, statement.message) for each in signatures)
    )


def grace_statement(grace: Grace) -> Statement:
    """A grace that nobody has signed yet. Raises BadInput for one that nobody may give."""
    _checked(grace.begins_at, grace.ends_at, GRACE_SECONDS_MAX, grace.reason)
    return Statement(
        GRACE_TYPE,
        _payload(
            {
                "root": {"version": grace.root_version, "sha256": grace.root_digest},
                "from": grace.begins_at,
                "until": grace.ends_at,
                "reason": grace.reason,
            }
        ),
    )


def read_grace(statement: Statement) -> Grace:
    """Raises BadInput."""
    document = _document(statement, GRACE_TYPE, "root", "from", "until", "reason")
    root = document["root"]
    if not isinstance(root, dict) or not isinstance(root.get("version"), int):
        raise BadInput("the grace names no root")
    begins_at, ends_at, reason = _window(document, GRACE_SECONDS_MAX)
    return Grace(root["version"], str(root.get("sha256")), begins_at, ends_at, reason)


def glass_statement(glass: Glass) -> Statement:
    """A broken glass that nobody has signed yet. Raises BadInput for one that nobody may break."""
    _checked(glass.begins_at, glass.ends_at, GLASS_SECONDS_MAX, glass.reason)
    return Statement(
        GLASS_TYPE,
        _payload(
            {
                "digest": str(glass.digest),
                "policy": {"name": glass.policy, "version": glass.version},
                "node": glass.node,
                "from": glass.begins_at,
                "until": glass.ends_at,
                "reason": glass.reason,
            }
        ),
    )


def read_glass(statement: Statement) -> Glass:
    """Raises BadInput."""
    document = _document(
        statement, GLASS_TYPE, "digest", "policy", "node", "from", "until", "reason"
    )
    policy = document["policy"]
    if not isinstance(policy, dict):
        raise BadInput("the statement names no policy")
    try:
        digest = Digest.parse(str(document["digest"]))
    except InvalidDigest as error:
        raise BadInput("the statement names no digest") from error
    begins_at, ends_at, reason = _window(document, GLASS_SECONDS_MAX)
    return Glass(
        digest,
        str(policy.get("name")),
        str(policy.get("version")),
        str(document["node"]),
        begins_at,
        ends_at,
        reason,
    )


def _payload(document: dict[str, object]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _document(statement: Statement, kind: str, *members: str) -> Json:
    if statement.kind != kind:
        raise BadInput("the statement is of the other kind")
    document = load_object(statement.payload, bytes_max=STATEMENT_BYTES_MAX)
    if set(document) != set(members):
        raise BadInput(f"the statement has other members than {', '.join(members)}")
    return document


def _window(document: Json, seconds_max: float) -> tuple[float, float, str]:
    numbers = [document["from"], document["until"]]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers):
        raise BadInput("the statement has no time that begins and ends")
    begins_at, ends_at = (float(str(each)) for each in numbers)
    reason = document["reason"]
    if not isinstance(reason, str):
        raise BadInput("the statement gives no reason")
    _checked(begins_at, ends_at, seconds_max, reason)
    return begins_at, ends_at, reason


def _checked(begins_at: float, ends_at: float, seconds_max: float, reason: str) -> None:
    if not 0 < ends_at - begins_at <= seconds_max:
        hours = int(seconds_max // 3600)
        raise BadInput(
            f"the time must end after it begins, within {hours} hours",
            next_step="ask for less, and again when it ends",
        )
    if not reason.strip() or len(reason) > REASON_CHARS_MAX:
        raise BadInput(
            f"a reason of up to {REASON_CHARS_MAX} characters is needed",
            next_step="say why: it is what the audit shows",
        )


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("the statement is not base64") from error
