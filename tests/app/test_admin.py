"""The admin door: who gets in, what each route asks of Operations, how errors are said."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from skerry.app.admin.access import Access, TokenError, ensure_token, read_token
from skerry.app.admin.door import AdminDoor
from skerry.telemetry.exposition import OPENMETRICS, PLAIN
from skerry.telemetry.metrics import Registry
from skerry.wire.message import Answer, Headers, Request
from tests.app.operations_twin import DIGEST, HALF, RememberingOperations

TOKEN = "t" * 43


class Client:
    """Talks to an AdminDoor without a socket."""

    def __init__(self, *, not_ready: str = "") -> None:
        self.operations = RememberingOperations()
        metrics = Registry()
        metrics.counter("skerry_pulls", "Pulls").add(3)
        self.door = AdminDoor(
            self.operations,
            metrics=metrics,
            access=Access(TOKEN, hosts=["edge-1"]),
            not_ready=lambda: not_ready,
        )

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: str = "",
        host: str | None = "127.0.0.1:9090",
        token: str | None = TOKEN,
        accept: str = "",
    ) -> Answer:
        fields = [("Host", host)] if host is not None else []
        fields += [("Accept", accept)] if accept else []
        if token is not None:
            fields.append(("Authorization", f"Bearer {token}"))
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 1 << 16):
                yield data[start : start + (1 << 16)]

        request = Request(method, path, Headers(fields), query, body=chunks())
        return await self.door(request)


def said(answer: Answer) -> Any:
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


async def lines(answer: Answer) -> list[Any]:
    assert not isinstance(answer.body, bytes)
    chunks = [chunk async for chunk in answer.body]  # type: ignore[union-attr]
    return [json.loads(chunk) for chunk in chunks]


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:9090", "localhost", "LOCALHOST:9090", "[::1]:9090", "192.0.2.7", "edge-1:9090"],
)
async def test_the_door_answers_to_addresses_and_to_its_own_names(
    client: Client, host: str
) -> None:
    assert (await client.ask("GET", "/healthz", host=host)).status == 200


@pytest.mark.parametrize("host", ["evil.example:9090", "127.0.0.1.evil.example", "", None, "a:b:c"])
@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/v1/status"])
async def test_a_page_that_rebinds_its_name_to_loopback_is_refused(
    client: Client, host: str | None, path: str
) -> None:
    answer = await client.ask("GET", path, host=host)
    assert answer.status == 421
    assert said(answer)["error"]["party"] == "client"
    assert client.door.statistics().refused_host == 1


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "ü"])
@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/nothing", "/api"])
async def test_nothing_below_api_is_told_without_the_token(
    client: Client, token: str | None, path: str
) -> None:
    answer = await client.ask("GET", path, token=token)
    assert answer.status == 401
    assert answer.headers.get("WWW-Authenticate") == 'Bearer realm="skerry admin"'
    assert "admin.token" in said(answer)["error"]["next_step"]


async def test_the_token_counts_only_as_a_bearer_token(client: Client) -> None:
    fields = Headers([("Host", "localhost"), ("Authorization", f"Basic {TOKEN}")])
    assert (await client.door(Request("GET", "/api/v1/status", fields))).status == 401


async def test_health_and_metrics_need_no_token(client: Client) -> None:
    metrics = await client.ask("GET", "/metrics", token=None, accept=OPENMETRICS)
    assert metrics.headers.get("Content-Type") == OPENMETRICS
    assert isinstance(metrics.body, bytes)
    assert b"skerry_pulls_total 3" in metrics.body
    assert metrics.body.endswith(b"# EOF\n")
    plain = await client.ask("GET", "/metrics", token=None)
    assert plain.headers.get("Content-Type") == PLAIN
    assert plain.headers.get("Vary") == "Accept"
    assert (await client.ask("GET", "/readyz", token=None)).status == 200


async def test_a_node_that_cannot_serve_is_alive_but_not_ready() -> None:
    client = Client(not_ready="the catalog cannot be opened")
    assert (await client.ask("GET", "/healthz")).status == 200
    answer = await client.ask("GET", "/readyz")
    assert answer.status == 503
    assert answer.body == b"not ready: the catalog cannot be opened\n"


async def test_unknown_paths_and_methods_are_said_as_errors(client: Client) -> None:
    assert (await client.ask("GET", "/api/v1/nothing")).status == 404
    answer = await client.ask("PUT", "/api/v1/images")
    assert (answer.status, answer.headers.get("Allow")) == (405, "GET, DELETE")


async def test_status_and_images_come_as_json(client: Client) -> None:
    assert said(await client.ask("GET", "/api/v1/status"))["images"] == {
        "whole": 1,
        "half": 1,
        "pinned": 1,
    }
    images = said(await client.ask("GET", "/api/v1/images"))["images"]
    assert [image["whole"] for image in images] == [True, False]
    only = said(await client.ask("GET", "/api/v1/images", query="missing=true"))["images"]
    assert [image["reference"] for image in only] == [HALF.reference]
    assert only[0]["missing"][0]["kind"] == "layer"


async def test_warming_streams_one_event_a_line(client: Client) -> None:
    body = {"images": ["nginx", "redis"], "platforms": ["linux/arm64"], "bytes_max": 100}
    answer = await client.ask("POST", "/api/v1/warm", body)
    assert answer.headers.get("Content-Type") == "application/x-ndjson"
    steps = [(line["image"], line["step"]) for line in await lines(answer)]
    assert steps == [
        (image, step) for image in ("nginx", "redis") for step in ("planned", "progress", "done")
    ]
    assert client.operations.asked == [("warm", ("nginx", "redis"), ("linux/arm64",), False, 100)]


async def test_what_fails_before_the_first_event_has_its_real_status(client: Client) -> None:
    answer = await client.ask("POST", "/api/v1/warm", {"images": ["gone"]})
    assert answer.status == 404
    assert said(answer)["error"]["next_step"] == "check its name"


async def test_what_fails_in_mid_stream_is_the_last_line(client: Client) -> None:
    found = await lines(await client.ask("POST", "/api/v1/warm", {"images": ["cut"]}))
    assert [line.get("step") for line in found] == ["planned", "progress", None]
    assert found[-1]["error"] == {
        "party": "upstream",
        "what": "the link died",
        "next_step": "later",
    }


async def test_a_client_that_leaves_ends_the_stream_at_once(client: Client) -> None:
    answer = await client.ask("POST", "/api/v1/warm", {"images": ["nginx"]})
    body: Any = answer.body
    await anext(body)
    await body.aclose()
    assert client.operations.closed == 1


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "asked"),
    [
        ("POST", "/api/v1/pins", "", {"reference": "nginx"}, ("pin", "nginx")),
        ("DELETE", "/api/v1/pins", "reference=nginx%3A1", None, ("unpin", "nginx:1")),
        ("DELETE", "/api/v1/images", "reference=a.io/b", None, ("remove", "a.io/b")),
        ("POST", "/api/v1/evict", "", {"bytes": 7}, ("evict", 7, None)),
        ("POST", "/api/v1/evict", "", {"reference": "a"}, ("evict", None, "a")),
        ("POST", "/api/v1/evict", "", None, ("evict", None, None)),
        (
            "POST",
            "/api/v1/export",
            "",
            {"reference": f"a.io/b@{DIGEST}", "path": "/o"},
            ("export", f"a.io/b@{DIGEST}", "/o"),
        ),
        (
            "POST",
            "/api/v1/import",
            "",
            {"path": "/o", "name": "local/x:1"},
            ("import", "/o", "local/x:1"),
        ),
        ("GET", "/api/v1/events", "since=12.5&kind=tag", None, ("events", 12.5, "tag")),
    ],
)
async def test_each_route_asks_one_thing_of_the_operations(
    client: Client,
    method: str,
    path: str,
    query: str,
    body: object,
    asked: tuple[object, ...],
) -> None:
    answer = await client.ask(method, path, body, query=query)
    assert answer.status == 200, answer.body
    assert client.operations.asked == [asked]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/warm", {}),
        ("/api/v1/warm", {"images": []}),
        ("/api/v1/warm", {"images": ["x"], "bytes_max": -1}),
        ("/api/v1/warm", {"images": ["x"], "bytes": 1}),
        ("/api/v1/warm", b"{"),
        ("/api/v1/warm", b'{"images": ["' + b"x" * (1 << 20) + b'"]}'),
        ("/api/v1/pins", {"reference": "../etc"}),
        ("/api/v1/export", {"reference": "nginx", "path": "relative"}),
        ("/api/v1/import", {"path": "/a\0b"}),
        ("/api/v1/evict", {"bytes": 1, "reference": "a"}),
        ("/api/v1/evict", {"bytes": -1}),
    ],
)
async def test_a_body_that_makes_no_sense_is_refused_before_anything_is_done(
    client: Client, path: str, body: object
) -> None:
    answer = await client.ask("POST", path, body)
    assert answer.status == 400
    assert said(answer)["error"]["party"] == "client"
    assert client.operations.asked == []


async def test_removing_what_is_not_here_is_404(client: Client) -> None:
    answer = await client.ask("DELETE", "/api/v1/images", query="reference=gone")
    assert answer.status == 404


def test_the_token_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    token = ensure_token(tmp_path / "data")
    assert len(token) >= 43
    assert ensure_token(tmp_path / "data") == token == read_token(tmp_path / "data")
    path = tmp_path / "data" / "admin.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["admin.token"]


def test_a_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    ensure_token(tmp_path)
    (tmp_path / "admin.token").chmod(0o644)
    with pytest.raises(TokenError, match="no secret"):
        ensure_token(tmp_path)


def test_an_empty_token_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "admin.token").touch(mode=0o600)
    with pytest.raises(TokenError, match="holds no token"):
        ensure_token(tmp_path)
