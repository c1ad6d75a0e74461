"""When a tag that moved upstream takes over here.

Owns the rule: **a new image takes over only when it is whole here or its bytes can be had.** If
the link dies in between, the tag goes on answering with the last whole image. Never fetches;
what a change of the upstream does to a tag is a function of values.

    new image is   upstream      store      answer
    whole          any           any        the new one, and the tag means it from now on
    in part        reachable     no room    the new one, passing through; the tag keeps the old
    in part        reachable     room       the old one, while the new one is being filled
    in part        gone          any        the old one

A tag whose old image is no longer whole here has nothing to protect: the new one is served as
soon as the upstream can be reached.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from skerry.base.digest import Digest
from skerry.registry.ports import Tag


@dataclass(frozen=True, slots=True)
class Serve:
    """Answer with this digest; the tag stays as it is.

    `passing` when the bytes have to come through from the upstream, uncached.
    """

    digest: Digest
    passing: bool = False


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Make the tag mean this digest (`take_over`), then answer with it."""

    digest: Digest


def decide(
    tag: Tag,
    *,
    pending_whole: bool,
    upstream_reachable: bool,
    storable: bool = True,
    current_whole: bool = True,
) -> Serve | TakeOver:
    """What a tag answers with now."""
    if tag.pending is None:
        return Serve(tag.digest)
    if pending_whole:
        return TakeOver(tag.pending)
    if upstream_reachable and not storable:
        return Serve(tag.pending, passing=True)
    if upstream_reachable and not current_whole:
        return TakeOver(tag.pending)
    return Serve(tag.digest)


def confirmed(tag: Tag, digest: Digest, now: float) -> Tag:
    """The upstream says that the tag means `digest`.

    Said of the one served: whatever was pending is forgotten, the tag moved back. Said of another:
    that one is pending, and one that was pending before is forgotten, the tag moved on.
    """
    if digest == tag.digest:
        return replace(tag, checked_at=now, confirmed_at=now, pending=None, gone_at=None)
    return replace(tag, checked_at=now, pending=digest, gone_at=None)


def unconfirmed(tag: Tag, now: float) -> Tag:
    """A check failed: only the clock moves."""
    return replace(tag, checked_at=now)


def gone(tag: Tag, now: float) -> Tag:
    """The upstream says that there is no such tag; the first time it did is kept."""
    return replace(tag, checked_at=now, pending=None, gone_at=tag.gone_at or now)


def take_over(tag: Tag, *, confirmed_at: float) -> Tag:
    """The pending image becomes the one served; `confirmed_at` is when the upstream named it."""
    if tag.pending is None:
        return tag
    return replace(tag, digest=tag.pending, pending=None, confirmed_at=confirmed_at)
