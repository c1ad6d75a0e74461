"""A node's pages over set facts, and a browser that is a few lines."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from skerry.aio.tasks import Nursery
from skerry.base.clock import ManualClock
from skerry.budget.core.month import MonthBook, month_book
from skerry.budget.core.periods import DAY_SECONDS, Period
from skerry.budget.core.prices import read_sheet
from skerry.budget.core.rating import rate
from skerry.budget.core.usage import Amounts, Dimension, Hour, Meter
from skerry.dashboard.actions import Call
from skerry.dashboard.facts import FillRow, IncidentRow, Money, ObjectRow, Visitor
from skerry.dashboard.jobs import Jobs
from skerry.dashboard.pages import Pages
from skerry.dashboard.service import Dashboard
from skerry.dashboard.testing import SetFacts
from skerry.registry.operations import PassedOver, Signer, Verified
from skerry.telemetry.events import Event, Level
from skerry.telemetry.horizon import Expires, Expiry
from skerry.telemetry.ratios import HitRatio
from skerry.wire.message import Answer, Headers, Request
from tests.app.operations_twin import HALF, STATUS, WHOLE

NASTY = "<script>alert('1')</script>\"'&"
CSRF = "c" * 43
OPERATOR = Visitor("ann", CSRF, may_act=True)
VIEWER = Visitor("eve", CSRF, may_act=False)
NOW = 1_700_001_000.0

HEAD = '[[price]]\ncurrency = "EUR"\nvalid_from = 2023-01-01\nperiod = "use"\n'
SHEET = read_sheet(
    f'{HEAD}meter = "pulls"\nprice = "1.00"\nunit = "1000 pulls"\n'
    f'{HEAD}meter = "ingress"\nprice = "0.5"\nunit = "GB"\n',
    "prices.toml",
)
NOVEMBER = Period("2023-11", 1_698_796_800, 1_701_388_800)


def _book() -> MonthBook:
    """A shop with a sale on the second, a workflow, and somebody whose name breaks HTML."""
    shop = Dimension("ann", "shop", "/sale", data_class="public", workflow="checkout")
    nasty = Dimension(NASTY, upstream="docker.io")
    day = NOVEMBER.start + DAY_SECONDS
    sold = {Meter.REQUESTS: 4000, Meter.HITS: 3000, Meter.MISSES: 1000, Meter.PULLS: 1000,
            Meter.INGRESS_BYTES: 10**9, Meter.SAVED_BYTES: 2 * 10**9}  # fmt: skip
    hours = [
        Hour(day, shop, Amounts.of(sold)),
        Hour(day + 3 * DAY_SECONDS, nasty, Amounts.of({Meter.PULLS: 230})),
    ]
    sheet = SHEET
    return month_book(NOVEMBER, hours, rate(hours, sheet), currency="EUR", now=int(NOW))


BOOK = _book()


def full_facts(clock: ManualClock) -> SetFacts:
    """Something on every page, and strangers' names with all that breaks HTML."""
    nasty = replace(HALF, reference=f"ghcr.io/{NASTY}:1")
    return SetFacts(
        clock,
        STATUS,
        rows=(WHOLE, HALF, nasty),
        stored=(
            ObjectRow(f"https://www.example.org/{NASTY}", 200, 5000, NOW - 9, NOW + 60, NOW - 1),
            ObjectRow("https://www.example.org/film", 206, 9 << 20, NOW, NOW - 1, NOW, (3, 9)),
        ),
        counted=(
            HitRatio("images", 1000, 700, 200, 3),
            HitRatio("public", 9, 3, 1, 0, 900, 300),
        ),
        flying=(FillRow(f"docker.io {NASTY}", NOW - 4, 1 << 20, 4 << 20),
                FillRow("ghcr.io b", NOW, 7, None)),
        happened=(
            Event(NOW - 5, "breaker.opened", NASTY, NASTY, f"look {NASTY}", Level.WARNING),
            Event(NOW - 9, "tag.moved", WHOLE.reference, "upstream says another"),
        ),
        ending=(Expiry(Expires.TLS_CERTIFICATE, "www.example.org", NOW + 7200),),
        lost=(IncidentRow("docker.io", NOW - 600, NOW - 598, NOW - 597, None),),
        costs=Money("EUR", 1_230_000, (2_000_000, 2_500_000, 3_000_000), 2_000_000, "stop prefetch",
                    "2023-11"),
        book=BOOK,
        signed={WHOLE.reference: Verified(
            WHOLE.reference, WHOLE.digest, "production", True, 2, signers=(Signer("ann", "ab12"),),
            passed_over=(PassedOver("cd", "cosign", "expired"),))},
        toml=f'[node]\nname = "{NASTY}"\n',
    )  # fmt: skip


@dataclass
class Scene:
    """The pages, and what they asked the API for."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    calls: list[Call] = field(default_factory=list)
    answer: Answer = field(default_factory=lambda: Answer(200, body=b'{"pinned": true}'))

    def __post_init__(self) -> None:
        self.facts = full_facts(self.clock)
        self.crashes: list[BaseException] = []
        self.nursery = Nursery(on_crash=lambda name, error: self.crashes.append(error))
        self.jobs = Jobs(clock=self.clock, nursery=self.nursery)
        self.dashboard = Dashboard(
            pages=Pages(self.facts), jobs=self.jobs, clock=self.clock, do=self._do
        )

    async def _do(self, visitor: Visitor, call: Call) -> Answer:
        self.calls.append(call)
        return self.answer

    async def get(self, path: str, visitor: Visitor | None = OPERATOR, **query: str) -> Answer:
        request = Request("GET", path, query=urlencode(query))
        return await self.dashboard(request, visitor)

    async def post(
        self, path: str, form: dict[str, str], visitor: Visitor | None = OPERATOR
    ) -> Answer:
        async def body() -> AsyncIterator[bytes]:
            yield urlencode(form).encode()

        fields = Headers((("Content-Type", "application/x-www-form-urlencoded"),))
        return await self.dashboard(Request("POST", path, fields, body=body()), visitor)


def text_of(answer: Answer) -> str:
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


def links_of(text: str) -> set[str]:
    """Where a page leads, forms that only read included."""
    found = set(re.findall(r'href="(/[^"]*)"', text))
    return found | set(re.findall(r'method="get" action="(/[^"]*)"', text))
