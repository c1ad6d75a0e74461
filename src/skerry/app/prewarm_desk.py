"""What an operator can have fetched ahead, for the admin door.

Owns the translation between what is asked and a run's wishes and caps. Decides nothing about a
plan: that is `cdn.core.prewarm`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from skerry.base.errors import BadInput
from skerry.cdn.core.prewarm import Caps, PrewarmEvent, Wish, wishes_of_text


class PrewarmRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/prewarm: `list` (a list's or a manifest's text) or `manifest` (a URL).

    Money is in millionths of the operator's currency; no price is that of the settings.
    """

    list: str | None = None
    manifest: str | None = None
    bytes_max: int | None = None
    cost_micro_max: int | None = None
    price_per_gb_micro: int | None = None
    only_plan: bool = False


class Prewarming(Protocol):
    """`cdn.prewarm.Prewarm`, as far as it is needed here."""

    async def wishes(self, manifest: str) -> tuple[Wish, ...]: ...
    def run(
        self, wishes: Sequence[Wish], caps: Caps, *, only_plan: bool = False
    ) -> AsyncIterator[PrewarmEvent]: ...


class PrewarmDesk:
    """Prewarming, to its operator."""

    def __init__(self, prewarm: Prewarming, *, price_per_gb_micro: int) -> None:
        self._prewarm = prewarm
        self._price = price_per_gb_micro

    async def run(self, wanted: PrewarmRequest) -> AsyncIterator[PrewarmEvent]:
        """The events of a run, the plan first. Raises BadInput, SkerryError."""
        if (wanted.list is None) == (wanted.manifest is None):
            raise BadInput("send one of list and manifest", next_step="a list has a URL a line")
        price = self._price if wanted.price_per_gb_micro is None else wanted.price_per_gb_micro
        for value in (wanted.bytes_max, wanted.cost_micro_max, price):
            if value is not None and value < 0:
                raise BadInput("a cap or a price is negative", next_step="leave it out for none")
        if wanted.cost_micro_max is not None and not price:
            step = "say --price-per-gb, or set prewarm.price_per_gb_micro"
            raise BadInput("a cap on cost needs a price", next_step=step)
        if wanted.manifest is not None:
            wishes = await self._prewarm.wishes(wanted.manifest)
        else:
            wishes = wishes_of_text(wanted.list or "")
        if not wishes:
            raise BadInput("nothing is listed", next_step="write one URL a line")
        caps = Caps(wanted.bytes_max, wanted.cost_micro_max, price)
        return self._prewarm.run(wishes, caps, only_plan=wanted.only_plan)
