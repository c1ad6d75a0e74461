"""The admin door: no fault of its own looks like another program, no path leads to nowhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from skerry.app.admin.access import Access
from skerry.app.admin.door import AdminDoor
from skerry.telemetry.metrics import Registry
from skerry.wire.message import QUERY_FIELDS_MAX, Answer, Headers, Request
from tests.app.operations_twin import RememberingOperations
from tests.registry.world import body_of

Fields = tuple[tuple[str, str], ...]
TOKEN = "t" * 40
RIGHT = (("Host", "127.0.0.1:9090"), ("Authorization", f"Bearer {TOKEN}"))


def door(operations: RememberingOperations) -> AdminDoor:
    return AdminDoor(operations, metrics=Registry(), access=Access(TOKEN), not_ready=lambda: "")


async def ask(method: str, path: str, data: object = None, fields: Fields = RIGHT) -> Answer:
    async def body() -> AsyncIterator[bytes]:
        yield json.dumps(data).encode()

    request = Request(method, path, Headers(fields), body=body())
    return await door(RememberingOperations())(request)


@pytest.mark.parametrize("path", ["/", "", "relative", "/a\0b", "//"])
async def test_an_export_needs_a_path_with_a_name(path: str) -> None:
    answer = await ask("POST", "/api/v1/export", {"reference": "nginx", "path": path})
    assert answer.status == 400


async def test_a_fault_of_the_node_is_said_as_the_nodes() -> None:
    operations = RememberingOperations()

    async def broken() -> object:
        raise ZeroDivisionError

    operations.list_images = broken  # type: ignore[method-assign, assignment]
    answer = await door(operations)(Request("GET", "/api/v1/images", Headers(RIGHT)))
    assert answer.status == 500
    assert json.loads(await body_of(answer))["error"]["party"] == "node"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9090", "127.0.0.1.evil.example", "0x7f.1", "", "a b"],
)
async def test_a_page_that_rebinds_its_name_gets_nothing(host: str) -> None:
    for path in ("/metrics", "/readyz", "/api/v1/status"):
        answer = await ask("GET", path, fields=(("Host", host), RIGHT[1]))
        assert answer.status == 421


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("Authorization", "Bearer "),),
        (("Authorization", f"Basic {TOKEN}"),),
        (("Authorization", f"Bearer {TOKEN}x"),),
        (("Authorization", f"Bearer {TOKEN[:-1]}"),),
        (("Authorization", "Bearer \xff\xfe"),),
        (("Cookie", f"token={TOKEN}"),),
    ],
)
async def test_nothing_but_the_token_opens_the_api(fields: tuple[tuple[str, str], ...]) -> None:
    for method, path in (("GET", "/api/v1/status"), ("POST", "/api/v1/evict"), ("GET", "/api")):
        answer = await ask(method, path, {}, fields=(RIGHT[0], *fields))
        assert answer.status == 401


@pytest.mark.parametrize("path", ["/login", "/", "/metrics", "/api/v1/status", "/api/v1/names"])
async def test_a_query_of_too_many_fields_is_refused_before_anybody_reads_it(path: str) -> None:
    query = "&".join(["a=1"] * (QUERY_FIELDS_MAX + 1))
    answer = await door(RememberingOperations())(Request("GET", path, Headers(RIGHT), query))
    assert answer.status == 400
