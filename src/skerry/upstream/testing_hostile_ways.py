"""Attacks on the way: where a hostile registry would have a node go, and what it would be sent.

Owns the tables for realms, tokens and redirects (known failures T1 to T9). What must come of each
is in its row.
"""

from __future__ import annotations

import json

from skerry.telemetry.validation import Cause
from skerry.upstream.testing_hostile import (
    TOKEN,
    Ask,
    Attack,
    Said,
    Stage,
    Step,
    Turn,
    instead,
    with_field,
)

_REALMS = (
    ("realm-of-a-stranger", "T1", "https://evil.test:{port}/token"),
    ("realm-that-begins-like-us", "T1", "https://{host}.evil.test:{port}/token"),
    ("realm-on-another-port", "T1", "https://{host}:{trap}/token"),
    ("realm-on-a-listed-host", "T1", "https://{listed}:{port}/token"),
    ("realm-by-plain-http", "T2", "http://{host}:{port}/token"),
    ("realm-with-a-user", "T2", "https://{host}:{port}@evil.test:{port}/token"),
    ("realm-with-our-host-as-user", "T2", "https://robot:x@{host}:{port}/token"),
    ("realm-behind-a-backslash", "T2", "https://evil.test:{port}\\\\@{host}:{port}/token"),
    ("realm-of-an-address", "T2", "https://127.0.0.1:{port}/token"),
    ("realm-of-an-ipv6-address", "T2", "https://[::1]:{port}/token"),
    ("realm-of-a-mapped-address", "T2", "https://[::ffff:127.0.0.1]:{port}/token"),
    ("realm-of-the-metadata-service", "T2", "https://169.254.169.254/latest/meta-data"),
    ("realm-of-mapped-metadata", "T2", "https://[::ffff:a9fe:a9fe]/latest/meta-data"),
    ("realm-of-a-number", "T2", "https://2130706433:{trap}/token"),
    ("realm-of-a-short-address", "T2", "https://127.1:{trap}/token"),
    ("realm-of-localhost", "T2", "https://localhost:{trap}/token"),
    ("realm-of-a-file", "T2", "file:///etc/passwd"),
    ("realm-without-a-host", "T2", "https:///token"),
    ("realm-that-is-a-path", "T2", "/token"),
)

_TARGETS = (
    ("redirect-to-metadata", "https://169.254.169.254/latest", Cause.REDIRECT_REFUSED),
    ("redirect-to-mapped-metadata", "https://[::ffff:a9fe:a9fe]/", Cause.REDIRECT_REFUSED),
    ("redirect-to-nat64-metadata", "https://[64:ff9b::a9fe:a9fe]/", Cause.REDIRECT_REFUSED),
    ("redirect-to-this-machine", "https://127.0.0.1:{trap}/", Cause.REDIRECT_REFUSED),
    ("redirect-to-localhost", "https://localhost:{trap}/", Cause.REDIRECT_REFUSED),
    ("redirect-to-a-number", "https://2130706433:{trap}/", Cause.REDIRECT_REFUSED),
    ("redirect-to-octal", "https://0177.0.0.1:{trap}/", Cause.REDIRECT_REFUSED),
    ("redirect-to-nothing", "https://0.0.0.0:{trap}/", Cause.REDIRECT_REFUSED),
    ("redirect-to-a-link", "https://[fe80::1]:{trap}/", Cause.REDIRECT_REFUSED),
    ("redirect-to-another-port", "https://{host}:{trap}/", Cause.ADDRESS_REFUSED),
    ("redirect-to-plain-http", "http://{host}:{trap}/", Cause.REDIRECT_REFUSED),
    ("redirect-with-a-user", "https://{host}:{port}@evil.test:{trap}/", Cause.REDIRECT_REFUSED),
    ("redirect-to-a-file", "file:///etc/passwd", Cause.REDIRECT_REFUSED),
    ("redirect-to-gopher", "gopher://127.0.0.1:{trap}/_x", Cause.REDIRECT_REFUSED),
    ("redirect-to-half-a-url", "https://[", Cause.REDIRECT_REFUSED),
    ("redirect-to-a-name-inside", "https://inside.evil.test:{trap}/", Cause.ADDRESS_REFUSED),
    ("redirect-without-end", "/v2/team/app/manifests/1", Cause.REDIRECT_REFUSED),
)

