"""Requests and stored responses in one line each; the time of every test is NOON."""

from __future__ import annotations

from skerry.cdn.core.dates import format_date
from skerry.cdn.core.storing import stored_response
from skerry.cdn.ports import DataClass, RoutePolicy, Stored
from skerry.wire.message import Headers, Request

NOON = 1_800_000_000.0
PUBLIC = RoutePolicy(data_class=DataClass.PUBLIC)

Field = tuple[str, str]


def get(*fields: Field, method: str = "GET") -> Request:
    """A request; fields as pairs."""
    return Request(method, "/", Headers(fields))


def date(offset_seconds: float = 0.0) -> str:
    """An HTTP-date so far from NOON."""
    return format_date(NOON + offset_seconds)


def fields(*pairs: Field) -> Headers:
    """Response fields, with a Date of NOON unless there is one."""
    headers = Headers(pairs)
    return headers if "Date" in headers else Headers((*pairs, ("Date", date())))


def stored(*pairs: Field, request: Request | None = None, status: int = 200) -> Stored:
    """What is stored of a response that was asked for and received at NOON."""
    return stored_response(
        request or get(), status, fields(*pairs), requested_at=NOON, received_at=NOON
    )


def cc(value: str) -> Field:
    """A Cache-Control line."""
    return "Cache-Control", value
