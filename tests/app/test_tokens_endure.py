"""Twelve hours without the region, keys that change, and transfers that do not notice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import image, noise, push
from skerry.trust.tokens.ports import KeysUnusable
from tests.rig.crew import PEOPLE, A, Crew, basic
from tests.rig.guarded import GuardedRegistry

HOUR, STEP = 3600, 240
PATH = "/v2/local/a/manifests/1"
PULL_A = "repository:local/a:pull"
SECRET = "repository:up.test/team/secret:pull"
BIG = image([{"data/noise": noise(77, 24 << 20)}])


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    """With a private image of an upstream cached, and the upstream gone."""
    region = GuardedRegistry(user="robot", password="drowned-treasure")
    await region.server.start()
    region.push("team/secret", A, "1")
    password = tmp_path / "password"
    password.write_text("drowned-treasure")
    source = {"url": region.server.url, "plain_http": True, "username": "robot"}
    made = Crew(tmp_path / "one", rotate="1h")
    made.more = {
        "upstream": [
            {
                "name": "up.test",
                "private": True,
                "source": [{**source, "password_file": str(password)}],
            }
        ]
    }
    await made.start()
    await made.fill()
    client = RegistryClient(made.authority, user="ann", password=PEOPLE["ann"])
    got = await asyncio.to_thread(client.manifest, "up.test/team/secret", "1")
    assert got.status == 200, got.text()
    for blob in A.blobs:
        assert (await asyncio.to_thread(client.blob, "up.test/team/secret", blob.digest)).whole
    await region.server.close()
    yield made
    await made.stop()


def refreshed(got_body: bytes) -> tuple[str, str]:
    said = json.loads(got_body)
    return said["access_token"], said["refresh_token"]


async def test_twelve_hours_cut_off_every_pull_goes_on_while_keys_change_each_hour(
    crew: Crew,
) -> None:
    assert crew.node.known is not None
    tokens = crew.node.known.tokens
    got = await crew.post(
        grant_type="password",
        username="ann",
        password=PEOPLE["ann"],
        access_type="offline",
        scope=SECRET,
    )
    token, rotating = refreshed(got.body)
    stable = json.loads((await crew.token_answer("bob", offline_token="true")).body)[
        "refresh_token"
    ]
    signers, path = set(), "/v2/up.test/team/secret/manifests/1"
    for step in range(12 * HOUR // STEP):
        crew.clock.pass_by(STEP)
        await tokens.keep_up()
        # The token from before: it was made up to one change of keys ago.
        assert (await crew.ask(path, token)).body == A.manifest.data, step
        got = await crew.post(grant_type="refresh_token", refresh_token=rotating, scope=SECRET)
        token, rotating = refreshed(got.body)
        signers.add(jwt.get_unverified_header(token)["kid"])
        assert (await crew.ask(path, token)).status == 200
        got = await crew.post(
            grant_type="refresh_token", refresh_token=stable, scope="repository:local/b:pull"
        )
        bobs = json.loads(got.body)["access_token"]
        assert (await crew.ask("/v2/local/b/manifests/1", bobs)).status == 200
        assert (await crew.ask(path)).status == 401
        if step % 60 == 30:
            await crew.stop()
            await crew.start()
            tokens = crew.node.known.tokens
    assert len(signers) >= 11
    assert crew.counted() == {}


async def test_keys_that_change_in_the_middle_of_a_pull_lose_no_transfer(crew: Crew) -> None:
    client = RegistryClient(crew.authority, user="ann", password=PEOPLE["ann"])
    await asyncio.to_thread(push, client, "local/a", BIG, "big")
    assert crew.node.known is not None
    tokens = crew.node.known.tokens
    token = await crew.token("ann", PULL_A)
    layer = BIG.blobs[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", crew.node.registry_port)
    asked = f"GET /v2/local/a/blobs/{layer.digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    writer.write(f"{asked}Authorization: Bearer {token}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    some = await reader.readexactly(1 << 16)
    await tokens.rotate()
    crew.clock.pass_by(299)  # to the last second of the token
    assert (await crew.ask(PATH, token)).status == 200
    await tokens.rotate()
    await tokens.rotate(compromised=True)  # the transfer was allowed when it began
    assert some + await reader.read(-1) == layer.data
    writer.close()
    assert (await crew.ask(PATH, token)).status == 401
    assert (await crew.ask(PATH, await crew.token("ann", PULL_A))).status == 200


async def test_a_key_is_shown_before_it_signs_and_while_it_is_believed(crew: Crew) -> None:
    async def shown() -> set[str]:
        return {
            key["kid"]
            for key in json.loads((await crew.send("GET", "/auth/jwks.json")).body)["keys"]
        }

    assert crew.node.known is not None
    tokens = crew.node.known.tokens
    old = jwt.get_unverified_header(await crew.token("ann", PULL_A))["kid"]
    before = await shown()
    await tokens.rotate()
    new = jwt.get_unverified_header(await crew.token("ann", PULL_A))["kid"]
    assert new != old
    assert {old, new} <= before
    assert old in await shown()
    crew.clock.pass_by(300 + 61)
    await tokens.keep_up()
    assert old not in await shown()
    private = b"".join(str(value).encode() for value in (await shown()))
    assert b"PRIVATE" not in private


async def test_a_restart_signs_with_the_same_keys_and_es256_can_be_asked_for(crew: Crew) -> None:
    token = await crew.token("ann", PULL_A)
    await crew.stop()
    crew.access["algorithm"] = "ES256"
    await crew.start()
    assert (await crew.ask(PATH, token)).status == 200
    fresh = await crew.token("ann", PULL_A)
    assert jwt.get_unverified_header(fresh)["alg"] == "ES256"
    assert (await crew.ask(PATH, fresh)).status == 200


async def test_the_keys_are_the_node_users_alone_and_a_file_that_is_not_is_refused(
    crew: Crew,
) -> None:
    path = crew.folder / "data" / "token.keys"
    assert path.stat().st_mode & 0o777 == 0o600
    await crew.stop()
    for spoil in (lambda: path.chmod(0o640), lambda: path.write_bytes(b"{}")):
        kept = path.read_bytes()
        spoil()
        with pytest.raises(KeysUnusable):
            await crew.start()
        path.write_bytes(kept)
        path.chmod(0o600)
    await crew.start()


async def test_credentials_never_cross_in_either_direction(crew: Crew, tmp_path: Path) -> None:
    """Requirements D2: what clients show goes to no upstream, what upstreams get to no client."""
    region = GuardedRegistry(user="robot", password="drowned-treasure")
    await region.server.start()
    region.push("team/other", A, "1")
    await crew.stop()
    upstream = crew.more["upstream"][0]  # type: ignore[index]
    upstream["source"][0]["url"] = region.server.url  # type: ignore[index,call-overload]
    await crew.start()
    try:
        token = await crew.token("ann", "repository:up.test/team/other:pull")
        bearer = ("Authorization", f"Bearer {token}")
        shown = [token, basic("ann", PEOPLE["ann"])[1].partition(" ")[2], PEOPLE["ann"]]
        heard = []
        for fields in ((bearer,), (basic("ann", PEOPLE["ann"]),), ()):
            for path in ("manifests/1", f"blobs/{A.blobs[1].digest}", "tags/list"):
                more = (("Cookie", "session=clients"), ("X-Registry-Auth", "clients"))
                heard.append(
                    await crew.send("GET", f"/v2/up.test/team/other/{path}", *fields, *more)
                )
        asked = repr(region.server.log.asked)
        assert region.given
        assert "team/other" in asked
        for secret in (*shown, "session=clients", "X-Registry-Auth"):
            assert secret not in asked
        for answer in heard:
            text = repr(answer.headers.joined("WWW-Authenticate")) + repr(list(answer.headers))
            for secret in (*region.given, "drowned-treasure", region.server.url):
                assert secret not in text + answer.body.decode("latin-1")
    finally:
        await region.server.close()
