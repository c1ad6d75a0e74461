"""Whether the upstream is there, as the first screen says it after a start in an outage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skerry.base.clock import ManualClock
from skerry.dashboard.overview import Tile, look
from skerry.registry.operations import SourceStatus, UpstreamStatus
from skerry.telemetry.events import Event, Level
from tests.app.operations_twin import STATUS
from tests.dashboard.scene import NOW, full_facts

BEGAN = Event(NOW - 900, "outage.began", "upstream hub.test", "refused", "wait", Level.WARNING)
ENDED = Event(NOW - 300, "outage.ended", "upstream hub.test", "it answers")


async def tile(hub: SourceStatus, *events: Event) -> Tile:
    status = replace(
        STATUS,
        cut_off=False,
        started_at=NOW - 60,
        upstreams=(UpstreamStatus("hub.test", (hub,)),),
        sites=(UpstreamStatus("a.test", (SourceStatus("origin", "closed", heard_at=NOW - 5),)),),
    )
    facts = replace(full_facts(ManualClock(NOW)), stands=status, happened=events)
    return (await look(facts)).tiles[0]


async def test_a_node_started_in_an_outage_is_not_connected_before_it_has_heard() -> None:
    found = await tile(SourceStatus("origin", "closed"), BEGAN)
    assert (found.answer, found.state) == ("In part", "warn")
    assert found.details == ("hub.test was lost before the start, and has not answered since",)


@pytest.mark.parametrize(
    ("hub", "events"),
    [
        (SourceStatus("origin", "closed"), ()),
        (SourceStatus("origin", "closed"), (ENDED, BEGAN)),
        (SourceStatus("origin", "closed", heard_at=NOW - 9), (BEGAN,)),
    ],
)
async def test_what_was_never_lost_or_is_back_is_no_trouble(
    hub: SourceStatus, events: tuple[Event, ...]
) -> None:
    assert (await tile(hub, *events)).answer == "Yes"
