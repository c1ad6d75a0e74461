"""The transcripts against a running node, over sockets, with an origin that says what it is told.

Those that move the clock, or name what only the node in memory is called, are left out.
"""

from __future__ import annotations

import pytest

from skerry.app.drill.processes import Setting
from tests.cdn.transcripts.script import Transcript, everything
from tests.cdn.world import ANY_METHOD
from tests.peers.edge_stage import ScriptedServer, play_all
from tests.rig.processes import Rig

PLAYABLE = [each for each in everything() if not each.waits and not each.memory]
BATCH = 60
SECONDS = ("fresh", "stale_if_error", "stale_while_revalidate")


def host_of(number: int) -> str:
    return f"t{number}.example.org"


def site(number: int, transcript: Transcript, origin: str) -> dict[str, Setting]:
    """A site of its own, so that one's failing origin is nobody else's."""
    said = transcript.route
    route: dict[str, Setting] = {
        "data_class": said.get("data_class", "public"),
        "store_cookies": said.get("store_cookies") == "true",
        "slice": f"{int(said.get('slice_bytes', 0)) >> 10}KiB" if "slice_bytes" in said else "",
        "methods": sorted(ANY_METHOD - {"TRACE", "BREW"}),
    }
    route |= {name: f"{said[f'{name}_seconds']}s" for name in SECONDS if f"{name}_seconds" in said}
    if "query_allow" in said:
        route["query"] = said["query_allow"].split(",")
    waits = {"connect": "1s", "first_byte": "3s"}
    return {
        "hosts": [host_of(number)],
        "origins": [origin],
        "plain_http": True,
        "route": [route],
        **waits,
    }


@pytest.mark.parametrize("first", range(0, len(PLAYABLE), BATCH))
def test_a_running_node_keeps_to_the_transcripts(rig: Rig, first: int) -> None:
    batch = PLAYABLE[first : first + BATCH]
    origin = ScriptedServer()
    rig.listen(origin)
    url = f"http://127.0.0.1:{origin.port}"
    sites = [site(number, each, url) for number, each in enumerate(batch)]
    node = rig.node({"site": sites})
    port = int(node.edge.rpartition(":")[2])
    results = rig.run(play_all(batch, origin, port, host_of=host_of, ours=True))
    wrong = [f"{title}: {text}" for title, texts in results.items() for text in texts]
    assert not wrong, "\n".join(wrong)
