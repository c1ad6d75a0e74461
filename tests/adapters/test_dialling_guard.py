"""What was judged is what is dialled, directly and through a proxy (known failures T5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from skerry.adapters import http_client_dialing
from skerry.adapters.http_client import HttpTransport
from skerry.aio.tasks import Nursery
from skerry.upstream.ports import Dial, TransportError, Trouble
from skerry.upstream.testing_transport import Scripted
from skerry.wire.message import NO_HEADERS
from tests.adapters.loopback import Loopback

FINE = Scripted(200, body=b"fine")
METADATA = "169.254.169.254"


class Turning:
    """A name server whose answers change; the last one stays."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def addresses(self, host: str, *, within_seconds: float) -> tuple[str, ...]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise TransportError(Trouble.DNS, f"{host} cannot be resolved")
        return found


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with Loopback() as made:
        yield made


async def get(names: Turning, url: str, dial: Dial, *, times: int = 1) -> list[bytes]:
    """The bodies of some requests, each on a connection of its own."""
    nursery = Nursery(on_crash=lambda name, error: None)
    transport = HttpTransport(
        resolver=names,  # type: ignore[arg-type]
        nursery=nursery,
        environment={},
    )
    try:
        bodies = []
        for _ in range(times):
            exchange = await transport.send("GET", url, NO_HEADERS, dial)
            bodies.append(b"".join([chunk async for chunk in exchange.chunks()]))
        return bodies
    finally:
        await transport.close()
        await nursery.close()


def dial_to(server: Loopback, host: str) -> Dial:
    return Dial(private_hosts=frozenset({f"{host}:{server.port}"}))


async def test_t05_the_address_that_was_judged_is_the_one_that_is_dialled(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.close_after_reply = True
    server.on("/", FINE)
    dialled: list[list[str]] = []
    real = http_client_dialing.start_connection

    async def watched(infos: list[tuple[object, ...]], **more: object) -> object:
        dialled.append([str(info[4][0]) for info in infos])  # type: ignore[index]
        return await real(infos, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(http_client_dialing, "start_connection", watched)
    names = Turning(("127.0.0.1",), (METADATA, "127.0.0.1"), (METADATA,))
    url = f"http://turn.test:{server.port}/"
    with pytest.raises(TransportError) as caught:
        await get(names, url, dial_to(server, "turn.test"), times=3)
    assert caught.value.trouble is Trouble.FORBIDDEN_ADDRESS
    assert dialled == [["127.0.0.1"], ["127.0.0.1"]], "of two addresses the allowed one"
    assert names.asked == ["turn.test"] * 3, "one look for each connection, and no second one"


@pytest.mark.parametrize("answer", [("10.0.0.1",), ("93.184.216.34", "10.0.0.1"), (METADATA,)])
async def test_t05_a_proxy_is_not_asked_for_a_name_that_leads_inside(
    server: Loopback, answer: tuple[str, ...]
) -> None:
    names = Turning(answer)
    dial = Dial(proxy=f"http://127.0.0.1:{server.port}")
    with pytest.raises(TransportError) as caught:
        await get(names, "http://rebound.test/", dial)
    assert caught.value.trouble is Trouble.FORBIDDEN_ADDRESS
    assert server.heads == []


@pytest.mark.parametrize(
    "url",
    [
        f"http://{METADATA}/", "http://127.1/", "http://2130706433/", "http://[::1]/",
        "http://localhost/", "http://a.localhost/", "http://[::ffff:10.0.0.1]/",
    ],
)  # fmt: skip
async def test_t05_nor_for_an_address_inside(server: Loopback, url: str) -> None:
    dial = Dial(proxy=f"http://127.0.0.1:{server.port}")
    with pytest.raises(TransportError) as caught:
        await get(Turning(("93.184.216.34",)), url, dial)
    assert caught.value.trouble is Trouble.FORBIDDEN_ADDRESS
    assert server.heads == []


async def test_a_proxy_is_asked_for_what_this_machine_cannot_resolve(server: Loopback) -> None:
    server.on("http://far.example/", FINE)
    names = Turning(())
    dial = Dial(proxy=f"http://127.0.0.1:{server.port}")
    # The proxy itself is an address: nothing has to be looked up for it.
    names.answers = [(), ("127.0.0.1",)]
    assert await get(names, "http://far.example/", dial) == [b"fine"]


async def test_a_proxy_is_asked_for_a_configured_host_without_a_look(server: Loopback) -> None:
    server.on("http://registry.lan:5000/", FINE)
    names = Turning(("127.0.0.1",))
    dial = replace(
        Dial(proxy=f"http://127.0.0.1:{server.port}"),
        private_hosts=frozenset({"registry.lan:5000"}),
    )
    assert await get(names, "http://registry.lan:5000/", dial) == [b"fine"]
    assert "registry.lan" not in names.asked
