"""What the pages are told of the objects of a real index: all of them, a page at a time."""

from __future__ import annotations

from typing import cast

import pytest

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_variants import SqliteVariants
from skerry.app.admin import page_facts
from skerry.app.admin.page_facts import Counted, EdgeSide, NodeFacts
from skerry.base.clock import ManualClock
from skerry.cdn.core.route import RouteTable
from skerry.cdn.testing import some_entry


class Rooms:
    """What `objects` needs of a node: a clock, and an edge with no route."""

    def __init__(self) -> None:
        self.clock = ManualClock(1000.0)
        self.file = EdgeFile(None)
        self.variants = SqliteVariants(self.file)
        edge = EdgeSide(self.variants, lambda: RouteTable({}, {}, None), tuple)
        counted = cast(Counted, self)  # it has the clock
        none = cast("page_facts.NodeBudget", None)
        self.facts = NodeFacts(
            cast("page_facts.Operations", None),
            cast("page_facts.Callable[[], object]", None),  # type: ignore[arg-type]
            counted,
            settings=lambda: cast("page_facts.Settings", None),
            not_ready=lambda: "",
            verify=cast("page_facts.Callable[[str], object]", None),  # type: ignore[arg-type]
            budget=none,
            edge=edge,
        )

    async def seen(self, wanted: str, rows_max: int) -> list[list[str]]:
        """The pages of a search, each with its URLs."""
        pages, beyond = list[list[str]](), 0
        while True:
            found = await self.facts.objects(wanted, rows_max, beyond)
            pages.append([row.url.rpartition("/")[2] for row in found.rows])
            if not found.more:
                return pages
            assert found.beyond > beyond, "it goes on"
            beyond = found.beyond


async def test_every_object_is_on_one_page_the_latest_used_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rooms = Rooms()
    for number in range(10):
        await rooms.variants.put(some_entry(f"/{number}", received_at=float(number)))
    whole = [["9", "8", "7", "6"], ["5", "4", "3", "2"], ["1", "0"]]
    assert await rooms.seen("", 4) == whole
    assert await rooms.seen("example.org/1", 4) == [["1"]]
    # A search looks at so many at a time, and says how to look on.
    monkeypatch.setattr(page_facts, "SCANNED_MAX", 3)
    assert await rooms.seen("example.org/1", 4) == [[], [], ["1"], []]
    await rooms.file.close()
