"""The transcripts against a running node, over sockets, with an origin that says what it is told.

Those that move the clock, or name what only the node in memory is called, are left out.
"""

from __future__ import annotations

import pytest

from tests.cdn.transcripts.script import everything
from tests.peers.edge_stage import ScriptedServer, play_all, site
from tests.rig.processes import Rig

PLAYABLE = [each for each in everything() if not each.waits and not each.memory]
BATCH = 60


@pytest.mark.parametrize("first", range(0, len(PLAYABLE), BATCH))
def test_a_running_node_keeps_to_the_transcripts(rig: Rig, first: int) -> None:
    batch = PLAYABLE[first : first + BATCH]
    origin = ScriptedServer()
    rig.listen(origin)
    url = f"http://127.0.0.1:{origin.port}"
    sites = [site(number, each, url) for number, each in enumerate(batch)]
    node = rig.node({"site": sites})
    port = int(node.edge.rpartition(":")[2])
    results = rig.run(play_all(batch, origin, port, ours=True))
    wrong = [f"{title}: {text}" for title, texts in results.items() for text in texts]
    assert not wrong, "\n".join(wrong)
