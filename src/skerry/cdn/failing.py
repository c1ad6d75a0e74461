"""What a client is told when its origin cannot be asked, and nothing stored stands in.

Owns code, sentence and fields. RFC 9209; RFC 6585 section 4 for what may not be asked any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from skerry.cdn.core.status import ProxyError, ProxyStatus
from skerry.cdn.passing import proxy_status
from skerry.cdn.steward import HeldBack
from skerry.upstream.misses import Spent
from skerry.upstream.ports import Unavailable


@dataclass(frozen=True, slots=True)
class Told:
    """An error of our own."""

    code: int
    sentence: str
    proxy: ProxyStatus
    fields: tuple[tuple[str, str], ...] = ()


def told(failure: Unavailable | int, *, unconfirmed: bool = False) -> Told:
    """`failure` is the origin's own status, or why there is none; `unconfirmed` when what is stored
    may not be served without its word (RFC 9111 section 5.2.2.2)."""
    sentence = "The origin of this page does not answer."
    if isinstance(failure, int):
        proxy = ProxyStatus(ProxyError.DESTINATION_UNAVAILABLE, received_status=failure)
        return Told(504 if unconfirmed else proxy.error.status, sentence, proxy)
    proxy = proxy_status(failure)
    retry = (("Retry-After", str(failure.retry_after_seconds)),)
    if isinstance(failure, HeldBack):
        sentence = "Nothing that is not stored here is fetched now; what is stored is served."
    if isinstance(failure, Spent):
        sentence = "Too much that is not stored here was asked for; what is stored is served."
        return Told(429, sentence, proxy, retry)
    return Told(504 if unconfirmed else proxy.error.status, sentence, proxy, retry)
