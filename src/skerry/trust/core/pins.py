"""Names that are kept at their last known good addresses.

Owns what may be pinned and held, how much of it, and which hold covers a name. Pure: a state goes
in, the next one comes out.
"""

from __future__ import annotations

import re
from dataclasses import replace

from skerry.base.errors import BadInput
from skerry.trust.ports import NameHold, NamePin, PinsState

PINS_MAX = 1024
"""The oldest go."""
HOLDS_MAX = 256
ADDRESSES_MAX = 16
REASON_CHARACTERS_MAX = 500
REWRITE_SECONDS = 3600.0
"""A pin whose addresses did not change is written down again this often."""

_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*"
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z"
)


def normal(name: str) -> str:
    """A name as pins and holds are kept: lower case, no final dot."""
    return name.lower().removesuffix(".")


def is_name(name: str) -> bool:
    """Whether it is written as a host or a domain."""
    return _NAME.match(normal(name)) is not None


def hold_of(state: PinsState, name: str) -> NameHold | None:
    """The hold that covers a name, the nearest one first."""
    wanted = normal(name)
    holds = {each.name: each for each in state.holds}
    while wanted:
        if wanted in holds:
            return holds[wanted]
        wanted = wanted.partition(".")[2]
    return None


def pin_of(state: PinsState, name: str) -> NamePin | None:
    """Where a host was when that was last believed."""
    wanted = normal(name)
    return next((each for each in state.pins if each.name == wanted), None)


def keep(state: PinsState, pin: NamePin) -> PinsState:
    """With a pin, unless its name is held or nothing worth writing has changed."""
    pin = replace(pin, name=normal(pin.name), addresses=pin.addresses[:ADDRESSES_MAX])
    if not pin.addresses or hold_of(state, pin.name) is not None:
        return state
    old = pin_of(state, pin.name)
    if old is not None and _says_the_same(old, pin):
        return state
    others = sorted((each for each in state.pins if each.name != pin.name), key=lambda p: p.at)
    return replace(state, pins=(*others[-(PINS_MAX - 1) :], pin))


def _says_the_same(old: NamePin, new: NamePin) -> bool:
    return (
        set(old.addresses) == set(new.addresses)
        and old.secure == new.secure
        and old.signed_until == new.signed_until
        and 0 <= new.at - old.at < REWRITE_SECONDS
    )


def hold(state: PinsState, wanted: NameHold) -> PinsState:
    """With a hold; one that is there already stays as it was. Raises BadInput."""
    name = normal(wanted.name)
    if not is_name(name):
        raise BadInput(f"{wanted.name!r} is no name", next_step="name a host or a domain")
    if any(each.name == name for each in state.holds):
        return state
    if len(state.holds) >= HOLDS_MAX:
        raise BadInput(
            f"{HOLDS_MAX} names are held already", next_step="release some, or hold their domain"
        )
    made = replace(wanted, name=name, reason=wanted.reason[:REASON_CHARACTERS_MAX])
    return replace(state, holds=(*state.holds, made))


def release(state: PinsState, name: str) -> PinsState:
    """Without the hold on just this name; one above it still covers it."""
    wanted = normal(name)
    return replace(state, holds=tuple(each for each in state.holds if each.name != wanted))
