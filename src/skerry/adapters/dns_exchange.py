"""Questions to name servers: several of them, each with its ways and its faults.

Owns tries, the way from a datagram to a stream, and who is asked beside whom. Whose turn it is says
`trust.core.names.servers`. RFC 1035, RFC 7766, RFC 7858, RFC 7873, RFC 9210.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import dns.rcode

from skerry.adapters.dns_lines import Spoiled, StreamLine, Trust, by_datagram
from skerry.adapters.dns_messages import CookieJar, Verdict, cookie_of, make
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.trust.core.names.servers import Behaviour, Server, order
from skerry.trust.core.names.values import Ask, Message
from skerry.trust.ports import NoAnswer

TRIES_MAX = 3
STREAM_SECONDS = 2.0
_OLD = (dns.rcode.FORMERR, dns.rcode.NOTIMP)
"""What a server says that knows no EDNS (RFC 6891 section 7)."""
_ANSWERS = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class ExchangeStatistics:
    """Since start: questions to servers, tries that got no answer, and by stream."""

    asked: int
    unanswered: int
    by_stream: int
    spoiled: int


class NameServerExchange:
    """`trust.ports.NameServers` over sockets. `servers` is asked each time who they are."""

    def __init__(
        self,
        servers: Callable[[], Iterable[Server]],
        *,
        clock: Clock,
        nursery: Nursery,
        trust: Trust,
    ) -> None:
        self._servers = servers
        self._clock = clock
        self._nursery = nursery
        self._trust = trust
        self._cookies = CookieJar()
        self._behaviours: dict[Server, Behaviour] = {}
        self._lines: dict[Server, StreamLine] = {}
        self._asked = self._unanswered = self._by_stream = self._spoiled = 0

    def names(self) -> tuple[str, ...]:
        return tuple(each.name or each.address for each in self._known())

    def statistics(self) -> ExchangeStatistics:
        """A snapshot."""
        return ExchangeStatistics(self._asked, self._unanswered, self._by_stream, self._spoiled)

    def close(self) -> None:
        """Lets the connections go."""
        for line in self._lines.values():
            line.close()

    async def ask(self, ask: Ask, *, signatures: bool, within_seconds: float) -> Message:
        servers = order(self._known(), self._behaviours, self._clock.monotonic())
        if not servers:
            raise NoAnswer("no name server is configured, and /etc/resolv.conf names none")
        tries: dict[asyncio.Task[Message | None], Server] = {}
        refused: list[str] = []
        try:
            async with asyncio.timeout(within_seconds):
                for server in servers:
                    work = self._try(server, ask, signatures, within_seconds)
                    tries[self._nursery.start(work, name="dns question")] = server
                    last = server is servers[-1]
                    hedge = None if last else self._behaviours[server].hedge_seconds
                    if (reply := await _first(tries, hedge, refused)) is not None:
                        self._were_slow(tries)
                        return reply
        except TimeoutError:
            self._were_slow(tries)
        finally:
            for task in tries:
                task.cancel()
        if refused:
            raise NoAnswer(f"every DNS server failed ({refused[0]})", failed=True)
        raise NoAnswer(f"no DNS answer within {within_seconds:.1f} s")

    def _known(self) -> tuple[Server, ...]:
        servers = tuple(self._servers())
        for each in servers:
            self._behaviours.setdefault(each, Behaviour())
        return servers

    async def _try(
        self, server: Server, ask: Ask, signatures: bool, within_seconds: float
    ) -> Message | None:
        """One server's answer; None when it has none."""
        self._asked += 1
        begun = self._clock.monotonic()
        try:
            reply = await self._answer(server, ask, signatures)
        except (OSError, TimeoutError, ssl.SSLError):
            self._unanswered += 1
            self._note(server, self._behaviours[server].failed(self._clock.monotonic()))
            return None
        self._note(server, self._behaviours[server].answered(self._clock.monotonic() - begun))
        return reply

    def _note(self, server: Server, behaviour: Behaviour) -> None:
        self._behaviours[server] = behaviour

    def _were_slow(self, tries: dict[asyncio.Task[Message | None], Server]) -> None:
        """Those that have not answered while another one has, or in all the time."""
        for task, server in tries.items():
            if not task.done():
                self._note(server, self._behaviours[server].failed(self._clock.monotonic()))

    async def _answer(self, server: Server, ask: Ask, signatures: bool) -> Message:
        """Raises OSError, TimeoutError."""
        if server.tls:
            return await self._stream(server, ask, signatures)
        seconds, plain = self._behaviours[server].try_seconds, False
        for number in range(TRIES_MAX):
            cookie = self._cookies.of(str(server))
            sent = make(ask, signatures=signatures, cookie=cookie, plain=plain)
            try:
                verdict, reply = await by_datagram(server, sent, seconds * 2**number)
            except TimeoutError:
                continue
            except Spoiled:
                self._spoiled += 1
                break
            if (shown := cookie_of(reply)) is not None and shown[1]:
                self._cookies.keep(str(server), shown[1])
            if verdict is Verdict.OURS and (signatures or plain or reply.rcode() not in _OLD):
                return reply
            plain = verdict is Verdict.OURS
            if verdict is Verdict.TRUNCATED or number:
                break
        else:
            self._cookies.forget(str(server))
            raise TimeoutError
        return await self._stream(server, ask, signatures)

    async def _stream(self, server: Server, ask: Ask, signatures: bool) -> Message:
        self._by_stream += 1
        line = self._lines.get(server)
        if line is None:
            line = StreamLine(server, nursery=self._nursery, trust=self._trust)
            self._lines[server] = line
        sent = make(ask, signatures=signatures, cookie=None)
        return await line.ask(sent, STREAM_SECONDS)


async def _first(
    tries: dict[asyncio.Task[Message | None], Server], seconds: float | None, refused: list[str]
) -> Message | None:
    """The first usable answer of those that were asked; None when the next one is to be asked."""
    pending = {task for task in tries if not task.done()}
    loop = asyncio.get_running_loop()
    until = None if seconds is None else loop.time() + seconds
    while pending:
        left = None if until is None else max(0.0, until - loop.time())
        done, pending = await asyncio.wait(
            pending, timeout=left, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            return None
        for task in done:
            reply = task.result()
            if reply is None:
                continue
            if reply.rcode() in _ANSWERS:
                return reply
            refused.append(f"{tries[task]}: {dns.rcode.to_text(reply.rcode())}")
        if until is not None and any(task in done for task in tries):
            return None  # it has failed: the next one's turn has come
    return None
