"""An edge desk over twins: what it is asked is remembered, its receipts are real."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from skerry.app.edge.desk import EdgeDesk
from skerry.app.prewarm_desk import PrewarmDesk
from skerry.app.trust.node_key import NodeKey
from skerry.cdn.core.prewarm import Caps, Found, PrewarmEvent, Step, Verdict, Wish, plan
from skerry.cdn.core.purge import Mode, Target
from skerry.cdn.core.purge_log import Record
from skerry.cdn.core.receipt import Receipt, issue
from skerry.cdn.core.route import Route, Site, build
from skerry.cdn.ports import RoutePolicy
from skerry.cdn.purges import Ordered
from skerry.upstream.gate import SourceStatistics

HOST = "www.example.org"
SITES = (
    Site(
        HOST,
        (HOST,),
        (
            Route("/", HOST),
            Route("/media/", HOST, RoutePolicy(query_allow=("v",))),
            Route("/form", HOST, methods=frozenset({"POST"})),
        ),
    ),
)
DEAD = SourceStatistics(
    name="10.0.0.9",
    kind="origin",
    breaker="open",
    blocked_seconds=5.0,
    last_success_at=None,
    last_failure_at=1_700_000_000.0,
    last_trouble="refused",
    troubles=(("refused", 5),),
    requests_left=None,
    remaining=None,
    in_flight=0,
)


class RememberingPurges:
    """Purges that do nothing but issue a receipt for seven objects, and the book of them.

    Promises: the chain is a real one, signed by the key; nothing is stored or found.
    """

    def __init__(self, key: NodeKey) -> None:
        self._key = key
        self.kept: list[Receipt] = []
        self.node = "rock"

    async def purge(self, target: Target, mode: Mode) -> Ordered:
        receipt = issue(
            self.kept[-1] if self.kept else None,
            node=self.node,
            target=target,
            mode=mode,
            object_count=7,
            at_milliseconds=1_700_000_000_000,
            sign=self._key.sign,
        )
        await self.keep([receipt])
        return Ordered(receipt.sequence, receipt)

    def base(self) -> tuple[int, dict[str, int]]:
        return 0, {}

    def records(self) -> list[Record]:
        return []

    async def note(self, records: Sequence[Record]) -> None: ...

    async def fold(self, position: int, vector: Mapping[str, int]) -> None: ...

    def last_receipt(self) -> Receipt | None:
        return self.kept[-1] if self.kept else None

    async def keep(self, receipts: Sequence[Receipt]) -> None:
        self.kept += receipts

    def receipts(self, after: int = 0) -> list[bytes]:
        return [receipt.line for receipt in self.kept[after : after + 2]]


class RememberingPrewarm:
    """Plans that find a gigabyte missing of every wish, and runs that bring it; nothing is asked.

    Promises: the plan is that of the core; an object named `broken` fails.
    """

    async def wishes(self, manifest: str) -> tuple[Wish, ...]:
        return (Wish(f"{manifest}/part"),)

    async def run(
        self, wishes: Sequence[Wish], caps: Caps, *, only_plan: bool = False
    ) -> AsyncIterator[PrewarmEvent]:
        made = plan([Found(wish, 10**9, 10**9) for wish in wishes], caps)
        for item in made.items:
            size = item.found.missing_bytes or 0
            yield PrewarmEvent(
                Step.ITEM, item.found.wish.url, item.verdict, item.why, missing_bytes=size
            )
        counts = {verdict.value: made.count(verdict) for verdict in Verdict}
        yield PrewarmEvent(
            Step.PLAN, missing_bytes=made.fetch_bytes, cost_micro=made.cost_micro, counts=counts
        )
        if only_plan:
            return
        failed = 0
        for item in made.items:
            url = item.found.wish.url
            if item.verdict is not Verdict.FETCH:
                continue
            yield PrewarmEvent(Step.FETCHING, url, missing_bytes=10**9, done_bytes=10**6)
            broken = url.endswith("broken")
            failed += broken
            step = Step.FAILED if broken else Step.FETCHED
            yield PrewarmEvent(step, url, what="it broke" if broken else "", done_bytes=10**9)
        counts = {"fetched": len(made.items) - failed, "failed": failed}
        yield PrewarmEvent(Step.DONE, done_bytes=made.fetch_bytes, counts=counts)


class Twin:
    """The desk with what is behind it."""

    def __init__(self) -> None:
        key = NodeKey(Ed25519PrivateKey.generate())
        self.purges = RememberingPurges(key)
        self.siblings = {"node-b": True, "node-c": False}
        self.server = DEAD
        self.desk = EdgeDesk(
            table=lambda: build(SITES),
            purges=self.purges,
            book=self.purges,
            spending=lambda: (),
            servers=lambda: {HOST: (self.server,)},
            key=key,
            prewarm=PrewarmDesk(RememberingPrewarm(), price_per_gb_micro=90_000),
            confirm=self._confirm,
        )

    async def _confirm(self, sequence: int) -> Mapping[str, bool]:
        return self.siblings
