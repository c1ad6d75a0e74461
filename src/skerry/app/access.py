"""Who is known to this node: the users file, the book of tokens, the keys, joined.

Owns that part of the composition. A node that knows nobody loads and makes nothing of this.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from skerry.adapters.file_keys import FileKeys
from skerry.adapters.sqlite_tokens import SqliteTokens
from skerry.app.mounted import Mounted
from skerry.app.outside import Outside
from skerry.app.settings import Settings
from skerry.app.settings_checks_access import knows_somebody
from skerry.base.clock import Clock
from skerry.registry.assembly import RegistryRooms
from skerry.registry.core.users import Users, parse_htpasswd
from skerry.trust.tokens.core.rules import Rule, Rules
from skerry.trust.tokens.core.scopes import known_actions
from skerry.trust.tokens.identities import CertificateName, Identities, Known
from skerry.wire.message import Handler

if TYPE_CHECKING:
    from skerry.app.ground import Site
    from skerry.registry.access import Access

TOKENS_FILE = "tokens.sqlite"


def registry_handler(rooms: RegistryRooms, access: Access | None, clock: Clock) -> Handler:
    """The registry's front, with the door of tokens below its own path where there is one."""
    if access is None:
        return rooms.front
    from skerry.registry.token_door import BELOW, TokenDoor

    door = TokenDoor(access, rooms.rights, meters=rooms.front.meters, clock=clock)
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
    book = SqliteTokens(settings.node.data_path / TOKENS_FILE)
    node.ends.push_async_callback(book.close)
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
    )
    await tokens.open()
    node.nursery.start(tokens.run(), name="tokens")
    identities = Identities(
        passwords=_users(settings),
        book=book,
        id_tokens=None,
        known=_known(settings),
        clock=node.clock,
        now=node.high_water.now,
    )
    return Access(identities, tokens, rules_of_access(settings), access.realm)


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
