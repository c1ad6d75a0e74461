"""Credentials of one source: what to send, and where to get it.

Owns the Bearer challenge as container registries speak it (Docker registry token protocol, an
extension of RFC 6750) and Basic (RFC 7617). Tokens live in memory only. Every request to a token
service goes through `_fetch`, which asks `core.guard` first, so that no path can pass the guard by
(known failures T1-T3). A token service follows no redirect (T5) and has a breaker of its own, so
that its outage is not the registry's (T26).
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from urllib.parse import urlencode, urlsplit

from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.errors import BadInput
from skerry.telemetry.events import Events, Level
from skerry.upstream.core import breaker as machine
from skerry.upstream.core import limits
from skerry.upstream.core.challenge import Challenge, choose, parse_challenges
from skerry.upstream.core.guard import origin_of, realm_refusal
from skerry.upstream.core.judge import REDIRECTS
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.metered import read_whole
from skerry.upstream.ports import Denied, Exchange, Transport, TransportError, Trouble
from skerry.upstream.refusals import Refusals
from skerry.upstream.sources import Source
from skerry.wire import strict_json
from skerry.wire.message import Headers

TOKENS_MAX = 4096
LIFETIME_SECONDS_MIN = 60.0
LIFETIME_SECONDS_MAX = 86_400.0
REFRESH_SECONDS = 10.0
"""A token this near its end is replaced before it is used."""
ANSWER_BYTES_MAX = 256 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}\Z")


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What a token is good for; nothing less may share one (known failures T9)."""

    realm: str
    service: str
    scope: str
    identity: str


@dataclass(frozen=True, slots=True)
class Token:
    """`expires_at` is on the monotonic clock."""

    value: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """The token service of one source: apart from the source's own health (R3)."""

    source: str
    held: int
    fetched: int
    failed: int
    breaker: str
    last_trouble: str


