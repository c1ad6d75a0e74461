"""What the admin door answers about the vault."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.app.admin.access import Access
from skerry.app.admin.door import AdminDoor
from skerry.app.vault.desk import VaultDesk, vault_routes
from skerry.telemetry.metrics import Registry
from skerry.wire.message import Answer, Headers, Request
from tests.app.operations_twin import RememberingOperations
from tests.cdn.vault.vault_world import Vaulted
from tests.cdn.world import body_of
from tests.rig.telling import sample_of

TOKEN = "t" * 43
BODY = b"a public page " * 400


@pytest.fixture
async def node() -> AsyncIterator[Vaulted]:
    made = Vaulted()
    await made.fill("/page", BODY)
    yield made
    await made.close()


async def ask(desk: VaultDesk | None, method: str, path: str, body: object = None) -> Answer:
    door = AdminDoor(
        RememberingOperations(),
        metrics=Registry(),
        access=Access(TOKEN),
        not_ready=lambda: "",
        more=(vault_routes(desk),),
    )
    headers = Headers((("Host", "localhost"), ("Authorization", f"Bearer {TOKEN}")))

    async def sent() -> AsyncIterator[bytes]:
        if body is not None:
            yield json.dumps(body).encode()

    return await door(Request(method, path, headers, raw_path=path, body=sent()))


def desk_of(node: Vaulted) -> VaultDesk:
    care, restoring = node.care, node.restoring
    key = Path("/keys/vault.key")
    return VaultDesk(node.rooms, care, restoring, url="s3://bucket/north", key_file=key)


async def lines(answer: Answer) -> list[dict[str, object]]:
    assert answer.status == 200, await body_of(answer)
    return [json.loads(line) for line in (await body_of(answer)).splitlines()]


async def test_the_status_counts_what_is_there_and_says_what_is_wrong(node: Vaulted) -> None:
    answer = await ask(desk_of(node), "GET", "/api/v1/vault")
    [found] = await lines(answer)
    assert (found["url"], found["there_count"], found["trouble"]) == ("s3://bucket/north", 1, "")
    assert found["plain_bytes"] == len(BODY)
    node.memory.refused = True
    await node.fill("/more", BODY[1:])
    [found] = await lines(await ask(desk_of(node), "GET", "/api/v1/vault"))
    assert found["waiting_count"] == 1
    assert found["trouble"]


async def test_the_same_stands_in_the_metrics_and_rises_and_falls(node: Vaulted) -> None:
    metrics = node.world.metrics

    def copies() -> tuple[float | None, ...]:
        line = 'skerry_vault_copies{{state="{}"}}'
        return tuple(
            sample_of(metrics, line.format(each)) for each in ("there", "waiting", "leaving")
        )

    def work() -> dict[str, float | None]:
        line = 'skerry_vault_work_total{{outcome="{}"}}'
        ends = ("sent", "removed", "failed", "dropped")
        return {each: sample_of(metrics, line.format(each)) for each in ends}

    assert (copies(), sample_of(metrics, "skerry_vault_bytes")) == ((1, 0, 0), len(BODY))
    assert sample_of(metrics, "skerry_vault_reachable") == 1
    assert work() == {"sent": 1, "removed": 0, "failed": 0, "dropped": 0}
    node.memory.down = True
    await node.fill("/more", BODY[1:])
    assert copies() == (1, 1, 0)
    assert sample_of(metrics, "skerry_vault_reachable") == 0
    assert work() == {"sent": 1, "removed": 0, "failed": 1, "dropped": 0}
    node.memory.down = False
    await node.purge("/page")
    await node.wait_for(lambda: copies() == (1, 0, 0))
    assert sample_of(metrics, "skerry_vault_reachable") == 1
    assert sample_of(metrics, "skerry_vault_bytes") == len(BODY) - 1
    assert work() == {"sent": 2, "removed": 1, "failed": 1, "dropped": 0}


async def test_verify_tells_a_plan_first_and_an_end_last(node: Vaulted) -> None:
    told = await lines(await ask(desk_of(node), "POST", "/api/v1/vault/verify", {}))
    assert [told[0]["step"], told[-1]["step"]] == ["plan", "done"]
    [plan] = await lines(await ask(desk_of(node), "POST", "/api/v1/vault/verify", {"plan": True}))
    assert (plan["total_count"], plan["total_bytes"]) == (1, len(BODY))


async def test_repair_heals_and_restore_takes_back(node: Vaulted) -> None:
    node.memory.flip_bit(next(name for name in node.memory.objects if name.startswith("c/")))
    told = await lines(await ask(desk_of(node), "POST", "/api/v1/vault/repair", {}))
    assert (told[-1]["healed_count"], told[-1]["lost_count"]) == (1, 0)
    node.start(wiped=True)
    told = await lines(await ask(desk_of(node), "POST", "/api/v1/vault/restore", {"bodies": True}))
    assert told[-1]["healed_count"] == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("verify", {"percent": 0}),
        ("repair", {"percent": 101}),
        ("verify", {"bytes_max": -1}),
        ("restore", {"percent": 50}),
        ("verify", {"sample": 5}),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_read(
    node: Vaulted, path: str, body: dict[str, object]
) -> None:
    answer = await ask(desk_of(node), "POST", f"/api/v1/vault/{path}", body)
    assert answer.status == 400
    assert json.loads(await body_of(answer))["error"]["next_step"]


async def test_a_vault_that_does_not_answer_is_said_with_the_next_step(node: Vaulted) -> None:
    node.memory.down = True
    answer = await ask(desk_of(node), "POST", "/api/v1/vault/restore", {})
    assert answer.status == 503
    assert json.loads(await body_of(answer))["error"]["next_step"]


async def test_a_node_without_a_vault_says_so() -> None:
    for method, path in (("GET", ""), ("POST", "/verify"), ("POST", "/restore")):
        answer = await ask(None, method, f"/api/v1/vault{path}", {})
        assert answer.status == 409
        assert b"no vault" in await body_of(answer)
