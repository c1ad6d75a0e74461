"""What a 304 or a HEAD tells about what is stored.

Owns RFC 9111 sections 3.2, 4.3.4 and 4.3.5: which stored responses, which fields. Never writes:
the values that come back replace the ones that went in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from skerry.cdn.core.freshness import date_value
from skerry.cdn.core.invalidation import cache_groups
from skerry.cdn.core.storing import Refusal, refusal, stored_fields, withheld_fields
from skerry.cdn.core.targeted import control_of
from skerry.cdn.core.validation import Selected, parse_tags, selected
from skerry.cdn.core.vary import secondary_key, vary_names
from skerry.cdn.ports import RoutePolicy, Stored
from skerry.wire.message import Headers, Request

_NOT_UPDATED = ("Content-Length", "Content-Encoding", "Content-Range", "Content-MD5", "ETag")
"""Section 3.2 names Content-Length and the fields that the stored bytes depend upon; ETag is what
they were recognised by."""

_OF_ONE_ANSWER = ("Age", "Cache-Status", "Proxy-Status")
"""They tell how the old answer came here; kept beside a new Date they would lie."""

_FOR_THE_REQUEST = (Refusal.REQUEST_NO_STORE, Refusal.AUTHORIZATION, Refusal.COOKIE)


@dataclass(frozen=True, slots=True)
class Answered:
    """When a response was asked for and received, seconds since the epoch, and its fields."""

    headers: Headers
    requested_at: float
    received_at: float


@dataclass(frozen=True, slots=True)
class Freshened:
    """The 304 confirmed stored responses.

    Attributes:
        chosen: the one to answer with, updated.
        others: further ones with the same strong validator, updated.
        refused: set when the update may not be stored: it answers this request only.
    """

    chosen: Stored
    others: tuple[Stored, ...] = ()
    refused: Refusal | None = None

    @property
    def forget(self) -> bool:
        """The origin no longer allows storing: what is stored goes, too.

        A refusal that lies in the request leaves the stored response as it was.
        """
        return self.refused is not None and self.refused not in _FOR_THE_REQUEST


@dataclass(frozen=True, slots=True)
class ForClient:
    """The 304 confirmed what the client has, nothing of ours: pass it on."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """The 304 confirmed neither: ask again without conditions."""


def after_not_modified(
    candidates: Sequence[Stored], request: Request, answer: Answered, policy: RoutePolicy
) -> Freshened | ForClient | Unusable:
    """What a 304 to our validation request means (RFC 9111 sections 4.3.3 and 4.3.4).

    `candidates` are the stored responses that the request selects, as `Validate` carries them.
    """
    identified = to_freshen(candidates, request, answer.headers)
    if identified:
        updated = [freshened(stored, request, answer) for stored in identified]
        # A client's HEAD may have been the occasion; what is kept is a response to GET.
        asked = replace(request, method="GET")
        refused = refusal(asked, updated[0].status, updated[0].headers, policy)
        return Freshened(updated[0], tuple(updated[1:]), refused)
    new = selected(answer.headers)
    theirs = parse_tags(request.headers.all("If-None-Match")) or ()
    if new.etag is not None and any(new.etag.same_weak(tag) for tag in theirs):
        return ForClient()
    return Unusable()


def to_freshen(
    candidates: Sequence[Stored], request: Request, headers: Headers
) -> tuple[Stored, ...]:
    """The stored responses that a 304 identifies, most recent first (section 4.3.4).

    A strong validator identifies all that share it, and only those. A weak one identifies the
    most recent that it matches. A 304 without validator identifies the only candidate: by the
    letter only one that has no validator either, but origins leave Last-Modified out of a 304
    (RFC 9110 section 15.4.5 lets them) and where all conditions were ours it can mean no other.
    """
    new = selected(headers)
    recent = sorted(candidates, key=_recency, reverse=True)
    strong = [stored for stored in recent if _match(new, selected(stored.headers)) == "strong"]
    if strong or (new.etag is not None and not new.etag.weak):
        return tuple(strong)
    weak = [stored for stored in recent if _match(new, selected(stored.headers)) == "weak"]
    if weak or new.etag is not None or new.modified is not None:
        return tuple(weak[:1])
    alone = len(recent) == 1 and "If-None-Match" not in request.headers
    return tuple(recent) if alone else ()


def freshened(stored: Stored, request: Request, answer: Answered) -> Stored:
    """A stored response with the fields of a 304 or HEAD response (section 3.2)."""
    new = stored_fields(answer.headers, received_at=answer.received_at).without(*_NOT_UPDATED)
    names = {name.lower() for name, _ in new}
    kept = stored.headers.without(*_OF_ONE_ANSWER, *names)
    headers = Headers((*kept, *new))
    headers = headers.without(*withheld_fields(control_of(headers).directives))
    return replace(
        stored,
        headers=headers,
        requested_at=answer.requested_at,
        received_at=answer.received_at,
        vary=secondary_key(vary_names(headers) or (), request.headers),
        invalidated=False,
        groups=cache_groups(headers),
    )


def after_head(stored: Stored, request: Request, status: int, answer: Answered) -> Stored:
    """A stored GET response after a HEAD for it was forwarded (section 4.3.5).

    Updated when every validator received and Content-Length agree, otherwise marked as in need of
    validation. Statuses other than 200 say nothing. Nor does one without any validator whose
    length agrees: by the letter all of none match, but two pages of one length are not one page.
    """
    if status != 200 or stored.status != 200:
        return stored
    old, new = selected(stored.headers), selected(answer.headers)
    agree = (new.etag is None or new.etag == old.etag) and (
        new.modified is None or new.modified == old.modified
    )
    length = answer.headers.get("Content-Length")
    if length is not None:
        size = stored.size_bytes
        known = stored.headers.get("Content-Length") or ("" if size is None else str(size))
        agree = agree and known.strip(" \t") == length.strip(" \t")
    if not agree:
        return replace(stored, invalidated=True)
    told = new.etag is not None or new.modified is not None
    return freshened(stored, request, answer) if told else stored


def _recency(stored: Stored) -> tuple[float, float]:
    return date_value(stored.headers, stored.received_at), stored.received_at


def _match(new: Selected, old: Selected) -> str:
    """`strong`, `weak` or `none`; where both have tags, the tags alone decide."""
    if new.etag is not None and old.etag is not None:
        if new.etag.same_strong(old.etag):
            return "strong"
        return "weak" if new.etag.weak and new.etag.same_weak(old.etag) else "none"
    if new.modified is None or new.modified != old.modified:
        return "none"
    return "strong" if old.modified_is_strong else "weak"
