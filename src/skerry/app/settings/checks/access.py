"""What must be true of [access] before a node starts.

Owns its rules, and whether anybody can be known at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from skerry.app.settings.access import AccessSettings, IssuerSettings
from skerry.app.settings.errors import Problem
from skerry.app.settings.rules import bundle_trouble, file_trouble, refused, url_trouble
from skerry.app.settings.schema import Settings

ACTIONS = ("pull", "push", "delete")
ALGORITHMS = ("EdDSA", "ES256")
TOKEN_SECONDS_MIN, TOKEN_SECONDS_MAX = 60.0, 86400.0
REPOSITORY_PATTERN = re.compile(r"[a-z0-9_.:/\-*?\[\]!]+\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_CERTIFICATE = re.compile(r"(cn|dns|uri|email):.+\Z")
_CLAIM = re.compile(r"[A-Za-z0-9_.-]+=.+\Z")


def knows_somebody(settings: Settings) -> bool:
    """Whether there is a way to prove who one is, so that tokens are made."""
    access = settings.access
    return bool(
        settings.registry.users_file or access.robots or access.issuers or access.certificates
    )


def check_access(settings: Settings) -> Iterator[Problem]:
    """Every rule that is broken, in the order of the file."""
    access = settings.access
    yield from _times(access)
    if access.algorithm not in ALGORITHMS:
        step = f"write {' or '.join(ALGORITHMS)}"
        yield refused("access.algorithm", access.algorithm, "is no algorithm of tokens", step)
    if access.realm:
        yield from url_trouble("access.realm", access.realm, plain_http=True, path=True)
    yield from _rules(access)
    yield from _groups(access)
    for number, entry in enumerate(access.certificates):
        field = f"access.certificate[{number}]"
        if not _CERTIFICATE.match(entry.match):
            step = 'write "cn:NAME", "dns:HOST", "uri:URI" or "email:ADDRESS", * and ? as patterns'
            yield refused(f"{field}.match", entry.match, "matches no certificate", step)
        if not _NAME.match(entry.identity):
            step = "use letters, digits, dots, dashes and underscores"
            yield refused(f"{field}.identity", entry.identity, "cannot be a name", step)
    if access.certificates and not settings.doors.client_ca_file:
        step = "name the authority that signs the clients' certificates"
        yield refused("doors.client_ca_file", "", "is needed for access.certificate", step)
    if settings.doors.client_ca_file and not settings.doors.cert_file:
        step = "set doors.cert_file and doors.key_file"
        reason = "needs a door that speaks TLS"
        yield refused("doors.client_ca_file", settings.doors.client_ca_file, reason, step)
    yield from bundle_trouble("doors.client_ca_file", settings.doors.client_ca_file)
    yield from _issuers(access)
    asked = access.rules or any((access.roles.viewers, access.roles.operators, access.roles.admins))
    if asked and not knows_somebody(settings):
        step = "set registry.users_file, access.robots, access.issuer or access.certificate"
        yield refused("access", "", "has rules for people, and nobody can be known", step)


def _times(access: AccessSettings) -> Iterator[Problem]:
    bounds = (
        ("token", access.token_seconds, TOKEN_SECONDS_MIN, TOKEN_SECONDS_MAX),
        ("refresh", access.refresh_seconds, 3600.0, 400 * 86400.0),
        ("rotate", access.rotate_seconds, 3600.0, 400 * 86400.0),
        ("leeway", access.leeway_seconds, 0.0, 120.0),
        ("session", access.session_seconds, 60.0, 30 * 86400.0),
    )
    for name, value, least, most in bounds:
        if not least <= value <= most:
            step = f"use {least:.0f}s to {most:.0f}s"
            yield refused(f"access.{name}", value, "is out of bounds", step)


def _rules(access: AccessSettings) -> Iterator[Problem]:
    groups = (
        {group.name for group in access.groups}
        | {name for entry in access.certificates for name in entry.groups}
        | {name for issuer in access.issuers for grant in issuer.grants for name in grant.groups}
    )
    for number, rule in enumerate(access.rules):
        at = f"access.rule[{number}]"
        yield from _patterns(at, rule.repositories)
        yield from _actions(at, rule.actions)
        if not (rule.identities or rule.groups or rule.anonymous_pull):
            step = "name identities or groups, or set anonymous_pull = true"
            yield refused(at, "", "lets nobody do anything", step)
        for name in rule.groups:
            if name not in groups:
                step = "describe it: [[access.group]]"
                yield refused(f"{at}.groups", name, "is no group", step)


def _groups(access: AccessSettings) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, group in enumerate(access.groups):
        field = f"access.group[{number}].name"
        if not _NAME.match(group.name) or group.name in seen:
            step = "give each a name of its own: letters, digits, dots, dashes and underscores"
            yield refused(field, group.name, "cannot be a group's name", step)
        seen.add(group.name)


def _issuers(access: AccessSettings) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, issuer in enumerate(access.issuers):
        at = f"access.issuer[{number}]"
        if not _NAME.match(issuer.name) or issuer.name in seen:
            step = "give each a name of its own: letters, digits, dots, dashes and underscores"
            yield refused(f"{at}.name", issuer.name, "cannot be an issuer's name", step)
        seen.add(issuer.name)
        yield from _issuer(at, issuer)


def _issuer(at: str, issuer: IssuerSettings) -> Iterator[Problem]:
    plain = issuer.plain_http
    yield from url_trouble(f"{at}.url", issuer.url, plain_http=plain, path=True)
    if issuer.jwks_url:
        yield from url_trouble(f"{at}.jwks_url", issuer.jwks_url, plain_http=plain, path=True)
    yield from file_trouble(f"{at}.jwks_file", issuer.jwks_file)
    yield from bundle_trouble(f"{at}.ca_file", issuer.ca_file)
    if not issuer.audience:
        step = "write what ID tokens for this node have as `aud`: any other service's are refused"
        yield refused(f"{at}.audience", "", "is empty", step)
    for name, value in (("refresh", issuer.refresh_seconds), ("outage", issuer.outage_seconds)):
        if not 60 <= value <= 400 * 86400:
            yield refused(f"{at}.{name}", value, "is out of bounds", "use 60s to 400d")
    for number, grant in enumerate(issuer.grants):
        here = f"{at}.grant[{number}]"
        yield from _patterns(here, grant.repositories)
        yield from _actions(here, grant.actions)
        for claim in grant.claims:
            if not _CLAIM.match(claim):
                step = 'write "name=value", with * and ? as patterns'
                yield refused(f"{here}.claims", claim, "is no condition", step)
        if not grant.claims:
            step = "say which workloads are meant: all of an issuer may be half the world"
            yield refused(f"{here}.claims", "", "is empty", step)


def _patterns(at: str, patterns: tuple[str, ...]) -> Iterator[Problem]:
    step = 'write upstream and repository, "docker.io/library/*" or "local/team/*", in lower case'
    if not patterns:
        yield refused(f"{at}.repositories", "", "is empty", step)
    for number, pattern in enumerate(patterns):
        if not REPOSITORY_PATTERN.match(pattern):
            yield refused(f"{at}.repositories[{number}]", pattern, "can match no repository", step)


def _actions(at: str, actions: tuple[str, ...]) -> Iterator[Problem]:
    for name in actions:
        if name not in ACTIONS:
            yield refused(f"{at}.actions", name, "is no action", f"write {', '.join(ACTIONS)}")
