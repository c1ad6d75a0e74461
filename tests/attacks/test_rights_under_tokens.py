"""A digest opens nothing: what stands between a token and a content that repositories share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rig.crew import A, B, Crew

PULL_A, PUSH_B = "repository:local/a:pull", "repository:local/b:pull,push"
LAYER = A.blobs[1]


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    made = Crew(tmp_path / "one")
    await made.start()
    await made.fill()
    yield made
    await made.stop()


async def test_bob_cannot_read_anns_layer_through_his_own_repository(crew: Crew) -> None:
    token = await crew.token("bob", PUSH_B)
    path = f"/v2/local/b/blobs/{LAYER.digest}"
    for method in ("GET", "HEAD"):
        assert (await crew.ask(path, token, method=method)).status == 404
    part = ("Range", "bytes=0-99")
    bearer = ("Authorization", f"Bearer {token}")
    assert (await crew.send("GET", path, bearer, part)).status == 404
    assert (await crew.ask(f"/v2/local/b/manifests/{A.digest}", token)).status == 404
    got = await crew.ask(f"/v2/local/b/referrers/{A.digest}", token)
    assert json.loads(got.body)["manifests"] == []


async def test_bob_cannot_mount_anns_layer(crew: Crew) -> None:
    token = await crew.token("bob", PUSH_B, PULL_A)  # the second he does not get
    target = f"/v2/local/b/blobs/uploads/?mount={LAYER.digest}&from=local/a"
    got = await crew.ask(target, token, method="POST")
    assert got.status == 202  # an upload like any other (distribution-spec, "Mounting")
    assert (await crew.ask(f"/v2/local/b/blobs/{LAYER.digest}", token)).status == 404


async def test_a_token_for_one_repository_mounts_nothing_from_another_of_its_owners(
    crew: Crew,
) -> None:
    both = {"repositories": ["local/*"], "identities": ["ann"], "actions": ["pull", "push"]}
    await crew.stop()
    crew.access["rule"] = [both]
    await crew.start()
    target = f"/v2/local/b/blobs/uploads/?mount={LAYER.digest}&from=local/a"
    narrow = await crew.token("ann", PUSH_B)
    assert (await crew.ask(target, narrow, method="POST")).status == 202
    wide = await crew.token("ann", PUSH_B, PULL_A)
    assert (await crew.ask(target, wide, method="POST")).status == 201
    assert (await crew.ask(f"/v2/local/b/blobs/{LAYER.digest}", narrow)).body == LAYER.data


async def test_what_everybody_may_pull_everybody_may_mount(crew: Crew) -> None:
    await crew.stop()
    crew.access["rule"] = [
        {"repositories": ["local/a"], "anonymous_pull": True},
        {"repositories": ["local/b"], "identities": ["bob"], "actions": ["pull", "push"]},
    ]
    await crew.start()
    target = f"/v2/local/b/blobs/uploads/?mount={LAYER.digest}&from=local/a"
    token = await crew.token("bob", PUSH_B)
    assert (await crew.ask(target, token, method="POST")).status == 201


async def test_bob_cannot_push_a_manifest_that_names_anns_layer(crew: Crew) -> None:
    token = await crew.token("bob", PUSH_B)
    kind = ("Content-Type", A.manifest.media_type)
    bearer = ("Authorization", f"Bearer {token}")
    for reference in ("stolen", str(A.digest)):
        target = f"/v2/local/b/manifests/{reference}"
        got = await crew.send("PUT", target, kind, bearer, body=A.manifest.data)
        assert got.status == 404
        assert json.loads(got.body)["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"
    assert (await crew.ask(f"/v2/local/b/blobs/{LAYER.digest}", token)).status == 404


async def test_an_upload_of_anothers_repository_cannot_be_gone_on_with(crew: Crew) -> None:
    anns = await crew.token("ann", "repository:local/a:push")
    begun = await crew.ask("/v2/local/a/blobs/uploads/", anns, method="POST")
    place = begun.headers.get("Location") or ""
    bobs = await crew.token("bob", PUSH_B)
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        assert (await crew.ask(place, bobs, method=method)).status == 401
        moved = place.replace("local/a", "local/b")
        assert (await crew.ask(moved, bobs, method=method)).status in (400, 404)
    assert (await crew.ask(place, anns)).status == 204


async def test_a_ready_answer_is_never_given_to_somebody_without_a_right(crew: Crew) -> None:
    token = await crew.token("ann", PULL_A)
    for path in (f"manifests/{A.digest}", "manifests/1", f"blobs/{LAYER.digest}"):
        for _ in range(5):
            assert (await crew.ask(f"/v2/local/a/{path}", token)).status == 200
        for _ in range(3):
            assert (await crew.ask(f"/v2/local/a/{path}")).status == 401
            held = ("If-None-Match", f'"{A.digest}"')
            assert (await crew.send("GET", f"/v2/local/a/{path}", held)).status == 401
    assert crew.node.registry_door is not None
    assert crew.node.registry_door.hot.statistics().entries == 0


async def test_what_everybody_may_pull_still_has_ready_answers(crew: Crew) -> None:
    await crew.stop()
    crew.access["rule"] = [
        {"repositories": ["local/a"], "identities": ["ann"], "anonymous_pull": True}
    ]
    await crew.start()
    for _ in range(3):
        assert (await crew.ask(f"/v2/local/a/manifests/{A.digest}")).status == 200
    assert crew.node.registry_door is not None
    assert crew.node.registry_door.hot.statistics().entries > 0


async def test_a_sibling_gets_nothing_that_not_everybody_may_pull(crew: Crew) -> None:
    asks = ("Cache-Control", "only-if-cached")
    for path in (f"manifests/{A.digest}", f"blobs/{LAYER.digest}"):
        assert (await crew.send("GET", f"/v2/local/a/{path}", asks)).status == 401


async def test_rights_follow_the_name_and_not_how_it_is_written(crew: Crew) -> None:
    bobs = await crew.token("bob", PUSH_B)
    for path in (
        "/v2/local/b/../a/manifests/1",
        "/v2/local%2fa/manifests/1",
        "/v2/local//a/manifests/1",
        "/v2/LOCAL/A/manifests/1",
        "/v2/local/b/manifests/1?ns=local/a",
        "//v2/local/a/manifests/1",
    ):
        got = await crew.ask(path, bobs)
        assert A.manifest.data not in got.body
        assert B.manifest.data not in got.body or got.status != 200


async def test_a_client_certificate_header_is_no_certificate(crew: Crew) -> None:
    claimed = (
        ("X-SSL-Client-S-DN", "CN=ann"),
        ("X-Forwarded-User", "ann"),
        ("X-Remote-User", "ann"),
    )
    assert (await crew.send("GET", "/v2/local/a/manifests/1", *claimed)).status == 401
