"""What is spent, for whom, and where it will end, among the metrics: with a price sheet alone.

Owns the families and how old they may be (requirements P3). A budget is not needed; the ladders'
own families are `measures`'. Amounts are to the hundredth: a sensitive request costs less than
that, and nobody who reads every sample can tell that one came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.budget.core.money import MICRO, rounded
from skerry.budget.desk import BudgetState
from skerry.telemetry.labels import Labels, Named
from skerry.telemetry.metrics import Registry

LOOK_SECONDS = 30.0
HUNDREDTH = MICRO // 100
BOUNDS = ("low", "middle", "high")
TENANTS = {"tenant": Named("`node`, and the tenants of the settings")}
WORKFLOWS = {"workflow": Named("the workflows of the settings")}


class Prospect:
    """Reads the ledger now and then, never while somebody scrapes."""

    def __init__(
        self,
        stand: Callable[[], Awaitable[BudgetState]],
        clock: Clock,
        *,
        priced: Callable[[], bool],
    ) -> None:
        """`stand` may take long, and is off the loop; `priced`: whether anything has a price, which
        a reload may bring."""
        self._stand = stand
        self._priced = priced
        self._clock = clock
        self._latest: BudgetState | None = None

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Reads it. What cannot be read is not told of: an old number would look like a new one."""
        try:
            self._latest = await self._stand() if self._priced() else None
        except SkerryError:
            self._latest = None

    def declare(self, metrics: Registry) -> None:
        """The families; without a price sheet they have no series."""
        metrics.gauge(
            "skerry_cost_spent",
            "Money spent in the period that runs, by tenant, in the sheet's currency.",
            lambda: self._parts(lambda seen: seen.tenants),
            TENANTS,
        )
        metrics.gauge(
            "skerry_cost_workflow_spent",
            "Money spent in the period that runs, by workflow, in the sheet's currency.",
            lambda: self._parts(lambda seen: seen.workflows),
            WORKFLOWS,
        )
        metrics.gauge(
            "skerry_cost_forecast",
            "What the period will have cost at its end: the likely sum, and where it may end.",
            lambda: self._parts(_ends),
            {"bound": BOUNDS},
        )

    def _parts(self, of: Callable[[BudgetState], Mapping[str, int]]) -> dict[Labels, float]:
        seen = self._latest
        if seen is None or not seen.currency:
            return {}
        return {(name,): rounded(micro, HUNDREDTH) / 100 for name, micro in of(seen).items()}


def _ends(seen: BudgetState) -> Mapping[str, int]:
    ahead = seen.forecast
    return dict(zip(BOUNDS, (ahead.low_micro, ahead.middle_micro, ahead.high_micro), strict=True))
