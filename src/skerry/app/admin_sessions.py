"""Who is logged in to the pages of the admin door.

Owns the sessions: in memory, bounded, gone at a restart. A cookie is a random name of a session,
kept here as its hash only. Never decides what a visitor may do.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from skerry.base.clock import Clock
from skerry.wire.message import Request

COOKIE = "skerry_session"
SESSIONS_MAX = 1000
IDLE_SECONDS = 3600.0
LIFE_SECONDS = 12 * 3600.0
COOKIE_CHARS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who has proven who they are. `may_act`: more than look."""

    name: str
    may_act: bool


Prove = Callable[[str, str], Awaitable[Identity | None]]
"""Who has this name and secret; a name of "" stands for the admin token."""


@dataclass(slots=True)
class Session:
    """One login. Times are on the monotonic clock."""

    identity: Identity
    csrf: str
    begun_at: float
    used_at: float


@dataclass(frozen=True, slots=True)
class SessionsStatistics:
    """A snapshot; counts are since start."""

    open_count: int
    begun_count: int


class Sessions:
    """Every login of the pages."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: OrderedDict[bytes, Session] = OrderedDict()
        self._begun = 0

    def begin(self, identity: Identity) -> str:
        """The secret of a new session, for its cookie; the oldest of too many ends."""
        secret, now = secrets.token_urlsafe(32), self._clock.monotonic()
        self._open[_place(secret)] = Session(identity, secrets.token_urlsafe(32), now, now)
        self._begun += 1
        while len(self._open) > SESSIONS_MAX:
            self._open.popitem(last=False)
        return secret

    def find(self, request: Request) -> Session | None:
        """The session of a request's cookie; None when it has none, or it is over."""
        place = _place(_cookie(request))
        session, now = self._open.get(place), self._clock.monotonic()
        if session is None:
            return None
        if now - session.begun_at >= LIFE_SECONDS or now - session.used_at >= IDLE_SECONDS:
            del self._open[place]
            return None
        session.used_at = now
        return session

    def end(self, request: Request) -> None:
        """Logs out."""
        self._open.pop(_place(_cookie(request)), None)

    def statistics(self) -> SessionsStatistics:
        return SessionsStatistics(len(self._open), self._begun)


def cookie_of(secret: str, *, scheme: str) -> str:
    """`Set-Cookie` of a session (RFC 6265); an empty secret takes it back.

    Strict: a request that another site causes comes without it. A cookie knows no port, so
    whatever else runs on this host under another one sees it: it is worth a session, not a token.
    """
    parts = [f"{COOKIE}={secret}", "Path=/", "HttpOnly", "SameSite=Strict"]
    parts += ["Secure"] if scheme == "https" else []
    parts += [] if secret else ["Max-Age=0"]
    return "; ".join(parts)


def from_here(request: Request) -> bool:
    """Whether a form was sent by a page of this door, as far as its browser says.

    Browsers say it in Sec-Fetch-Site, older ones in Origin; what says neither is no browser.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or origin == f"{request.scheme}://{request.headers.get('Host')}"


def _place(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _cookie(request: Request) -> str:
    text = request.headers.get("Cookie") or ""
    if len(text) > COOKIE_CHARS_MAX:
        return ""
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
