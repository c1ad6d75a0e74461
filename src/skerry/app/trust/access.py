"""Who is known to this node: the users file, the book of tokens, the keys, joined.

Owns that part of the composition. A node that knows nobody loads and makes nothing of this.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from skerry.adapters.file_keys import KEYS_FILE, FileKeys
from skerry.adapters.sqlite_salvage import settle
from skerry.adapters.sqlite_tokens import TOKENS, SqliteTokens
from skerry.app.admin.access import Access as AdminAccess
from skerry.app.admin.access import ensure_token
from skerry.app.admin.roles import Roles
from skerry.app.admin.sessions import Sessions
from skerry.app.damage import opened
from skerry.app.doors.mounted import Mounted
from skerry.app.outside import Outside
from skerry.app.settings.access import IssuerSettings
from skerry.app.settings.checks.access import knows_somebody
from skerry.app.settings.schema import Settings
from skerry.base.clock import Clock
from skerry.registry.assembly import RegistryRooms
from skerry.registry.core.users import Users, parse_htpasswd
from skerry.telemetry.events import Level
from skerry.trust.tokens.core.rules import Grant, Rule, Rules
from skerry.trust.tokens.core.scopes import known_actions
from skerry.trust.tokens.core.workloads import Condition, WorkloadGrant
from skerry.trust.tokens.identities import CertificateName, Identities, Known
from skerry.upstream.ports import Dial
from skerry.wire.message import Handler

if TYPE_CHECKING:
    from skerry.app.site import Site
    from skerry.registry.access import Access
    from skerry.trust.tokens.issuers import IssuerRules, Issuers
    from skerry.trust.tokens.ports import KeySource

TOKENS_FILE = "tokens.sqlite"


def registry_handler(rooms: RegistryRooms, access: Access | None, clock: Clock) -> Handler:
    """The registry's front, with the door of tokens below its own path where there is one."""
    if access is None:
        return rooms.front
    from skerry.registry.token_door import BELOW, TokenDoor

    front = rooms.front
    door = TokenDoor(access, rooms.rights, meters=front.meters, steward=front.steward, clock=clock)
    return Mounted(rooms.front, prefix=BELOW, below=door)


async def open_access(node: Site, outside: Outside) -> Access | None:
    """Opens it, with `node.ends` to close it and `node.nursery` to keep it up; None when nobody
    is known. Raises SkerryError, OSError."""
    settings = node.settings
    if not knows_somebody(settings):
        return None
    # Late: tokens take cryptography, and most of its time and memory.
    from skerry.registry.access import Access
    from skerry.trust.tokens.service import TokenPolicy, Tokens

    access = settings.access
    book = await _book(node)
    tokens = Tokens(
        node=settings.node.name,
        store=FileKeys(settings.node.data_path),
        book=book,
        policy=TokenPolicy(
            token_seconds=access.token_seconds,
            refresh_seconds=access.refresh_seconds,
            rotate_seconds=access.rotate_seconds,
            leeway_seconds=access.leeway_seconds,
            algorithm=access.algorithm,
        ),
        clock=node.clock,
        now=node.high_water.now,
        failures=node.failures,
        events=node.events,
    )
    await tokens.open()
    node.nursery.start(tokens.run(), name="tokens")
    id_tokens = await _issuers(node, outside)
    users = _users(settings)
    identities = Identities(
        passwords=users,
        book=book,
        id_tokens=id_tokens,
        known=_known(settings),
        clock=node.clock,
        now=node.high_water.now,
    )
    return Access(identities, tokens, rules_of_access(settings), access.realm, users)


