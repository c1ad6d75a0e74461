"""Who is logged in to the pages of the admin door.

Owns the sessions: in memory, bounded; what outlives a restart is `kept_sessions`' business. A
cookie is a random name of a session, known here by its hash only. Never decides what a visitor may
do.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import msgspec

from skerry.base.clock import Clock
from skerry.trust.tokens.core.rules import Role
from skerry.wire.message import Request

COOKIE = "skerry_session"
SESSIONS_MAX = 1000
SESSIONS_EACH_MAX = 20
IDLE_SECONDS = 3600.0
LIFE_SECONDS = 12 * 3600.0
COOKIE_CHARS_MAX = 32768


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who has proven who they are, in a role at this door."""

    name: str
    role: Role
    groups: tuple[str, ...] = ()


Prove = Callable[[Request, str, str], Awaitable[Asker]]
"""Who has this name and secret; a name of "" stands for the admin token. Raises LoginRefused."""


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A login as it outlives the process; times are seconds since the epoch.

    Attributes:
        place: the hash of the cookie's secret, hexadecimal.
        proof: what must be the same for it to hold (`kept_sessions`).
    """

    place: str
    name: str
    role: Role
    begun_at: float
    used_at: float
    proof: str = ""


@dataclass(slots=True)
class Session:
    """One login. Times are on the monotonic clock; `csrf` is made of the cookie's secret, so that
    nothing else has to be kept."""

    asker: Asker
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

    def __init__(self, clock: Clock, *, life_seconds: float = LIFE_SECONDS) -> None:
        self._clock = clock
        self._life_seconds = life_seconds
        self._open: OrderedDict[bytes, Session] = OrderedDict()
        self._begun = 0
        self.keep: Callable[[], Awaitable[None]] = _nowhere
        """Has who is logged in outlive the process; durable on return."""

    def begin(self, asker: Asker) -> tuple[str, Session]:
        """A new session with the secret for its cookie; the oldest of too many ends, and of too
        many of one name theirs: who logs in again and again logs nobody else out."""
        secret, now = secrets.token_urlsafe(32), self._clock.monotonic()
        own = [place for place, each in self._open.items() if each.asker.name == asker.name]
        for place in own[: max(0, len(own) - SESSIONS_EACH_MAX + 1)]:
            del self._open[place]
        session = Session(asker, _csrf(secret), now, now)
        self._open[_place(secret)] = session
        self._begun += 1
        while len(self._open) > SESSIONS_MAX:
            self._open.popitem(last=False)
        return secret, session

    def find(self, request: Request) -> Session | None:
        """The session of a request's cookie; None when it has none, or it is over."""
        secret = _cookie(request)
        place = _place(secret)
        session = self._open.get(place)
        if session is None:
            return None
        if self._over(session):
            del self._open[place]
            return None
        session.used_at, session.csrf = self._clock.monotonic(), _csrf(secret)
        return session

    def is_over(self, request: Request) -> bool:
        """Whether a request comes with the cookie of a login that does not hold any more."""
        secret = _cookie(request)
        return bool(secret) and _place(secret) not in self._open

    def lasts(self, session: Session) -> bool:
        """Whether a login still holds; to ask is not to use it."""
        return any(each is session for each in self._open.values()) and not self._over(session)

    def _over(self, session: Session) -> bool:
        now = self._clock.monotonic()
        idle_seconds = now - session.used_at
        return now - session.begun_at >= self._life_seconds or idle_seconds >= IDLE_SECONDS

    async def end(self, request: Request) -> None:
        """Logs out, also for after a restart."""
        self._open.pop(_place(_cookie(request)), None)
        await self.keep()

    async def end_all(self, about: Callable[[Asker], bool]) -> None:
        """Ends those of whoever was revoked, also for after a restart."""
        for place in [place for place, each in self._open.items() if about(each.asker)]:
            del self._open[place]
        await self.keep()

    def kept(self, proof: Callable[[Asker], str], *, now: float) -> tuple[Kept, ...]:
        """Every login that holds; `now` is seconds since the epoch."""
        ahead = now - self._clock.monotonic()
        return tuple(
            Kept(
                place.hex(),
                each.asker.name,
                each.asker.role,
                int(each.begun_at + ahead),
                int(each.used_at + ahead),
                proof(each.asker),
            )
            for place, each in self._open.items()
            if not self._over(each)
        )

    def restore(
        self, kept: Iterable[Kept], asker: Callable[[Kept], Asker | None], *, now: float
    ) -> None:
        """Takes up the logins of an earlier process that are not over; `asker` says who of them
        somebody is now, None for nobody."""
        ahead = now - self._clock.monotonic()
        for each in list(kept)[-SESSIONS_MAX:]:
            found = asker(each) if each.begun_at <= each.used_at <= now + 1 else None
            if found is None:
                continue
            session = Session(found, "", each.begun_at - ahead, each.used_at - ahead)
            if not self._over(session):
                self._open[bytes.fromhex(each.place)] = session

    def statistics(self) -> SessionsStatistics:
        return SessionsStatistics(len(self._open), self._begun)


def cookie_name(request: Request) -> str:
    """What the cookie is called at the port that a browser sees: two nodes that are reached
    through one host (`ssh -L`) would otherwise take each other's logins away."""
    _, _, port = (request.headers.get("Host") or "").rpartition(":")
    return f"{COOKIE}_{port}" if port.isascii() and port.isdigit() else COOKIE


def cookie_of(secret: str, request: Request) -> str:
    """`Set-Cookie` of a session (RFC 6265); an empty secret takes it back.

    Strict: a request that another site causes comes without it. A cookie knows no port, so
    whatever else runs on this host under another one sees it: it is worth a session, not a token.
    """
    parts = [f"{cookie_name(request)}={secret}", "Path=/", "HttpOnly", "SameSite=Strict"]
    parts += ["Secure"] if request.scheme == "https" else []
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


def _csrf(secret: str) -> str:
    """What the forms of a session carry: it tells nothing of the cookie, nor the reverse without
    the secret."""
    return hashlib.sha256(b"csrf:" + secret.encode()).hexdigest()


async def _nowhere() -> None:
    """A process that keeps nothing."""


def _cookie(request: Request) -> str:
    """The value of our cookie, whatever else is sent with it: the other programs of a host write
    what they like into theirs, and a browser sends them all to every port of it."""
    text = request.headers.get("Cookie") or ""
    pairs = (each.strip().partition("=") for each in text[:COOKIE_CHARS_MAX].split(";"))
    own = cookie_name(request)
    return next((value for name, _, value in pairs if name == own), "")
