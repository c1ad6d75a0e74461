"""Who a registry over twins knows.

Owns the joining of the parts; tokens can be made once `access.tokens.open()` was awaited.
"""

from __future__ import annotations

from collections.abc import Sequence

from skerry.adapters.sqlite_tokens import SqliteTokens
from skerry.base.clock import Clock
from skerry.base.high_water import HighWater
from skerry.registry.access import Access
from skerry.registry.core.users import Users
from skerry.telemetry.events import Events
from skerry.telemetry.validation import ValidationFailures
from skerry.trust.tokens.core.rules import Rule, Rules
from skerry.trust.tokens.identities import Identities, Known
from skerry.trust.tokens.service import TokenPolicy, Tokens
from skerry.trust.tokens.testing import MemoryKeys


def access_of(
    users: Users | None, rules: Sequence[Rule], clock: Clock, failures: ValidationFailures
) -> Access:
    """What knows these users, under these rules."""
    high_water = HighWater(clock)
    book = SqliteTokens(None)
    tokens = Tokens(
        node="rock",
        store=MemoryKeys(),
        book=book,
        policy=TokenPolicy(),
        clock=clock,
        now=high_water.now,
        failures=failures,
        events=Events(clock.now),
    )
    identities = Identities(
        passwords=users,
        book=book,
        id_tokens=None,
        known=Known(),
        clock=clock,
        now=high_water.now,
    )
    return Access(identities, tokens, Rules(tuple(rules)))
