"""Doors behind proxies: who is charged, which doors take part, and what is no proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.adapters.http_server_metrics import DoorMetrics
from skerry.adapters.http_server_state import DoorLimits
from skerry.app.doors.behind import Behind
from skerry.app.doors.public import PublicDoors
from skerry.app.settings.errors import SettingsError
from skerry.app.settings.load import load
from skerry.base.clock import ManualClock
from skerry.telemetry.metrics import Registry
from skerry.upstream.misses import payer_of
from skerry.wire.forwarded import Trusted
from skerry.wire.message import Answer, Handler, Headers, Hot, Request

SITE = '[[site]]\nhosts = ["a.example"]\norigins = ["https://10.0.0.9"]\n'


class Front:
    """Notes who asked; its answer may be ready for whoever asks the same."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def __call__(self, request: Request) -> Answer:
        self.asked.append(request)
        return Answer(200, hot=Hot(1e12, lambda uses, size: None))


def a_request(peer: str, *fields: tuple[str, str]) -> Request:
    return Request("GET", "/", Headers(fields), client=peer, client_port=7)


async def through(front: Handler, peer: str, *fields: tuple[str, str]) -> Answer:
    return await front(a_request(peer, *fields))


async def test_misses_are_charged_to_the_client_and_not_to_its_proxy() -> None:
    front = Front()
    behind = Behind(front, Trusted(["10.0.0.0/28"]))
    for client in ("192.0.2.7", "192.0.2.8"):
        await through(behind, "10.0.0.5", ("X-Forwarded-For", client))
    await through(behind, "10.0.1.5", ("X-Forwarded-For", "192.0.2.7"))
    networks = [payer_of(request).asker.network for request in front.asked]
    assert networks == ["192.0.2.7", "192.0.2.8", "10.0.1.5"]
    assert [payer_of(request).source for request in front.asked] == ["public", "public", "private"]


async def test_every_public_door_is_behind_the_same_proxies() -> None:
    for trusted in (None, Trusted([]), Trusted(["10.0.0.5"])):
        front = Front()
        doors = PublicDoors(
            1,
            limits=DoorLimits(),
            clock=ManualClock(),
            metrics=DoorMetrics(Registry()),
            trusted=trusted,
        )
        for name in ("registry", "edge"):
            doors.make(front, name=name, address="127.0.0.1:0")
        for door in doors._doors:
            await through(door.front, "10.0.0.5", ("X-Forwarded-For", "192.0.2.7"))
            spoken = door.hot_fields.harmless or frozenset()
            assert (b"x-forwarded-for" in spoken) == bool(trusted)
            assert door.door._state.limits.proxies == (("10.0.0.5/32",) if trusted else ())
        client = "192.0.2.7" if trusted else "10.0.0.5"
        assert [request.client for request in front.asked] == [client, client]


@pytest.mark.parametrize(
    ("peer", "fields", "ready"),
    [
        ("10.0.0.5", (), True),
        ("192.0.2.7", (), True),
        ("10.0.0.5", (("X-Forwarded-Proto", "https"),), True),
        ("10.0.0.5", (("X-Forwarded-Proto", "http, https"),), False),
        ("10.0.0.5", (("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "https")), False),
        ("10.0.0.5", (("X-Forwarded-Proto", "https"), ("Forwarded", "proto=http")), False),
        ("192.0.2.7", (("X-Forwarded-Proto", "http"),), False),
        ("192.0.2.7", (("Forwarded", "for=_x"),), False),
    ],
)
async def test_an_answer_is_ready_for_others_where_a_proxys_one_word_tells_them_apart(
    peer: str, fields: tuple[tuple[str, str], ...], ready: bool
) -> None:
    answer = await through(Behind(Front(), Trusted(["10.0.0.5"])), peer, *fields)
    assert (answer.hot is not None) == ready
    if answer.hot is not None:
        assert {"accept", "forwarded", "x-forwarded-proto"} == set(answer.hot.fields)


@pytest.mark.parametrize(
    "written", ["everywhere", "10.0.0.1/8", "0.0.0.0/0", "::/0", "::ffff:10.0.0.5", "a.example"]
)
def test_what_is_no_proxy_is_refused(tmp_path: Path, written: str) -> None:
    file = tmp_path / "skerry.toml"
    file.write_text(f'[doors]\ntrusted_proxies = ["{written}"]\n')
    with pytest.raises(SettingsError, match=r"trusted_proxies"):
        load(file, {}, {})
    file.write_text('[doors]\ntrusted_proxies = ["10.0.0.5", "fd00::/64"]\n')
    assert load(file, {}, {}).doors.trusted_proxies == ("10.0.0.5", "fd00::/64")


def test_a_site_says_when_its_origin_is_told_who_asked(tmp_path: Path) -> None:
    file = tmp_path / "skerry.toml"
    file.write_text(f'{SITE}client_address = "sometimes"\n')
    with pytest.raises(SettingsError, match="unshared, always, never"):
        load(file, {}, {})
