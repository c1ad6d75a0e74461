"""The edge's door: one request in, one answer out.

Owns the order of things: threshold, what is stored, decision, origin, answer. Every judgement is a
core's; every wait is bounded by the origin's own limits, and a stored answer waits for none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.cdn.admission import Admitted, Refused, admit
from skerry.cdn.answers import Answers, telling_key
from skerry.cdn.case import NOT_HERE, Case, ask_of, fetchable, for_slices, held_of
from skerry.cdn.core import reuse
from skerry.cdn.core.freshness import judge
from skerry.cdn.core.hops import wanted_protocols
from skerry.cdn.core.route import Route, RouteTable, Site, build
from skerry.cdn.core.status import CacheStatus, Fwd, ProxyError, ProxyStatus
from skerry.cdn.entries import Entries, Held
from skerry.cdn.failing import Told, told
from skerry.cdn.fetches import Ask, Confirmed, Erred, Fetches, Kept, may_share
from skerry.cdn.measures import EdgeMeters, Served
from skerry.cdn.passing import broke_its_promise, part_of_storable, passed
from skerry.cdn.ports import DataClass, Origin, ReadyAnswers
from skerry.cdn.ranged import Ranged, is_far
from skerry.cdn.rationing import Rationing
from skerry.cdn.repeatable import Repeatable
from skerry.cdn.steward import Steward
from skerry.cdn.through import Through
from skerry.cdn.tunnels import Tunnels
from skerry.store.ports import DigestMismatch
from skerry.telemetry import accounts
from skerry.upstream.ports import Unavailable
from skerry.wire.message import Answer, Request, Sent

JOINS_MAX = 2
"""How often a request waits for another one's answer before it asks alone."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the door hands requests to."""

    answers: Answers
    entries: Entries
    fetches: Fetches
    ranged: Ranged
    rationing: Rationing
    repeatable: Repeatable
    through: Through
    tunnels: Tunnels


_Outcome = tuple[Answer, Served]


