"""An edge desk over twins: what it is asked is remembered, its receipts are real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from skerry.app.edge_desk import EdgeDesk
from skerry.app.node_key import NodeKey
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


class Twin:
    """The desk with what is behind it."""

    def __init__(self) -> None:
        key = NodeKey(Ed25519PrivateKey.generate())
        self.purges = RememberingPurges(key)
        self.changes = 0
        self.desk = EdgeDesk(
            table=lambda: build(SITES),
            purges=self.purges,
            book=self.purges,
            servers=lambda: {HOST: (DEAD,)},
            key=key,
            changed=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1
