"""What must be true of [trust] before a node starts, and the policies that it makes.

Owns its rules, and reads the key files that it names. What a policy must be to be met at all is
`trust.core.threshold`'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from skerry.app.settings.errors import Problem, SettingsError
from skerry.app.settings.rules import READ_STEP, file_trouble, refused
from skerry.app.settings.trust import TrustKeySettings, TrustPolicySettings, TrustSettings
from skerry.base.errors import BadInput
from skerry.trust.core.keys import KEY_FILE_BYTES_MAX, parse_public_key, public_key
from skerry.trust.core.policies import Policies, Rule
from skerry.trust.core.threshold import BadPolicy, Format, Policy, TrustedKey, policy

_PATTERN = re.compile(r"[a-z0-9_.:/\-*?\[\]!]+\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def check_trust(trust: TrustSettings) -> Iterator[Problem]:
    """Every rule that a policy breaks, in the order of the file."""
    names: set[str] = set()
    if trust.root and not Path(trust.root).is_dir():
        step = "make it, or leave trust.root out: keys then stand in [[trust.policy]]"
        yield refused("trust.root", trust.root, "names no such file or folder", step)
    if trust.root and not trust.policies:
        step = "write [[trust.policy]] with a name and repositories, or leave trust.root out"
        yield refused("trust.root", trust.root, "has no policy to hold for", step)
    for index, each in enumerate(trust.policies):
        at = f"trust.policy[{index}]"
        wrong = [*_shape(at, each)]
        if trust.root and each.keys:
            step = "add them to the root with `skerry keys add`, and take them out here"
            wrong.append(refused(f"{at}.key", "", "stands there beside trust.root", step))
        if trust.root and each.threshold < 1:
            step = "write 1 or more"
            wrong.append(
                refused(f"{at}.threshold", str(each.threshold), "lets everything through", step)
            )
        if each.name in names:
            step = "give each its own name: verdicts are kept under it"
            wrong.append(refused(f"{at}.name", each.name, "is another policy's name", step))
        names.add(each.name)
        yield from wrong
        if not wrong and not trust.root:
            try:
                _rule(each)
            except BadPolicy as error:
                reason = error.what.partition(": ")[2]
                yield refused(at, each.name, reason, "change the threshold or the keys")


def policies_of(trust: TrustSettings) -> Policies:
    """The policies with their keys, read now. Raises SettingsError."""
    make = _rule_of_root if trust.root else _rule
    try:
        return Policies(tuple(make(each) for each in trust.policies))
    except BadPolicy as error:
        raise SettingsError([refused("trust.policy", "", error.what, error.next_step)]) from error
    except (OSError, BadInput) as error:
        raise SettingsError(
            [refused("trust.policy", "", f"a key file cannot be read ({error})", READ_STEP)]
        ) from error


def _shape(at: str, each: TrustPolicySettings) -> Iterator[Problem]:
    if not _NAME.match(each.name):
        step = "use letters, digits, dots, dashes and underscores"
        yield refused(f"{at}.name", each.name, "cannot be a policy's name", step)
    if not each.repositories:
        step = 'write one such as "docker.io/library/*"'
        yield refused(f"{at}.repositories", "", "is empty", step)
    for number, pattern in enumerate(each.repositories):
        if not _PATTERN.match(pattern):
            step = 'write upstream and repository, "docker.io/library/*", in lower case'
            field = f"{at}.repositories[{number}]"
            yield refused(field, pattern, "can match no repository", step)
    for number, name in enumerate(each.formats):
        if name not in set(Format):
            step = f"write {', '.join(Format)}"
            yield refused(f"{at}.formats[{number}]", name, "is no format of signatures", step)
    for number, key in enumerate(each.keys):
        yield from _key(f"{at}.key[{number}]", key)


def _key(at: str, key: TrustKeySettings) -> Iterator[Problem]:
    missing = [*file_trouble(f"{at}.file", key.file)]
    yield from missing
    if not missing:
        try:
            _trusted(key)
        except (BadInput, OSError) as error:
            what = error.what if isinstance(error, BadInput) else "cannot be read"
            step = (error.next_step if isinstance(error, BadInput) else "") or READ_STEP
            yield refused(f"{at}.file", key.file, what, step)
        except ValueError:
            step = "write a day as 2027-01-31, or a time as 2027-01-31T12:00:00Z"
            yield refused(f"{at}.expires", key.expires, "is no time", step)
    if not key.owner.strip():
        step = "name the person or team: an owner counts once, however many keys they have"
        yield refused(f"{at}.owner", key.owner, "is empty", step)


def _rule(each: TrustPolicySettings) -> Rule:
    pairs = [_trusted(key) for key in each.keys]
    asked = policy(
        each.name,
        threshold=each.threshold,
        keys=[key for key, _ in pairs],
        required=each.required,
        formats=[Format(name) for name in each.formats],
        critical=each.critical,
    )
    certificates = tuple(certificate for _, certificate in pairs if certificate is not None)
    return Rule(each.repositories, asked, certificates, each.downgrades)


def _rule_of_root(each: TrustPolicySettings) -> Rule:
    """What the settings ask; a root adds the keys, and until then nothing is signed enough."""
    asked = Policy(
        each.name,
        each.threshold,
        (),
        frozenset(each.required),
        frozenset(Format(name) for name in each.formats),
        each.critical,
    )
    return Rule(each.repositories, asked, (), each.downgrades)


def _trusted(key: TrustKeySettings) -> tuple[TrustedKey, x509.Certificate | None]:
    """Raises BadInput, OSError, and ValueError for a time that is none."""
    with Path(key.file).open("rb") as file:
        data = file.read(KEY_FILE_BYTES_MAX + 1)
    certificate = None
    if key.authority:
        try:
            certificate = x509.load_pem_x509_certificate(data)
        except ValueError as error:
            step = "give the authority's certificate in PEM"
            raise BadInput("that is no certificate", next_step=step) from error
        native = public_key(certificate.public_key())
    else:
        native = parse_public_key(data)
    trusted = TrustedKey(native, key.owner, key.authority, _time(key.expires), key.revoked)
    return trusted, certificate


def _time(text: str) -> float | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