class Edge:
    """Handler of the edge's door."""

    def __init__(
        self,
        *,
        rooms: Rooms,
        origins: Mapping[str, Origin],
        sites: Sequence[Site],
        meters: EdgeMeters,
        loop_id: str,
        clock: Clock,
        ready: ReadyAnswers,
        steward: Steward,
    ) -> None:
        self._rooms = rooms
        self._origins = origins
        self._table = build(sites)
        self.meters = meters
        self._loop_id = loop_id
        self._clock = clock
        self._ready = ready
        self._steward = steward

    @property
    def table(self) -> RouteTable:
        """The sites and routes that hold now."""
        return self._table

    def use(self, sites: Sequence[Site]) -> None:
        """Takes another table of sites, from the next request on. Raises BadInput."""
        self._table = build(sites)
        self._ready.forget_all()

    def admitted(self, request: Request) -> Admitted | Refused:
        """What the threshold says to a request."""
        return admit(request, self._table, loop_id=self._loop_id)

    async def ask(self, admitted: Admitted) -> Answer:
        """The node's own request, answered as a client's and counted as nobody's."""
        return (await self._answer(admitted))[0]

    async def __call__(self, request: Request) -> Answer:
        began, account = self._clock.monotonic(), accounts.current()
        admitted = self.admitted(request)
        if isinstance(admitted, Refused):
            self.meters.refused(admitted.reason)
            proxy = ProxyStatus(admitted.proxy) if admitted.proxy else None
            answer = self._rooms.answers.own(
                admitted.status, admitted.sentence, *admitted.fields, proxy=proxy
            )
            outcome, data_class = Served.REFUSED, DataClass.SENSITIVE
        else:
            data_class = admitted.route.policy.data_class
            account.tell(data_class, admitted.subject)
            answer, outcome = await self._answer(admitted)
            answer = telling_key(answer, admitted)
        account.end("page", outcome)
        seconds = self._clock.monotonic() - began
        self.meters.answered(data_class, outcome, 0, seconds, trace_id=account.trace_id)
        route = admitted.route if isinstance(admitted, Admitted) else None
        self._steward.tally(route, outcome, 1, 0)
        return replace(answer, sent=self._sent(route, data_class, outcome))

    def _sent(self, route: Route | None, data_class: DataClass, outcome: Served) -> Sent:
        """What the bytes of an answer are told to as they leave: a visitor that goes away in the
        middle of a film has had half of it."""

        def sent(body_bytes: int) -> None:
            self.meters.sent(data_class, outcome, body_bytes)
            self._steward.tally(route, outcome, 0, body_bytes)

        return sent

    async def _answer(self, admitted: Admitted) -> _Outcome:
        request, key, policy = admitted.request, admitted.key, self._steward.policy(admitted.route)
        origin = self._steward.origin(admitted.route, self._origins[admitted.route.origin])
        protocols = wanted_protocols(request.headers, admitted.route.upgrades)
        if protocols and request.method == "GET":
            return await self._switch(admitted, origin, protocols)
        if key is None or request.method not in ("GET", "HEAD"):
            return await self._pass(admitted, origin, Fwd.METHOD if key else Fwd.BYPASS)
        found = self._rooms.entries.find(key)
        origin = self._rooms.rationing.of(admitted, origin, found)
        case = Case(request, key, policy, origin, found)
        for joins in range(JOINS_MAX + 1):
            answered = await self._decide(admitted, case, joins)
            if answered is not None:
                return answered
            case = replace(case, found=self._rooms.entries.find(key))
        return await self._pass(admitted, origin, Fwd.MISS)

    async def _decide(self, admitted: Admitted, case: Case, joins: int) -> _Outcome | None:
        """One round; None to begin anew with what is stored by now."""
        at, now = self._clock.monotonic(), self._clock.now()
        decision = reuse.decide(case.stored, case.request, now, case.policy)
        validate: reuse.Validate | None = None
        match decision:
            case reuse.Serve():
                if is_far(case.request, held_of(case, decision.stored)):
                    return await self._pass(admitted, case.origin, Fwd.PARTIAL, case)
                status = CacheStatus(ttl_seconds=decision.ttl_seconds, detail=decision.detail)
                hit = await self._stored(case, decision, status, Served.HIT)
                if hit is None:
                    return None
                leave = self._rooms.repeatable.with_leave
                tally = partial(self._steward.tally, admitted.route, Served.HIT)
                answer = leave(case.request, case.found, decision, hit[0], at=at, tally=tally)
                return answer, Served.HIT
            case reuse.ServeStale():
                if decision.behind is not None:
                    self._rooms.fetches.refresh(ask_of(case, decision.behind))
                status = CacheStatus(ttl_seconds=decision.ttl_seconds, detail=decision.detail)
                return await self._stored(case, decision, status, Served.STALE)
            case reuse.OnlyIfCachedMiss():
                return self._not_here(), Served.FAILED
            case reuse.Validate():
                validate, why = decision, decision.why
            case reuse.Forward():
                why = decision.why
        if (size := admitted.route.slice_bytes) is not None and for_slices(case, why):
            try:
                ask = ask_of(case, None)
                if (sliced := await self._rooms.ranged.answer(ask, size, why)) is not None:
                    self._rooms.entries.used(case.key)
                    return sliced
            except Unavailable as error:
                return await self._failed(case, why, error)
        if not fetchable(case, why):
            return await self._pass(admitted, case.origin, why, case)
        sharable = joins < JOINS_MAX and may_share(case.request)
        # Tiers are asked once: a copy that did not do is no reason to ask again.
        near = joins == 0 and why in NOT_HERE
        ask = ask_of(case, validate, shared=sharable, near=near)
        return await self._fetch(case, ask, why)

    async def _stored(
        self,
        case: Case,
        serve: reuse.Serve | reuse.ServeStale,
        status: CacheStatus,
        outcome: Served,
    ) -> _Outcome | None:
        """An answer from what is stored; None when its body went a moment ago."""
        held = held_of(case, serve.stored)
        try:
            answer = self._rooms.answers.stored(
                case.request,
                await self._rooms.entries.opened(held),
                status,
                age_seconds=serve.age_seconds,
            )
        except SkerryError:
            await self._rooms.entries.remove((held,))
            return None
        self._rooms.entries.used(case.key)
        return answer, outcome

    async def _fetch(self, case: Case, ask: Ask, why: Fwd) -> _Outcome | None:
        try:
            landed, joined = await self._rooms.fetches.fetch(ask)
        except Unavailable as error:
            return await self._failed(case, why, error)
        collapsed = True if joined else None
        if isinstance(landed, Erred):
            return await self._failed(case, why, landed.status)
        if isinstance(landed, Confirmed):
            now = self._clock.now()
            if joined and not self._serves(case, landed.held):
                return None
            view = judge(landed.held.stored, now, case.policy)
            status = CacheStatus(
                fwd=why, fwd_status=304, ttl_seconds=view.ttl_seconds, collapsed=collapsed
            )
            serve = reuse.Serve(landed.held.stored, view.age_seconds, view.ttl_seconds)
            confirmed = replace(case, found=(landed.held,))
            return await self._stored(confirmed, serve, status, Served.REVALIDATED)
        if isinstance(landed, Kept):
            if (joined or landed.tier) and not self._serves(case, landed.held):
                return None
            return await self._kept(case, landed, why, joined=joined)
        exchange = None if joined else landed.claim()
        if exchange is None:
            return None
        detail = landed.refused.value if landed.refused else ""
        answer = await passed(case.request, exchange)
        status = CacheStatus(fwd=why, fwd_status=exchange.status, detail=detail)
        return self._signed(answer, status), Served.PASS

    async def _kept(self, case: Case, landed: Kept, why: Fwd, *, joined: bool) -> _Outcome | None:
        now = self._clock.now()
        view = judge(landed.held.stored, now, case.policy)
        try:
            held = await self._rooms.entries.opened(landed.held)
            status = CacheStatus(
                fwd=why,
                fwd_status=landed.status,
                ttl_seconds=view.ttl_seconds,
                stored=held.is_kept,
                collapsed=True if joined else None,
                detail=landed.tier,
            )
            answer = self._rooms.answers.stored(
                case.request, held, status, received=None if joined else landed.received
            )
        except (Unavailable, DigestMismatch) as error:
            if landed.tier:
                return None  # a tier that broke is none: the origin is next
            if not isinstance(error, Unavailable):
                error = broke_its_promise(case.origin.name)
            return await self._failed(case, why, error)
        except SkerryError:
            return None
        if landed.tier:
            self._rooms.entries.used(case.key)
        came = Served.NEARER if landed.tier else Served.MISS
        return answer, Served.COLLAPSED if joined else came

    def _serves(self, case: Case, held: Held) -> bool:
        """Whether another one's answer answers this request too, by the same rules as any."""
        now_held = self._rooms.entries.judged(held)
        if now_held is None:
            return False
        now = self._clock.now()
        decision = reuse.decide((now_held.stored,), case.request, now, case.policy)
        return isinstance(decision, reuse.Serve)

    async def _failed(self, case: Case, why: Fwd, failure: Unavailable | int) -> _Outcome:
        """What stands in when the origin fails, or our own error."""
        code = failure if isinstance(failure, int) else None
        found = self._rooms.entries.find(case.key)
        case = replace(case, found=found)
        now = self._clock.now()
        after = reuse.after_failure(case.stored, case.request, now, case.policy, status=code)
        if isinstance(after, reuse.Serve | reuse.ServeStale):
            status = CacheStatus(
                fwd=why, fwd_status=code, ttl_seconds=after.ttl_seconds, detail=after.detail
            )
            answered = await self._stored(case, after, status, Served.STALE)
            if answered is not None:
                return answered
        error = told(failure, unconfirmed=isinstance(after, reuse.MustRevalidate))
        return self._own(error, CacheStatus(fwd=why, fwd_status=code)), Served.FAILED

    async def _pass(
        self, admitted: Admitted, origin: Origin, why: Fwd, case: Case | None = None
    ) -> _Outcome:
        """For this client alone, as it asks; what it changes is told to what is stored."""
        found = case.found if case is not None else ()
        try:
            answer, exchange = await self._rooms.through.forward(
                admitted, origin, found, self._table
            )
        except Unavailable as error:
            if case is not None:
                return await self._failed(case, why, error)
            return self._unreachable(error, why), Served.FAILED
        reading = admitted.request.method in ("GET", "HEAD")
        if (
            admitted.request.method == "HEAD"
            and case is not None
            and exchange.status in reuse.ERRORS
        ):
            after = reuse.after_failure(
                case.stored, case.request, self._clock.now(), case.policy, status=exchange.status
            )
            if not isinstance(after, reuse.PassError):
                return await self._failed(case, why, exchange.status)
        if case is not None and part_of_storable(case.request, case.policy, exchange):
            # This client has its range; the whole is fetched behind it, for the next ones.
            self._rooms.fetches.refresh(ask_of(case, None))
        status = CacheStatus(fwd=why, fwd_status=exchange.status)
        return self._signed(answer, status), Served.PASS if reading else Served.WRITTEN

    async def _switch(self, admitted: Admitted, origin: Origin, protocols: str) -> _Outcome:
        """Another protocol than HTTP, or what the origin says instead; never stored."""
        try:
            answer = await self._rooms.tunnels.open(admitted, origin, protocols)
        except Unavailable as error:
            return self._unreachable(error, Fwd.BYPASS), Served.FAILED
        status = CacheStatus(fwd=Fwd.BYPASS, fwd_status=answer.status)
        return self._signed(answer, status), Served.PASS

    def _unreachable(self, failure: Unavailable, why: Fwd) -> Answer:
        return self._own(told(failure), CacheStatus(fwd=why))

    def _own(self, error: Told, status: CacheStatus) -> Answer:
        own = self._rooms.answers.own
        return own(error.code, error.sentence, *error.fields, status=status, proxy=error.proxy)

    def _signed(self, answer: Answer, status: CacheStatus) -> Answer:
        signed = self._rooms.answers.signed(answer.headers, status)
        return replace(answer, headers=signed)

    def _not_here(self) -> Answer:
        proxy = ProxyStatus(ProxyError.PROXY_INTERNAL_RESPONSE)
        sentence = "This is not stored here, and the request wants nothing else."
        return self._rooms.answers.own(504, sentence, proxy=proxy)