_DEEP = b"[" * 5000
_ANSWERS = (
    ("token-that-is-a-page", instead(200, b"<html>", ("Content-Type", "text/html"))),
    ("token-that-is-a-list", instead(200, b"[]")),
    ("token-that-is-a-number", instead(200, b'{"token": 5}')),
    ("token-that-is-empty", instead(200, b'{"token": "", "access_token": ""}')),
    ("token-of-two-lines", instead(200, b'{"token": "a\\r\\nX-Evil: 1"}')),
    ("token-without-end", instead(200, b'{"token": "' + b"a" * 300_000 + b'"}')),
    ("token-of-sixty-thousand", instead(200, b'{"token": "' + b"a" * 60_000 + b'"}')),
    ("token-too-deep", instead(200, b'{"token": ' + _DEEP)),
    ("token-given-twice", instead(200, b'{"token": "a", "token": "b"}')),
    ("token-that-is-no-text", instead(200, b'{"token": "\xff\xfe"}')),
)

_LIFETIMES = (
    ("lifetime-beyond-numbers", "1" + "0" * 400),
    ("lifetime-infinite", "1e999"),
    ("lifetime-negative", "-5"),
    ("lifetime-true", "true"),
    ("lifetime-of-words", '"soon"'),
    ("lifetime-of-a-list", "[60]"),
)

_CHALLENGES = (
    ("challenge-without-realm", "Bearer"),
    ("challenge-of-an-empty-realm", 'Bearer realm=""'),
    ("challenge-that-breaks-off", 'Bearer realm="https://evil.test'),
    ("challenge-unknown", "Negotiate abcdef=="),
    ("challenge-of-commas", "," * 5000),
    ("challenge-of-bytes", "Bearer \xff\xfe=\xfd"),
)


def _realm(text: str) -> Turn:
    return with_field("WWW-Authenticate", f'Bearer realm="{text}",service="s"')


def _redirect(text: str) -> Turn:
    return lambda ask, honest, stage: Said(307, (("Location", stage.fill(text)),))


def _lives(text: str) -> Turn:
    body = f'{{"token": {json.dumps(TOKEN)}, "expires_in": {text}}}'.encode()
    return instead(200, body)


def _around(ask: Ask, honest: Said, stage: Stage) -> Said:
    """A chain of which every link is another one."""
    count = ask.query.count("x")
    return Said(307, (("Location", f"{ask.path}?{'x' * (count + 1)}"),))


WAYS: tuple[Attack, ...] = (
    *(
        Attack(name, failure, Step.CHALLENGE, _realm(text), Cause.REALM_REFUSED)
        for name, failure, text in _REALMS
    ),
    *(
        Attack(name, "T5", Step.MANIFEST_BY_TAG, _redirect(text), cause)
        for name, text, cause in _TARGETS
    ),
    Attack("redirect-chain", "T5", Step.MANIFEST_BY_TAG, _around, Cause.REDIRECT_REFUSED),
    Attack(
        "token-redirect-inside", "T5", Step.TOKEN, _redirect("https://127.0.0.1:{trap}/"),
        Cause.REDIRECT_REFUSED,
    ),
    Attack(
        "token-redirect-home", "T5", Step.TOKEN, _redirect("https://{host}:{port}/token?again"),
        Cause.REDIRECT_REFUSED,
    ),
    *(
        Attack(name, "T9", Step.TOKEN, turn, Cause.ANSWER_REFUSED)
        for name, turn in _ANSWERS
    ),
    *(
        Attack(name, "T9", Step.TOKEN, _lives(text), None, served=True)
        for name, text in _LIFETIMES
    ),
    *(
        Attack(
            name, "T9", Step.CHALLENGE, with_field("WWW-Authenticate", text), Cause.ANSWER_REFUSED
        )
        for name, text in _CHALLENGES
    ),
)  # fmt: skip
