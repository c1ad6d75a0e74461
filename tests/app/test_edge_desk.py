"""What a purge asked for in words becomes, and what the admin door answers about sites."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from skerry.app.admin.access import Access
from skerry.app.admin.door import AdminDoor
from skerry.app.edge.desk import PurgeRequest, target_of
from skerry.app.trust.node_key import check_signature, read_public
from skerry.base.errors import BadInput
from skerry.cdn.core.purge import Kind, Mode, Target
from skerry.cdn.core.receipt import read, verify
from skerry.cdn.core.route import build
from skerry.telemetry.metrics import Registry
from skerry.wire.message import Answer, Headers, Request
from tests.app.edge_twin import DEAD, HOST, SITES, Twin
from tests.app.operations_twin import RememberingOperations

TABLE = build(SITES)
HERE = f"https://{HOST}"
ELSEWHERE = "https://gone.example"
OTHER_PORT = f"http://{HOST}:8080"
TOKEN = "t" * 43


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        (PurgeRequest(url=f"{HERE}/a?b=1&a=2"), Target(Kind.URL, HERE, "/a?a=2&b=1")),
        (PurgeRequest(url=f"HTTPS://{HOST.upper()}:443"), Target(Kind.URL, HERE, "/")),
        (PurgeRequest(url=f"{OTHER_PORT}/%7Ea"), Target(Kind.URL, OTHER_PORT, "/~a")),
        (PurgeRequest(url=f"{ELSEWHERE}/a?b"), Target(Kind.URL, ELSEWHERE, "/a?b")),
        (PurgeRequest(url=f"{HERE}/form?a"), Target(Kind.URL, HERE, "/form?a")),
        (PurgeRequest(prefix=f"{HERE}/media/"), Target(Kind.PREFIX, HERE, "/media/")),
        (PurgeRequest(prefix=HERE), Target(Kind.PREFIX, HERE, "/")),
        (PurgeRequest(host=HOST.upper()), Target(Kind.HOST, "", HOST)),
        (PurgeRequest(key="film 7"), Target(Kind.KEY, "", "film 7")),
        (PurgeRequest(key="film", host=HOST), Target(Kind.KEY, HOST, "film")),
        (PurgeRequest(group="news", origin=f"{HERE}/"), Target(Kind.GROUP, HERE, "news")),
    ],
)  # fmt: skip
def test_what_is_named_becomes_one_target(wanted: PurgeRequest, target: Target) -> None:
    assert target_of(wanted, TABLE) == target


def test_a_url_is_purged_under_the_query_that_its_route_gives_the_key() -> None:
    wanted = PurgeRequest(url=f"{HERE}/media/film?utm_source=mail&v=2")
    assert target_of(wanted, TABLE) == Target(Kind.URL, HERE, "/media/film?v=2")


@pytest.mark.parametrize(
    "wanted",
    [
        PurgeRequest(),
        PurgeRequest(url=f"{HERE}/a", prefix=f"{HERE}/a"),
        PurgeRequest(url=f"{HERE}/a", host=HOST),
        PurgeRequest(group="news"),
        PurgeRequest(group="news", host=HOST),
        PurgeRequest(origin=HERE),
        PurgeRequest(key="film", origin=HERE),
        PurgeRequest(group="news", origin=f"{HERE}/a"),
        PurgeRequest(prefix=f"{HERE}/a?b"),
        PurgeRequest(prefix="/media/"),
        PurgeRequest(url=f"{HERE}/a/../b"),
        PurgeRequest(url=f"{HERE}/a#b"),
        PurgeRequest(url=f"{HERE}/a b"),
        PurgeRequest(url=f"{HERE}/ü"),
        PurgeRequest(url="ftp://a.example/"),
        PurgeRequest(url="https://[::1/"),
        PurgeRequest(url="https://me:secret@a.example/"),
        PurgeRequest(host=f"{HOST}/"),
        PurgeRequest(key=""),
    ],
)
def test_what_names_nothing_or_two_things_is_refused(wanted: PurgeRequest) -> None:
    with pytest.raises(BadInput):
        target_of(wanted, TABLE)


@pytest.fixture
def twin() -> Twin:
    return Twin()


async def ask(
    twin: Twin | None, method: str, path: str, body: object = None, query: str = ""
) -> Answer:
    async def chunks() -> AsyncIterator[bytes]:
        yield json.dumps(body).encode() if body is not None else b""

    door = AdminDoor(
        RememberingOperations(),
        metrics=Registry(),
        access=Access(TOKEN),
        not_ready=lambda: "",
        edge=twin.desk if twin else None,
    )
    fields = Headers([("Host", "localhost"), ("Authorization", f"Bearer {TOKEN}")])
    return await door(Request(method, path, fields, query, body=chunks()))


def text(answer: Answer) -> bytes:
    assert isinstance(answer.body, bytes)
    return answer.body


async def test_a_purge_answers_with_a_receipt_that_the_public_key_proves(twin: Twin) -> None:
    answer = await ask(twin, "POST", "/api/v1/purge", {"host": HOST, "soft": True})
    assert answer.status == 200
    told = text(answer)
    assert json.loads(told)["siblings"] == [
        {"name": "node-b", "confirmed": True},
        {"name": "node-c", "confirmed": False},
    ]
    line = told.partition(b'"receipt":')[2].partition(b',"siblings"')[0]
    receipt = read(line)
    assert (receipt.target, receipt.mode) == (Target(Kind.HOST, "", HOST), Mode.SOFT)
    public = read_public(twin.desk.public_key.encode())
    assert verify([line], public_key=public, check=check_signature) == ()
    edited = line.replace(b'"object_count":7', b'"object_count":8')
    assert [f.flaw for f in verify([edited], public_key=public, check=check_signature)] == [
        "edited"
    ]


async def test_a_purge_that_names_nothing_is_refused_and_leaves_no_receipt(twin: Twin) -> None:
    assert (await ask(twin, "POST", "/api/v1/purge", {})).status == 400
    assert (await ask(twin, "POST", "/api/v1/purge", {"hosts": HOST})).status == 400
    assert twin.purges.kept == []


async def test_receipts_are_told_after_a_number_with_the_public_key(twin: Twin) -> None:
    for name in ("a", "b", "c"):
        await ask(twin, "POST", "/api/v1/purge", {"key": name})
    told = json.loads(text(await ask(twin, "GET", "/api/v1/purges", query="after=1")))
    assert told["public_key"] == twin.desk.public_key
    assert [receipt["value"] for receipt in told["receipts"]] == ["b", "c"]
    assert (await ask(twin, "GET", "/api/v1/purges", query="after=-1")).status == 400


async def test_the_status_tells_sites_with_the_breakers_of_their_origins(twin: Twin) -> None:
    (site,) = json.loads(text(await ask(twin, "GET", "/api/v1/status")))["sites"]
    assert site["name"] == HOST
    assert [(s["name"], s["breaker"]) for s in site["sources"]] == [("10.0.0.9", "open")]


async def test_a_node_without_a_site_says_what_to_do_about_a_purge() -> None:
    for method, path in (("POST", "/api/v1/purge"), ("GET", "/api/v1/purges")):
        answer = await ask(None, method, path, {"host": HOST})
        assert answer.status == 409
        assert b"[[site]]" in text(answer)


def test_a_server_that_answered_since_is_told_without_its_old_trouble() -> None:
    twin = Twin()
    ((dead,),) = (site.sources for site in twin.desk.sites())
    assert (dead.trouble, dead.heard_at, dead.blocked_seconds) == ("refused", 0.0, 5.0)
    again = DEAD.last_failure_at or 0.0
    twin.server = replace(DEAD, breaker="closed", last_success_at=again + 60)
    ((alive,),) = (site.sources for site in twin.desk.sites())
    assert (alive.trouble, alive.heard_at) == ("", again + 60)