async def _book(node: Site) -> SqliteTokens:
    """The book of tokens. Without its revocations nothing made before now is believed: a token
    that was revoked must not come back with the loss of the list."""
    path = node.settings.node.data_path / TOKENS_FILE
    lost = not path.exists() and (node.settings.node.data_path / KEYS_FILE).exists()
    file, salvage = opened(
        path, TOKENS, node.events, whole_only=("robot",), dropped=("family",), settled=False
    )
    closed = lost or salvage is not None
    book = SqliteTokens(file, closed_until=node.high_water.now() if closed else None)
    node.ends.push_async_callback(book.close)
    if not closed:
        return book
    if salvage is None or not salvage.in_memory:
        await book.keep_closed()
        settle(path)
    node.events.emit(
        "tokens.closed",
        TOKENS_FILE,
        cause="what was revoked may be forgotten: no token and no login from before is believed",
        next_step="everybody logs in anew; see with `skerry robots list` which robots to make"
        " again",
        level=Level.ERROR,
    )
    return book


def admin_access(settings: Settings, known: Access | None, clock: Clock) -> AdminAccess:
    """Who may use the admin door. Raises TokenError."""
    access = settings.access
    return AdminAccess(
        ensure_token(settings.node.data_path),
        hosts=(*settings.doors.admin_hosts, settings.node.name),
        sessions=Sessions(clock, life_seconds=access.session_seconds),
        known=known,
        roles=Roles(access.roles.viewers, access.roles.operators, access.roles.admins),
    )


async def _issuers(node: Site, outside: Outside) -> Issuers | None:
    """The issuers of ID tokens, with the keys that were fetched before; None for none."""
    access = node.settings.access
    if not access.issuers:
        return None
    from skerry.adapters.file_jwks import FileKeyShelf
    from skerry.trust.tokens.issuers import Issuer, Issuers

    made = [
        Issuer(
            _issuer_rules(each),
            source=_key_source(each, outside),
            shelf=FileKeyShelf(node.settings.node.data_path, each.name),
            clock=node.clock,
            now=node.high_water.now,
            events=node.events,
        )
        for each in access.issuers
    ]
    for issuer in made:
        await issuer.open()
    issuers = Issuers(
        made,
        leeway_seconds=access.leeway_seconds,
        clock=node.clock,
        now=node.high_water.now,
        failures=node.failures,
    )
    node.horizon.add(issuers.expiries)
    node.nursery.start(issuers.run(), name="issuers")
    return issuers


def _issuer_rules(each: IssuerSettings) -> IssuerRules:
    from skerry.trust.tokens.issuers import IssuerRules

    grants = tuple(
        WorkloadGrant(
            tuple(map(Condition.parse, grant.claims)),
            Grant(grant.repositories, known_actions(grant.actions)),
            grant.groups,
        )
        for grant in each.grants
    )
    outage = None if each.jwks_file else each.outage_seconds
    return IssuerRules(each.name, each.url, each.audience, grants, each.refresh_seconds, outage)


def _key_source(each: IssuerSettings, outside: Outside) -> KeySource:
    from skerry.adapters.jwks_source import FileKeySource, HttpKeys

    if each.jwks_file:
        return FileKeySource(Path(each.jwks_file))
    # Its host is the operator's word; a name of it that leads inside is meant so.
    hosts = {urlsplit(url).hostname or "" for url in (each.url, each.jwks_url) if url}
    dial = Dial(ca_file=each.ca_file or None, private_hosts=frozenset(hosts))
    return HttpKeys(each.url, each.jwks_url, transport=outside.transport, dial=dial)


def rules_of_access(settings: Settings) -> Rules:
    """The access rules, in order."""
    return Rules(
        tuple(
            Rule(
                repositories=rule.repositories,
                identities=frozenset(rule.identities),
                groups=frozenset(rule.groups),
                actions=known_actions(rule.actions),
                anonymous_pull=rule.anonymous_pull,
            )
            for rule in settings.access.rules
        )
    )


def _users(settings: Settings) -> Users | None:
    if not settings.registry.users_file:
        return None
    text = Path(settings.registry.users_file).read_text(encoding="utf-8")
    return Users(parse_htpasswd(text), key=secrets.token_bytes(32))


def _known(settings: Settings) -> Known:
    access = settings.access
    return Known(
        groups={group.name: group.members for group in access.groups},
        certificates=tuple(
            CertificateName(each.match, each.identity, each.groups) for each in access.certificates
        ),
    )
