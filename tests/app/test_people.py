"""A users file that changes under a node: who is removed has lost everything at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.registry.core.users import Users, parse_htpasswd
from tests.rig.crew import PEOPLE, A, Crew, basic, hashed

PULL_A, PULL_B = "repository:local/a:pull", "repository:local/b:pull"
AT_A, AT_B = "/v2/local/a/manifests/1", "/v2/local/b/manifests/1"


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    made = Crew(tmp_path / "one")
    made.access["roles"] = {"viewers": ["ann", "bob"]}
    await made.start()
    await made.fill()
    yield made
    await made.stop()


def without(name: str) -> dict[str, str]:
    return {each: word for each, word in PEOPLE.items() if each != name}


async def refresh_of(crew: Crew, who: str, scope: str) -> str:
    got = await crew.post(
        grant_type="password", username=who, password=crew.secrets[who], access_type="offline",
        scope=scope,
    )  # fmt: skip
    return str(json.loads(got.body)["refresh_token"])


async def test_who_is_removed_has_lost_password_token_refresh_token_and_session(
    crew: Crew,
) -> None:
    token, refresh = await crew.token("ann", PULL_A), await refresh_of(crew, "ann", PULL_A)
    session = await crew.login("ann")
    others = await crew.token("bob", PULL_B), await refresh_of(crew, "bob", PULL_B)
    bobs = await crew.login("bob")
    assert (await crew.ask(AT_A, token)).body == A.manifest.data
    assert (await crew.send("GET", AT_A, basic("ann", PEOPLE["ann"]))).status == 200
    assert (await crew.admin("GET", "/api/v1/status", *session)).status == 200
    crew.write_users(without("ann"))
    said = json.loads((await crew.reload()).body)
    assert said["users_removed"] == ["ann"]
    assert (await crew.ask(AT_A, token)).status == 401
    assert (await crew.send("GET", AT_A, basic("ann", PEOPLE["ann"]))).status == 401
    assert (await crew.token_answer("ann", PULL_A)).status == 401
    got = await crew.post(grant_type="refresh_token", refresh_token=refresh, scope=PULL_A)
    assert got.status in (400, 401)
    assert (await crew.admin("GET", "/api/v1/status", *session)).status == 401
    # Nobody else notices.
    assert (await crew.ask(AT_B, others[0])).status == 200
    got = await crew.post(grant_type="refresh_token", refresh_token=others[1], scope=PULL_B)
    assert got.status == 200
    assert (await crew.admin("GET", "/api/v1/status", *bobs)).status == 200
    (told,) = crew.node.events.recent("users.changed")
    assert "ann" not in told.cause


async def test_who_is_new_may_log_in_at_once(crew: Crew) -> None:
    crew.secrets["dora"] = "new-water"
    assert (await crew.token_answer("dora")).status == 401
    crew.write_users({**PEOPLE, "dora": "new-water"})
    said = json.loads((await crew.reload()).body)
    assert said["users_added"] == ["dora"]
    assert said["restart"] == []
    assert (await crew.token_answer("dora")).status == 200


async def test_with_another_password_everything_of_the_old_one_has_ended(crew: Crew) -> None:
    token, refresh = await crew.token("ann", PULL_A), await refresh_of(crew, "ann", PULL_A)
    crew.write_users({**PEOPLE, "ann": "other-water"})
    assert json.loads((await crew.reload()).body)["users_changed"] == ["ann"]
    assert (await crew.ask(AT_A, token)).status == 401
    assert (await crew.send("GET", AT_A, basic("ann", PEOPLE["ann"]))).status == 401
    got = await crew.post(grant_type="refresh_token", refresh_token=refresh, scope=PULL_A)
    assert got.status in (400, 401)
    crew.secrets["ann"] = "other-water"
    crew.clock.pass_by(60)
    assert (await crew.ask(AT_A, await crew.token("ann", PULL_A))).status == 200


@pytest.mark.parametrize("text", ["ann:plain\n", None], ids=["a bad line", "no file"])
async def test_a_bad_file_changes_nobody(crew: Crew, text: str | None) -> None:
    token = await crew.token("ann", PULL_A)
    users = crew.folder / "users"
    users.unlink() if text is None else users.write_text(text)
    got = await crew.reload()
    assert got.status >= 400
    assert "users" in got.text()
    assert (await crew.ask(AT_A, token)).status == 200
    assert (await crew.token_answer("bob", PULL_B)).status == 200


def test_who_is_removed_while_a_password_is_checked_is_not_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The check takes a tenth of a second in a thread; the reload does not wait for it."""
    users = Users(parse_htpasswd(f"ann:{hashed('deep-water')}"), key=b"k")
    checkpw = "bcrypt.checkpw"
    monkeypatch.setattr(checkpw, lambda *_: users.use({}) == ((), (), ("ann",)))
    assert not users.check("ann", "deep-water")
    assert not users.proven("ann", "deep-water")
