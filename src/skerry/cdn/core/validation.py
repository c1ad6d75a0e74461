"""Conditional requests, both ways: judging a client's, and making our own.

Owns validators and preconditions (RFC 9110 sections 8.8 and 13, RFC 9111 section 4.3). Never
updates what is stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from skerry.cdn.core.dates import parse_date
from skerry.cdn.ports import Stored
from skerry.wire.message import NO_HEADERS, Headers

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\Z')  # RFC 9110 section 8.8.3
# A backslash is a letter in an opaque-tag: such a list is not one of quoted-strings.
_TAG_IN_LIST = re.compile(r'(?:^|,)[ \t]*((?:W/)?"[^"]*")[ \t]*(?=,|$)')

CONDITIONS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range")

_NOT_MODIFIED_FIELDS = {"content-location", "date", "etag", "vary", "cache-control", "expires"} | {
    "skerry-cache-control", "cdn-cache-control", "cache-groups", "age", "via", "cache-status",
}  # fmt: skip


class Outcome(Enum):
    """What the preconditions make of a request."""

    PROCEED = 200
    NOT_MODIFIED = 304
    FAILED = 412


@dataclass(frozen=True, slots=True)
class EntityTag:
    """An entity-tag (RFC 9110 section 8.8.3)."""

    opaque: str
    weak: bool = False

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.opaque}"'

    def same_strong(self, other: EntityTag) -> bool:
        """Both strong and equal (section 8.8.3.2)."""
        return not self.weak and not other.weak and self.opaque == other.opaque

    def same_weak(self, other: EntityTag) -> bool:
        """Equal, whatever their strength."""
        return self.opaque == other.opaque


@dataclass(frozen=True, slots=True)
class Selected:
    """The representation that a condition is judged against.

    Attributes:
        etag, modified, date: its validators and Date, None when absent or unreadable.
        received_at: seconds since the epoch; stands in for both times (RFC 9111 section 4.3.2).
    """

    etag: EntityTag | None = None
    modified: float | None = None
    date: float | None = None
    received_at: float | None = None

    @property
    def modified_is_strong(self) -> bool:
        """Last-Modified at least one second before Date (RFC 9110 section 8.8.2.2)."""
        return (
            self.modified is not None and self.date is not None and self.modified + 1 <= self.date
        )


def parse_tag(text: str | None) -> EntityTag | None:
    """An entity-tag, None when it is none; never raises."""
    match = _TAG.match(text.strip(" \t")) if text is not None else None
    return EntityTag(match[2], weak=match[1] is not None) if match else None


def parse_tags(lines: Iterable[str]) -> tuple[EntityTag, ...] | None:
    """The tags of an If-Match or If-None-Match; None for `*`. Unreadable members are left out."""
    value = ", ".join(lines)
    if value.strip(" \t") == "*":
        return None
    tags = (parse_tag(member) for member in _TAG_IN_LIST.findall(value))
    return tuple(tag for tag in tags if tag is not None)


def selected(headers: Headers, received_at: float | None = None) -> Selected:
    """The validators that a response carries."""
    return Selected(
        parse_tag(headers.get("ETag")),
        parse_date(headers.get("Last-Modified")),
        parse_date(headers.get("Date")),
        received_at,
    )


def evaluate(method: str, request: Headers, current: Selected | None) -> Outcome:
    """All preconditions in the order of RFC 9110 section 13.2.2, as the one who owns the resource.

    `current` is None when there is no representation. If-Range is `if_range_holds`. A cache that
    merely stores the response asks `evaluate_cached` instead.
    """
    if "If-Match" in request:
        if not _any_matches(request, "If-Match", current, strong=True):
            return Outcome.FAILED
    elif (limit := parse_date(request.get("If-Unmodified-Since"))) is not None and (
        # Section 13.1.4: ignored when it is no date or there is no modification date.
        current is not None and current.modified is not None and current.modified > limit
    ):
        return Outcome.FAILED
    return evaluate_cached(method, request, current)


def evaluate_cached(method: str, request: Headers, current: Selected | None) -> Outcome:
    """If-None-Match, or without it If-Modified-Since (RFC 9111 section 4.3.2)."""
    safe = method in ("GET", "HEAD")
    if "If-None-Match" in request:
        if _any_matches(request, "If-None-Match", current, strong=False):
            return Outcome.NOT_MODIFIED if safe else Outcome.FAILED
        return Outcome.PROCEED
    since = parse_date(request.get("If-Modified-Since"))
    if not safe or since is None or current is None:
        return Outcome.PROCEED
    known = (current.modified, current.date, current.received_at)
    changed = next((time for time in known if time is not None), None)
    return Outcome.NOT_MODIFIED if changed is not None and changed <= since else Outcome.PROCEED


def origin_conditions_hold(request: Headers, current: Selected) -> bool:
    """Whether If-Match and If-Unmodified-Since are true of what is stored.

    They are the origin's to refuse (RFC 9111 section 4.3.2): where this says no, the request is
    forwarded, never answered with 412 here.
    """
    return evaluate("GET", _only(request, "If-Match", "If-Unmodified-Since"), current) is (
        Outcome.PROCEED
    )


def if_range_holds(request: Headers, current: Selected) -> bool:
    """Whether a Range may be applied; True without If-Range (RFC 9110 section 13.1.5).

    A tag compares strongly; a date must be exactly the Last-Modified, and a strong one.
    """
    condition = request.get("If-Range")
    if condition is None:
        return True
    tag = parse_tag(condition)
    if tag is not None:
        return current.etag is not None and tag.same_strong(current.etag)
    date = parse_date(condition)
    return date is not None and date == current.modified and current.modified_is_strong


def conditions_for(stored: Iterable[Stored], request: Headers) -> Headers:
    """The precondition fields of our own validation request (RFC 9111 section 4.3.1).

    All entity-tags of the stored responses that could answer, joined by those of the client's
    If-None-Match, so that either is confirmed by one exchange (section 4.3.2); and the newest
    Last-Modified. Empty when nothing stored has a validator. The client's own conditions are to
    be replaced by these.
    """
    tags: dict[str, None] = {}
    modified: list[tuple[float, str]] = []
    for response in stored:
        if response.status == 206:
            continue  # MUST NOT vouch for a whole with a part's tag (section 4.3.2)
        if (tag := parse_tag(response.headers.get("ETag"))) is not None:
            tags[str(tag)] = None
        text = response.headers.get("Last-Modified")
        if (time := parse_date(text)) is not None and text is not None:
            modified.append((time, text.strip(" \t")))
    if not tags and not modified:
        return NO_HEADERS
    fields: list[tuple[str, str]] = []
    if tags:
        clients = parse_tags(request.all("If-None-Match"))
        tags.update((str(tag), None) for tag in clients or ())
        fields.append(("If-None-Match", ", ".join(tags)))
    if modified:
        fields.append(("If-Modified-Since", max(modified)[1]))
    return Headers(fields)


def conditional(request: Headers, conditions: Headers) -> Headers:
    """A client's fields with its conditions and Range replaced by ours (section 4.3.1).

    Whole responses are validated, so that the answer can be stored; the client's own conditions
    and ranges are judged on what comes of it.
    """
    return Headers((*request.without(*CONDITIONS, "Range"), *conditions))


def not_modified_fields(headers: Headers) -> Headers:
    """What a 304 carries of the selected response's fields (RFC 9110 section 15.4.5)."""
    kept = set(_NOT_MODIFIED_FIELDS)
    if parse_tag(headers.get("ETag")) is None:
        kept.add("last-modified")
    return Headers(field for field in headers if field[0].lower() in kept)


def _any_matches(request: Headers, name: str, current: Selected | None, *, strong: bool) -> bool:
    tags = parse_tags(request.all(name))
    if tags is None:
        return current is not None  # `*`: true when there is any representation
    if current is None or current.etag is None:
        return False
    etag = current.etag
    return any(tag.same_strong(etag) if strong else tag.same_weak(etag) for tag in tags)


def _only(headers: Headers, *names: str) -> Headers:
    wanted = {name.lower() for name in names}
    return Headers(field for field in headers if field[0].lower() in wanted)
