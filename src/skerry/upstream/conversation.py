"""One request at one source: redirects followed, challenge answered, head judged.

Owns the order of these. Credentials are `tokens`', the rules `core.redirect` and `core.guard`.
"""

from __future__ import annotations

from skerry.base.clock import Clock
from skerry.upstream.core.judge import Judgement, Meaning, judge
from skerry.upstream.core.redirect import CREDENTIALS, Hop, follow
from skerry.upstream.gate import Gate, Lease
from skerry.upstream.metered import Metered
from skerry.upstream.ports import (
    Absent,
    Denied,
    Exchange,
    Fetch,
    Transport,
    TransportError,
    Trouble,
)
from skerry.upstream.sources import Source, SourceKind
from skerry.upstream.tokens import Tokens
from skerry.wire.message import Headers


class Conversation:
    """Asks one source."""

    def __init__(
        self,
        source: Source,
        *,
        gate: Gate,
        tokens: Tokens,
        transport: Transport,
        clock: Clock,
        node_id: str,
    ) -> None:
        self.source = source
        self.gate = gate
        self.tokens = tokens
        self._transport = transport
        self._clock = clock
        self._dial = source.content_dial
        self._loop_mark = f"skerry;id={node_id}"
        own = [("Accept-Encoding", "identity")]
        if source.kind is SourceKind.SIBLING:
            # A sibling answers from what it has or not at all: no loop, no chain of waits.
            own.append(("Cache-Control", "only-if-cached"))
        self._own_headers = tuple(own)

    @property
    def patience_seconds(self) -> float:
        """How long a small request waits for a connection or the budget."""
        return self.source.dial.connect_seconds + self.source.dial.first_byte_seconds

    async def open(self, fetch: Fetch, *, patience_seconds: float) -> Metered:
        """A usable answer's head. Raises TransportError, Absent, Denied."""
        lease = await self.gate.admit(patience_seconds=patience_seconds)
        try:
            asked_at = self._clock.monotonic()
            exchange = await self._converse(fetch)
            await self._judge(exchange, lease)
        except TransportError as error:
            lease.failed(error.trouble, error.what)
            lease.close()
            raise
        except Denied:
            lease.failed(Trouble.DENIED, "denied")
            lease.close()
            raise
        except BaseException:
            lease.close()
            raise
        self.gate.metrics.first_byte.observe(self._clock.monotonic() - asked_at, *self.gate.labels)
        return Metered(exchange, gate=self.gate, lease=lease, clock=self._clock)

    async def _judge(self, exchange: Exchange, lease: Lease) -> None:
        judged = self._read(exchange)
        if judged.meaning is Meaning.ANSWER:
            return
        await exchange.close()
        if judged.meaning is Meaning.ABSENT:
            lease.succeeded("absent")
            raise Absent(f"{self.source.name} ({self.source.host}) {judged.what}")
        if judged.meaning in (Meaning.DENIED, Meaning.CHALLENGE):
            raise Denied(
                f"{self.source.name} ({self.source.host}) {judged.what}",
                next_step=f"check the credentials of the source {self.source.name}",
            )
        trouble = judged.trouble or Trouble.PROTOCOL
        self.gate.refusals.answered(trouble)
        raise TransportError(trouble, judged.what)

    def _read(self, exchange: Exchange) -> Judgement:
        sibling = self.source.kind is SourceKind.SIBLING
        return judge(exchange.status, exchange.headers, only_if_cached=sibling)

    async def _converse(self, fetch: Fetch) -> Exchange:
        """The last answer after redirects and at most one challenge (T26: no 401 loop)."""
        url, own = self.source.locate(fetch)
        # RFC 8586: every node on the way adds itself, none takes another's mark away.
        marks = ", ".join(filter(None, (own.headers.joined("cdn-loop"), self._loop_mark)))
        headers = own.headers.without(*CREDENTIALS).with_fields(
            ("CDN-Loop", marks), *self._own_headers
        )
        authorization = await self.tokens.ready(own.scope)
        exchange, crossed = await self._follow(own.method, url, headers, authorization)
        if exchange.status != 401 or crossed:
            return exchange
        fields = exchange.headers.all("www-authenticate")
        await exchange.close()
        if not fields:
            raise Denied(f"{self.source.name} ({self.source.host}) answered 401 without challenge")
        authorization = await self.tokens.answer(fields, own.scope, refused=authorization)
        self.gate.sent_again()
        exchange, crossed = await self._follow(own.method, url, headers, authorization)
        if exchange.status == 401 and not crossed:
            self.tokens.forget(own.scope)
        return exchange

    async def _follow(
        self, method: str, url: str, headers: Headers, authorization: str | None
    ) -> tuple[Exchange, bool]:
        """The first answer that is no redirect, and whether it came from another origin."""
        if authorization is not None:
            headers = headers.with_fields(("Authorization", authorization))
        crossed = False
        hops = 0
        while True:
            try:
                exchange = await self._transport.send(method, url, headers, self._dial)
            except TransportError as error:
                self.gate.refusals.dialled(error)
                self.gate.refusals.answered(error.trouble)
                raise
            self.gate.heard(exchange.status, exchange.headers)
            if self._read(exchange).meaning is not Meaning.REDIRECT:
                return exchange, crossed
            location = exchange.headers.get("location") or ""
            await exchange.close()
            hop = follow(url, location, headers, private_hosts=self._dial.private_hosts, hops=hops)
            if not isinstance(hop, Hop):
                self.gate.refusals.redirect(hop.what)
                raise TransportError(hop.trouble, hop.what)
            url, headers, crossed = hop.url, hop.headers, crossed or hop.crossed
            hops += 1
