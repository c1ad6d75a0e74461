"""Which policy holds for a repository, and which version of it.

Owns the choice (the first rule that matches) and the version: whatever changes what a rule would
say changes it, so that a verdict is never taken for one of another rule.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from skerry.trust.core.threshold import Policy

if TYPE_CHECKING:  # as in `threshold`
    from cryptography import x509

    from skerry.trust.core.keys import PublicKey

ENDED_STEP = "publish a new root, or a grace: `skerry root next`, `skerry root grace`"
"""What helps once the root of a policy has ended: no signature on an image does."""


@dataclass(frozen=True, slots=True)
class Believed:
    """Whose signatures can count: keys by themselves, and authorities that certify keys."""

    keys: tuple[PublicKey, ...] = ()
    authorities: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A policy and where it holds.

    Attributes:
        patterns: of repositories with their upstream, `docker.io/library/*`; `*` takes slashes.
        authorities: the certificates behind the policy's keys that are authorities.
        downgrades: a tag may go back to a digest that it has left.
    """

    patterns: tuple[str, ...]
    policy: Policy
    authorities: tuple[x509.Certificate, ...] = ()
    downgrades: bool = False
    version: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", _version(self))

    @property
    def believed(self) -> Believed:
        """Whose signatures can count."""
        keys = tuple(each.key for each in self.policy.keys if not each.authority)
        return Believed(keys, self.authorities)


class Policies:
    """Every rule of a node, in order."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.rules = tuple(rules)

    def of(self, repository: str) -> Rule | None:
        """The rule of a repository; None where nothing is asked for."""
        for rule in self.rules:
            if any(fnmatchcase(repository, pattern) for pattern in rule.patterns):
                return rule
        return None


def _version(rule: Rule) -> str:
    from cryptography.hazmat.primitives.hashes import SHA256

    asked = rule.policy
    document = [
        asked.name,
        asked.threshold,
        sorted(asked.required),
        sorted(asked.formats),
        [
            [each.key.fingerprint, each.owner, each.authority, each.expires_at, each.revoked]
            for each in asked.keys
        ],
        [each.fingerprint(SHA256()).hex() for each in rule.authorities],
    ]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:32]