class Tokens:
    """The credentials of one source."""

    def __init__(
        self,
        source: Source,
        *,
        upstream: str,
        transport: Transport,
        clock: Clock,
        events: Events,
        metrics: UpstreamMetrics,
        rng: Random,
        nursery: Nursery,
    ) -> None:
        self._source = source
        self._labels = (upstream, source.name)
        self._transport = transport
        self._clock = clock
        self._events = events
        self._metrics = metrics
        self._rng = rng
        self._flights: SingleFlight[TokenKey, Token] = SingleFlight(nursery, name="token")
        self._tokens: OrderedDict[TokenKey, Token] = OrderedDict()
        self._known: OrderedDict[str, TokenKey] = OrderedDict()
        self._basic_wanted = False
        self._breaker = machine.Breaker()
        self._blocked_until = 0.0
        self._fetched = 0
        self._failed = 0
        self._last_trouble = ""
        self._refusals = Refusals(metrics.failures, events, "/".join(self._labels))

    async def ready(self, scope: str) -> str | None:
        """The `Authorization` to send at once for a scope, None when nothing is known to be wanted.

        Raises TransportError TOKEN_SERVICE, Denied.
        """
        if self._basic_wanted:
            return self._basic()
        key = self._known.get(scope)
        return None if key is None else f"Bearer {(await self._token(key)).value}"

    async def answer(self, fields: Iterable[str], scope: str, *, refused: str | None) -> str:
        """The `Authorization` that answers a 401's `WWW-Authenticate` field lines.

        `refused` is what the request carried: a token among it is not used again.
        Raises Denied, TransportError TOKEN_SERVICE.
        """
        challenge = choose(parse_challenges(fields))
        if challenge is None:
            self._refusals.answered(Trouble.PROTOCOL)
            raise self._denied("refuses us without a challenge this node understands")
        if challenge.scheme == "basic":
            return self._answer_basic(refused)
        key = self._key(challenge, scope)
        held = self._tokens.get(key)
        if held is not None and refused == f"Bearer {held.value}":
            del self._tokens[key]
        token = await self._token(key)
        # Remembered only now: a realm that was refused or failed is judged afresh next time.
        self._known[scope] = key
        self._known.move_to_end(scope)
        if len(self._known) > TOKENS_MAX:
            self._known.popitem(last=False)
        return f"Bearer {token.value}"

    def forget(self, scope: str) -> None:
        """Drops what was remembered for a scope that was refused although its token was fresh."""
        key = self._known.pop(scope, None)
        if key is not None:
            self._tokens.pop(key, None)

    def statistics(self) -> TokenStatistics:
        """A snapshot."""
        return TokenStatistics(
            source=self._source.name,
            held=len(self._tokens),
            fetched=self._fetched,
            failed=self._failed,
            breaker=self._breaker.state.value,
            last_trouble=self._last_trouble,
        )

    def _basic(self) -> str:
        pair = f"{self._source.username or ''}:{self._source.password or ''}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def _answer_basic(self, refused: str | None) -> str:
        if self._source.username is None:
            raise self._denied(
                "asks for a password and none is configured",
                next_step=f"set username and password_file of the source {self._source.name}",
            )
        if refused is not None and refused == self._basic():
            self._basic_wanted = False
            raise self._bad_credentials()
        self._basic_wanted = True
        return self._basic()

    def _key(self, challenge: Challenge, scope: str) -> TokenKey:
        return TokenKey(
            realm=challenge.get("realm"),
            service=challenge.get("service"),
            scope=challenge.get("scope") or scope,
            identity=self._source.username or "",
        )

    async def _token(self, key: TokenKey) -> Token:
        """A token with some life left; an old one serves while its renewal fails."""
        held = self._tokens.get(key)
        left = held.expires_at - self._clock.monotonic() if held is not None else 0.0
        if held is not None and left > REFRESH_SECONDS:
            self._tokens.move_to_end(key)
            return held
        try:
            return await self._flights.run(key, lambda: self._fetch(key))
        except TransportError:
            if held is not None and left > 0:
                return held
            raise

    async def _fetch(self, key: TokenKey) -> Token:
        refusal = realm_refusal(key.realm, source_url=self._source.url, realms=self._source.realms)
        if refusal is not None:
            raise self._withheld(key.realm, refusal)
        host = str(origin_of(key.realm))
        ticket = self._admit(host)
        try:
            exchange = await self._transport.send(
                "GET", self._url(key), self._headers(), self._source.token_dial
            )
            token = await self._read(exchange, ticket, host)
        except TransportError as error:
            raise self._failure(ticket, host, error) from error
        except BaseException:
            self._step(machine.Released(ticket))
            raise
        self._step(machine.Succeeded(ticket))
        self._fetched += 1
        self._metrics.token_requests.add(1, *self._labels, "ok")
        self._tokens[key] = token
        if len(self._tokens) > TOKENS_MAX:
            self._tokens.popitem(last=False)
        return token

    def _admit(self, host: str) -> int:
        now = self._clock.monotonic()
        left = max(self._blocked_until - now, machine.refused_seconds(self._breaker, now))
        if left > 0:
            raise TransportError(
                Trouble.TOKEN_SERVICE,
                f"its token service {host} is left alone for another {left:.0f} s"
                f" after: {self._last_trouble}",
            )
        for command in self._step(machine.Asked()):
            if isinstance(command, machine.Allow):
                return command.ticket
        raise TransportError(Trouble.TOKEN_SERVICE, f"its token service {host} is left alone")

    def _url(self, key: TokenKey) -> str:
        query = [("service", key.service)] if key.service else []
        query += [("scope", scope) for scope in key.scope.split()]
        if self._source.username is not None:
            query.append(("account", self._source.username))
        if not query:
            return key.realm
        joint = "&" if urlsplit(key.realm).query else "?"
        return f"{key.realm.partition('#')[0]}{joint}{urlencode(query)}"

    def _headers(self) -> Headers:
        fields = [("Accept", "application/json"), ("Accept-Encoding", "identity")]
        if self._source.username is not None:
            fields.append(("Authorization", self._basic()))
        return Headers(fields)

    async def _read(self, exchange: Exchange, ticket: int, host: str) -> Token:
        """The token of an answer. Raises Denied, TransportError (its own trouble)."""
        status = exchange.status
        if status in (401, 403):
            await exchange.close()
            self._metrics.token_requests.add(1, *self._labels, "denied")
            self._last_trouble = f"answered {status}"
            raise self._bad_credentials()
        if status != 200:
            self._heed(exchange)
            await exchange.close()
            trouble = Trouble.SERVER_ERROR if status >= 500 else Trouble.DENIED
            if status in REDIRECTS:
                self._refusals.redirect("its token service redirects, which is not followed")
                raise TransportError(
                    trouble, f"answered {status}, a redirect, which is not followed"
                )
            raise TransportError(trouble, f"answered {status}")
        dial = self._source.dial
        try:
            async with asyncio.timeout(dial.first_byte_seconds + dial.stall_seconds):
                body = await read_whole(exchange, bytes_max=ANSWER_BYTES_MAX)
        except TimeoutError as error:
            raise TransportError(Trouble.STALL, "did not finish its answer") from error
        return parse_token(body, now=self._clock.now(), monotonic=self._clock.monotonic())

    def _heed(self, exchange: Exchange) -> None:
        seconds = limits.retry_after_seconds(exchange.headers, self._clock.now())
        if exchange.status == 429 or (exchange.status == 503 and seconds is not None):
            wait = seconds if seconds is not None else limits.RATE_LIMITED_SECONDS
            self._blocked_until = self._clock.monotonic() + wait

    def _failure(self, ticket: int, host: str, error: TransportError) -> TransportError:
        self._failed += 1
        self._last_trouble = error.what
        self._refusals.dialled(error)
        self._refusals.answered(error.trouble)
        self._metrics.token_requests.add(1, *self._labels, error.trouble.value)
        if error.trouble in (Trouble.DENIED, Trouble.FORBIDDEN_ADDRESS):
            self._step(machine.Released(ticket))
        else:
            self._step(machine.Failed(ticket, error.what, self._rng.random()))
        return TransportError(
            Trouble.TOKEN_SERVICE, f"its token service {host} failed: {error.what}"
        )

    def _step(self, event: machine.Event) -> tuple[machine.Command, ...]:
        self._breaker, commands = machine.step(self._breaker, event, self._clock.monotonic())
        for command in commands:
            subject = "/".join((*self._labels, "token service"))
            if isinstance(command, machine.Opened):
                self._events.emit(
                    "breaker.opened",
                    subject,
                    cause=command.cause,
                    next_step=f"tried again in {command.cooldown_seconds:.0f} s",
                    level=Level.WARNING,
                )
            elif isinstance(command, machine.Closed):
                self._events.emit("breaker.closed", subject, cause="answers again")
        return commands

    def _withheld(self, realm: str, refusal: str) -> Denied:
        origin = origin_of(realm)
        named = str(origin) if origin is not None else "an unusable realm"
        error = self._denied(
            f"sends us for a token to {named}, which {refusal}; it was not asked",
            next_step=f"if it is to be trusted, add it to realms of the source {self._source.name}",
        )
        self._refusals.realm(error.what, error.next_step)
        return error

    def _bad_credentials(self) -> Denied:
        if self._source.username is None:
            return self._denied(
                "does not let anonymous readers have this",
                next_step=f"set username and password_file of the source {self._source.name}",
            )
        return self._denied(
            "does not accept the configured user name and password",  # clients read this: no name
            next_step=f"check username and password_file of the source {self._source.name}",
        )

    def _denied(self, what: str, *, next_step: str = "") -> Denied:
        return Denied(f"{self._source.name} ({self._source.host}) {what}", next_step=next_step)


