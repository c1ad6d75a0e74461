"""What a client is told when no server of a site gave an answer (RFC 9209 section 2.3)."""

from __future__ import annotations

import http_sf
import pytest

from skerry.cdn.core.status import ProxyError
from skerry.upstream.ports import Trouble
from tests.cdn.world import World

TOLD = {
    Trouble.DNS: ("dns_error", 502),
    Trouble.REFUSED: ("connection_refused", 502),
    Trouble.CONNECT_TIMEOUT: ("connection_timeout", 504),
    Trouble.TLS: ("tls_protocol_error", 502),
    Trouble.FIRST_BYTE_TIMEOUT: ("http_response_timeout", 504),
    Trouble.STALL: ("connection_read_timeout", 504),
    Trouble.CUT: ("http_response_incomplete", 502),
    Trouble.PROTOCOL: ("http_protocol_error", 502),
    Trouble.TOO_LARGE: ("http_response_body_size", 502),
    Trouble.RATE_LIMITED: ("destination_unavailable", 503),
    Trouble.BREAKER_OPEN: ("destination_unavailable", 503),
    Trouble.BUDGET: ("connection_limit_reached", 503),
    Trouble.FORBIDDEN_ADDRESS: ("destination_ip_prohibited", 502),
}
NEVER_OF_A_SITE = {  # a site's server that says no has answered, and its answer is passed on
    Trouble.SERVER_ERROR,
    Trouble.DENIED,
    Trouble.TOKEN_SERVICE,
    Trouble.WRONG_CONTENT,
}


def test_every_trouble_is_told_or_cannot_be() -> None:
    assert set(Trouble) == set(TOLD) | NEVER_OF_A_SITE
    assert {error for error, _ in TOLD.values()} <= {error.value for error in ProxyError}


@pytest.mark.parametrize("trouble", TOLD)
async def test_each_trouble_has_its_error_and_status(trouble: Trouble) -> None:
    world = World()
    world.origin.down = trouble
    answer = await world.ask("/a")
    error, status = TOLD[trouble]
    [(name, parameters)] = http_sf.parse(
        (answer.headers.get("Proxy-Status") or "").encode(), tltype="list"
    )
    assert (str(name), str(parameters["error"]), answer.status) == ("rock", error, status)
    assert parameters["next-hop"] == "site"
    assert "no-store" in answer.headers.joined("Cache-Control")
    await world.close()
