"""What a scripted origin answers, as values; the same over memory and over sockets.

Its promise: it gives what it was told, and where it was told to be truthful, 304 and 206 as
RFC 9110 has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from skerry.base.ranges import Unsatisfiable, parse_range
from skerry.cdn.core.dates import format_date
from skerry.cdn.core.validation import Outcome, evaluate, if_range_holds, selected
from skerry.wire.message import Headers
from tests.cdn.transcripts.script import Says, placed


@dataclass(frozen=True)
class Given:
    """One answer; None instead of it is a closed connection."""

    status: int
    headers: Headers
    body: bytes
    sized: bool = True
    cut_at: int | None = None


@dataclass(frozen=True)
class Heard:
    """One request as the origin saw it; `path` is without what stands before every path."""

    method: str
    path: str
    headers: Headers
    body: bytes = b""


def answer(
    says: Mapping[str, Says], heard: Heard, *, now: float, prefix: str, site: str
) -> Given | None:
    """What the origin gives for a request; 404 where nobody told it anything."""
    said = says.get(heard.path)
    if said is None:
        return Given(404, Headers((("Date", format_date(now)),)), b"nothing here")
    if said.down:
        return None
    fields = [
        (name, placed(value, now=now, prefix=prefix, site=site)) for name, value in said.fields
    ]
    if said.dated and not any(name.lower() == "date" for name, _ in fields):
        fields.append(("Date", format_date(now)))
    headers = Headers(fields)
    if said.truthful:
        return _truthful(said, heard, headers)
    bodiless = said.status in (204, 304) or heard.method == "HEAD"
    body = b"" if bodiless else said.body
    if said.sized and said.status not in (204, 304) and "Content-Length" not in headers:
        headers = Headers((*headers, ("Content-Length", str(len(said.body)))))
    return Given(said.status, headers, body, said.sized, said.cut_at)


def _truthful(said: Says, heard: Heard, headers: Headers) -> Given:
    current = selected(headers)
    reading = heard.method in ("GET", "HEAD")
    outcome = evaluate(heard.method, heard.headers, current) if reading else Outcome.PROCEED
    if outcome is not Outcome.PROCEED:
        return Given(outcome.value, headers, b"")
    length = (("Content-Length", str(len(said.body))),)
    if heard.method == "HEAD":
        return Given(said.status, headers.with_fields(*length), b"")
    wanted = heard.headers.get("Range") if if_range_holds(heard.headers, current) else None
    ranges = parse_range(wanted, len(said.body)) if said.status == 200 else None
    if isinstance(ranges, Unsatisfiable):
        return Given(416, headers.with_fields(("Content-Range", ranges.content_range)), b"")
    if ranges is not None and len(ranges) == 1:
        part = ranges[0]
        about = (("Content-Range", part.content_range), ("Content-Length", str(part.size)))
        body = said.body[part.start : part.stop]
        return Given(206, headers.with_fields(*about), body, cut_at=said.cut_at)
    given = headers.with_fields(*length) if said.sized else headers
    return Given(said.status, given, said.body, said.sized, said.cut_at)