def parse_token(body: bytes, *, now: float, monotonic: float) -> Token:
    """The token of a token service's answer.

    `now` is seconds since the epoch, for `issued_at`. Raises TransportError PROTOCOL.
    """
    try:
        document = strict_json.load_object(body, bytes_max=ANSWER_BYTES_MAX)
    except BadInput as error:
        raise TransportError(Trouble.PROTOCOL, f"answered no token: {error.what}") from error
    value = document.get("token") or document.get("access_token")
    if not isinstance(value, str) or not _TOKEN.match(value):
        raise TransportError(Trouble.PROTOCOL, "answered without a usable token")
    expires_in = document.get("expires_in")
    lifetime = LIFETIME_SECONDS_MIN
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool):
        # In this order, and a float only when it is one: neither infinities nor whole numbers that
        # no float can hold survive the comparison.
        lifetime = float(max(LIFETIME_SECONDS_MIN, min(LIFETIME_SECONDS_MAX, expires_in)))
    age = now - _issued_at(document.get("issued_at"), now)
    # A token cannot be born expired or in the future: then the clocks disagree, and ours counts.
    left = lifetime - age if 0 < age < lifetime else lifetime
    return Token(value, monotonic + left)


def _issued_at(text: object, now: float) -> float:
    if not isinstance(text, str):
        return now
    try:
        # Go writes nanoseconds, which fromisoformat cuts only since 3.11.
        moment = datetime.fromisoformat(text[:64])
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return now
