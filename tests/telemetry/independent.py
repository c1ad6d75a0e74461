"""A verifier of bundles that knows `docs/internals/telemetry.md` alone, and nothing of ours.

Owns the proof that the page is enough: it may import `cryptography` and the standard library.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def flaw_of(lines: Sequence[bytes], public_pem: bytes) -> str:
    """What is wrong with bundles that are in the order of their numbers; "" for nothing."""
    key = load_pem_public_key(public_pem)
    assert isinstance(key, Ed25519PublicKey)
    expected, before, node = 0, "", ""
    for line in lines:
        bundle = json.loads(line)
        signature = b64decode(bundle.pop("signature"))
        said = json.dumps(bundle, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        try:
            key.verify(signature, b"skerry-telemetry-bundle/1\n" + said.encode())
        except InvalidSignature:
            return f"bundle {bundle['sequence']}: not signed by this node"
        if bundle["version"] != 1:
            return f"bundle {bundle['sequence']}: another version"
        if not expected:  # older ones may be kept elsewhere
            expected, before, node = bundle["sequence"], bundle["previous"], bundle["node"]
            if (expected == 1) != (before == "0" * 64):
                return "the first bundle names one before it"
        if bundle["sequence"] != expected:
            return f"bundle {bundle['sequence']} where {expected} was expected"
        if bundle["previous"] != before or bundle["node"] != node:
            return f"bundle {expected} does not follow the one before"
        expected, before = expected + 1, hashlib.sha256(line).hexdigest()
    return ""
