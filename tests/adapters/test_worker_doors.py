"""A door behind which a worker's relay stands keeps every promise that a door makes.

The same tests as for a door whose front is in its own process: its conformance suite.
"""

from __future__ import annotations

import asyncio

import pytest
import test_http_pieces
import test_http_server
import test_http_server_hot
import test_http_server_limits
import test_http_server_tunnel
import uvloop

MODULES = (
    test_http_server,
    test_http_server_hot,
    test_http_server_limits,
    test_http_server_tunnel,
    test_http_pieces,
)
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy")

LOOKS_INTO_THE_DOOR = "test_a_file_waits_for_the_bytes_before_it"
"""Its front fills the door's own buffer and no more; a line to another process holds some, too."""

for module in MODULES:
    promises = {name: it for name, it in vars(module).items() if name.startswith("test_")}
    assert promises, f"{module.__name__} promises nothing"
    assert not promises.keys() & globals().keys(), "two promises of one name"
    globals().update(promises)
del globals()[LOOKS_INTO_THE_DOOR]
certificate = test_http_server_limits.certificate


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy()  # as workers run


@pytest.fixture(autouse=True)
def _through_a_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        doors = vars(module)["opened"].__wrapped__.__globals__
        monkeypatch.setitem(doors, "way", doors["through_a_relay"])
