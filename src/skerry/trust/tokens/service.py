"""The tokens of one node: made, believed, refreshed, revoked, and their keys changed.

Owns the keys in memory and what follows from a proved identity. Never asks for a password and
never holds a token longer than it takes to remember that its signature was good. Everything that
expires is judged by a clock that does not go back (`base.high_water`).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from skerry.base.clock import Clock
from skerry.telemetry.events import Events, Level
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.tokens.core.claims import (
    LEEWAY_SECONDS,
    Claims,
    Flaw,
    TokenRefused,
    judge,
)
from skerry.trust.tokens.core.refresh import Family, Outcome, used
from skerry.trust.tokens.core.ring import Ring, believed, completed, due, rotated, signing
from skerry.trust.tokens.core.ring import without_gone as still_there
from skerry.trust.tokens.core.rules import Identity, Role
from skerry.trust.tokens.core.scopes import Scope, access_claim
from skerry.trust.tokens.ports import KeyFile, KeyStore, TokenBook
from skerry.trust.tokens.signing import Key, jwks, read_token

SEEN_MAX = 4096
WATCH_SECONDS = 60.0
REFRESH_CHARS_MAX = 256


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """How long things last, in seconds, and what keys are made."""

    token_seconds: float = 300.0
    refresh_seconds: float = 30 * 86400.0
    rotate_seconds: float = 30 * 86400.0
    leeway_seconds: float = LEEWAY_SECONDS
    algorithm: str = "EdDSA"


@dataclass(frozen=True, slots=True)
class Issued:
    """A token as it is handed out. `issued_at` in seconds since the epoch."""

    text: str
    issued_at: float
    expires_in_seconds: int
    refresh: str = ""

    def __repr__(self) -> str:
        return "Issued(...)"


@dataclass(frozen=True, slots=True)
class TokensStatistics:
    """A snapshot; counts are since start."""

    issued_count: int
    believed_count: int
    refused_count: int
    key_count: int
    signing_since: float


class Tokens:
    """Makes and reads tokens. `open` comes first."""

    def __init__(
        self,
        *,
        node: str,
        store: KeyStore,
        book: TokenBook,
        policy: TokenPolicy,
        clock: Clock,
        now: Callable[[], float],
        failures: ValidationFailures,
        events: Events,
    ) -> None:
        """`now` is the high-water clock's."""
        self._node = node
        self._store = store
        self.book = book
        self.policy = policy
        self._clock = clock
        self.now = now
        self._failures = failures
        self._events = events
        self._file = KeyFile("", b"")
        self._keys: dict[str, Key] = {}
        self._seen: OrderedDict[bytes, Claims] = OrderedDict()
        self._changing = asyncio.Lock()
        self._issued = self._believed = self._refused = 0

    async def open(self) -> None:
        """Reads the keys, makes what is missing. Raises KeysUnusable."""
        found = await asyncio.to_thread(self._store.read)
        if found is None:
            found = KeyFile(secrets.token_hex(8), secrets.token_bytes(32))
        self._file = found
        self._keys = {name: Key.load(pem) for name, pem in found.private}
        async with self._changing:
            await self._change_if_due()

    async def run(self) -> None:
        """For ever: changes the keys when it is time, and forgets what has ended."""
        while True:
            await self._clock.sleep(WATCH_SECONDS)
            await self.keep_up()
            await self.book.sweep(self.now() - self.policy.leeway_seconds)

    async def keep_up(self) -> None:
        """Changes the keys if it is time. Raises KeysUnusable."""
        async with self._changing:
            await self._change_if_due()

    @property
    def service(self) -> str:
        """What this node is called in tokens for its registry: no other node's name."""
        return f"{self._node}-{self._file.node}"

    @property
    def admin_service(self) -> str:
        """What its admin door is called: a registry's token opens nothing there."""
        return f"{self.service}/admin"

    @property
    def issuer(self) -> str:
        """Who makes these tokens."""
        return f"urn:skerry:{self.service}"

    def jwks(self) -> bytes:
        """The public keys that tokens may be signed with, now and next."""
        return jwks({key.name: self._keys[key.name] for key in self._ring(self.now())})

    @property
    def ring(self) -> Ring:
        """The keys, without their private halves."""
        return self._ring(self.now())

    # tokens

    def issue(
        self,
        identity: Identity | None,
        granted: Sequence[Scope] = (),
        *,
        audience: str = "",
        role: Role | None = None,
    ) -> Issued:
        """A token that says so; of nobody in particular for None."""
        now = self.now()
        key = signing(self._file.ring)
        assert key is not None  # noqa: S101 - `open` has made one
        seconds = int(self.policy.token_seconds)
        payload: dict[str, object] = {
            "iss": self.issuer,
            "sub": identity.name if identity else "",
            "aud": audience or self.service,
            "iat": round(now, 3),
            "nbf": int(now),
            "exp": int(now) + seconds,
            "jti": secrets.token_urlsafe(16),
            "access": access_claim(granted),
        }
        if identity is not None and identity.groups:
            payload["groups"] = list(identity.groups)
        if role is not None:
            payload["role"] = role.value
        self._issued += 1
        return Issued(self._keys[key.name].sign(payload), now, seconds)

    def verify(self, token: str, *, audience: str = "") -> Claims:
        """What a token says. Raises TokenRefused; what is refused is counted by its cause."""
        try:
            claims = self._verified(token, audience or self.service)
        except TokenRefused as error:
            self._refused += 1
            expired = error.flaw is Flaw.EXPIRED
            self._failures.failed(Cause.TOKEN_EXPIRED if expired else Cause.TOKEN_INVALID)
            raise
        self._believed += 1
        return claims

    def holder(self, token: str) -> str:
        """Whose token it is, "" for nobody's or one that is not believed; counts nothing."""
        try:
            return self._verified(token, self.service).subject
        except TokenRefused:
            return ""

    def _verified(self, token: str, audience: str) -> Claims:
        mark = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        claims = self._seen.get(mark)
        if claims is None:
            claims = read_token(token, self._keys)
        now = self.now()
        if believed(self._file.ring, claims.key_id, now) is None:
            raise TokenRefused(Flaw.KEY)
        flaw = judge(
            claims,
            issuer=self.issuer,
            audience=audience,
            now=now,
            leeway_seconds=self.policy.leeway_seconds,
        )
        if flaw is not None:
            raise TokenRefused(flaw)
        if self.book.is_revoked(claims):
            raise TokenRefused(Flaw.REVOKED)
        # Only its signature is remembered: all else is judged again each time.
        self._seen[mark] = claims
        while len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return claims

    # refresh tokens

    async def begin_family(self, identity: Identity, *, rotates: bool) -> str:
        """The first refresh token of a login."""
        now = self.now()
        family = Family(
            name=secrets.token_urlsafe(16),
            subject=identity.name,
            kind=identity.kind.value,
            groups=identity.groups,
            service=self.service,
            generation=0,
            rotates=rotates,
            issued_at=now,
            expires_at=now + self.policy.refresh_seconds,
        )
        await self.book.put_family(family)
        return self._refresh_text(family.name, 0)

    async def use_refresh(self, text: str) -> tuple[Family, str]:
        """The family of a refresh token and the token to use next. Raises TokenRefused."""
        name, generation = self._read_refresh(text)
        now = self.now()
        outcome, family = await self.book.use_family(
            name, lambda found: used(found, generation, service=self.service, now=now)
        )
        if outcome is not Outcome.GOOD or family is None:
            self._refused += 1
            self._failures.failed(_CAUSES[outcome])
            if outcome is Outcome.REPLAYED and family is not None:
                self._tell_replay(family)
            raise TokenRefused(_FLAWS[outcome])
        return family, self._refresh_text(family.name, family.generation)

    def _tell_replay(self, family: Family) -> None:
        self._events.emit(
            "token.replayed",
            family.subject,
            cause="a refresh token was used a second time: it was copied, or its client lost the"
            " answer to the first; that login has ended",
            next_step="log in again; if nobody knows why, change the password",
            level=Level.WARNING,
        )

    def _refresh_text(self, family: str, generation: int) -> str:
        return f"{family}.{generation}.{self._mac(family, generation)}"

    def _mac(self, family: str, generation: int) -> str:
        # Every generation can be told from a made-up one, so that only a real replay ends a family.
        text = f"refresh {len(family)} {family} {generation}".encode()
        made = hmac.digest(self._file.refresh_key, text, hashlib.sha256)
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()

    def _read_refresh(self, text: str) -> tuple[str, int]:
        family, _, rest = text.partition(".")
        number, _, mac = rest.partition(".")
        good = len(text) <= REFRESH_CHARS_MAX and number.isascii() and number.isdigit()
        if not good or not hmac.compare_digest(
            mac.encode("utf-8", "replace"), self._mac(family, int(number)).encode()
        ):
            self._refused += 1
            self._failures.failed(Cause.TOKEN_INVALID)
            raise TokenRefused(Flaw.SIGNATURE)
        return family, int(number)

    # keys

    async def rotate(self, *, compromised: bool = False) -> None:
        """Changes the keys now. Tokens go on being believed until they end, unless the keys are
        `compromised`: then none made before is, and no refresh token either."""
        async with self._changing:
            now = self.now()
            file = self._file
            if compromised:
                file = replace(file, ring=(), refresh_key=secrets.token_bytes(32))
            await self._keep(self._complete(replace(file, ring=self._rotated(file.ring, now)), now))

    async def _change_if_due(self) -> None:
        now, policy, file = self.now(), self.policy, self._file
        for _ in range(2):  # another algorithm takes two steps: the next key is of the old one
            file = self._complete(file, now)
            wanted = due(
                file.ring,
                now=now,
                period_seconds=policy.rotate_seconds,
                algorithm=policy.algorithm,
            )
            if wanted:
                file = replace(file, ring=self._rotated(file.ring, now))
        file = self._complete(replace(file, ring=still_there(file.ring, now)), now)
        if file != self._file or not file.private:
            await self._keep(file)

    def _rotated(self, ring: Ring, now: float) -> Ring:
        seconds = self.policy.token_seconds + 2 * self.policy.leeway_seconds
        return rotated(ring, now=now, token_seconds=seconds)

    def _complete(self, file: KeyFile, now: float) -> KeyFile:
        made: dict[str, bytes] = {}

        def make() -> tuple[str, str]:
            key = Key.make(self.policy.algorithm)
            made[key.name] = key.pem
            return key.name, key.algorithm

        ring = completed(file.ring, make, now)
        private = {**dict(file.private), **made}
        kept = tuple((key.name, private[key.name]) for key in ring)
        return replace(file, ring=ring, private=kept)

    async def _keep(self, file: KeyFile) -> None:
        """Durable first: a token signed with a key that is lost would be believed by nobody."""
        await asyncio.to_thread(self._store.write, file)
        known = self._keys
        self._keys = {name: known.get(name) or Key.load(pem) for name, pem in file.private}
        self._file = file

    def _ring(self, now: float) -> Ring:
        return still_there(self._file.ring, now)

    def statistics(self) -> TokensStatistics:
        """A snapshot."""
        key = signing(self._file.ring)
        return TokensStatistics(
            issued_count=self._issued,
            believed_count=self._believed,
            refused_count=self._refused,
            key_count=len(self._file.ring),
            signing_since=key.since if key else 0.0,
        )


_CAUSES = {
    Outcome.UNKNOWN: Cause.TOKEN_INVALID,
    Outcome.REVOKED: Cause.TOKEN_INVALID,
    Outcome.EXPIRED: Cause.TOKEN_EXPIRED,
    Outcome.REPLAYED: Cause.TOKEN_REPLAYED,
}
_FLAWS = {
    Outcome.UNKNOWN: Flaw.MALFORMED,
    Outcome.REVOKED: Flaw.REVOKED,
    Outcome.EXPIRED: Flaw.EXPIRED,
    Outcome.REPLAYED: Flaw.REVOKED,
}
