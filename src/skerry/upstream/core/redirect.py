"""Where a redirect may lead, and what goes along.

Owns the rules (known failures T4, T5; RFC 9110 section 15.4). Never follows one itself, and names
are judged again by the address they resolve to when they are dialled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin

from skerry.upstream.core.guard import may_dial, origin_of
from skerry.upstream.ports import Trouble
from skerry.wire.message import Headers

REDIRECTS_MAX = 5
CREDENTIALS = ("Authorization", "Cookie", "Proxy-Authorization", "X-Registry-Auth")


@dataclass(frozen=True, slots=True)
class Hop:
    """The next request. `crossed`: it goes to another origin, so it carries no credential."""

    url: str
    headers: Headers
    crossed: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a redirect is not followed."""

    trouble: Trouble
    what: str


def follow(
    url: str,
    location: str,
    headers: Headers,
    *,
    private_hosts: Iterable[str],
    hops: int,
) -> Hop | Refused:
    """The request after a redirect from `url`, or why there is none.

    `hops` counts the redirects already followed. Credentials once dropped never come back, since
    each hop starts from the headers of the one before.
    """
    if hops >= REDIRECTS_MAX:
        return Refused(Trouble.PROTOCOL, f"redirects more than {REDIRECTS_MAX} times")
    here = origin_of(url)
    try:
        target = urldefrag(urljoin(url, location.strip())).url
    except ValueError:
        target = ""
    there = origin_of(target)
    if here is None or there is None:
        return Refused(Trouble.PROTOCOL, "redirects to something that is not a usable URL")
    if here.scheme == "https" and there.scheme != "https":
        return Refused(Trouble.FORBIDDEN_ADDRESS, f"redirects from https to plain http, {there}")
    if not may_dial(there.host, None, private_hosts, port=there.port):
        return Refused(
            Trouble.FORBIDDEN_ADDRESS,
            f"redirects to {there}, an inside address that redirect_hosts does not list",
        )
    if there == here:
        return Hop(target, headers, crossed=False)
    return Hop(target, headers.without(*CREDENTIALS), crossed=True)
