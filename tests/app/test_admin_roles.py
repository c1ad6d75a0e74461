"""Who may do what at the admin door of a live node: by role, by login, and to whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import jwt
import pytest

from skerry.app.admin.roles import NEEDED, OPEN, Roles
from skerry.app.drill.client import Got, RegistryClient
from skerry.trust.tokens.core.rules import Role
from skerry.trust.tokens.core.throttle import HERE
from tests.rig.crew import PEOPLE, Crew

ROLES = {"admins": ["ann"], "operators": ["bob"], "viewers": ["@crew"]}
WHO = {Role.ADMIN: "ann", Role.OPERATOR: "bob", Role.VIEWER: "cat"}
PULL_A = "repository:local/a:pull"
PATH = "/v2/local/a/manifests/1"


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    made = Crew(tmp_path / "one", roles=ROLES)
    await made.start()
    await made.fill()
    yield made
    await made.stop()


def bearer(token: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {token}")


def test_the_highest_role_counts_and_nobody_has_one_by_chance() -> None:
    roles = Roles(("ann", "@crew"), ("ann",), ("@chiefs",))
    assert roles.of("ann", ()) is Role.OPERATOR
    assert roles.of("ann", ("chiefs",)) is Role.ADMIN
    assert roles.of("bob", ("crew",)) is Role.VIEWER
    assert roles.of("@crew", ()) is Role.VIEWER  # no name begins so: see the users file
    assert roles.of("crew", ()) is None
    assert Roles().of("ann", ("crew",)) is None


async def test_every_route_is_in_the_table_and_each_role_gets_what_the_table_says(
    crew: Crew,
) -> None:
    assert crew.node.admin is not None
    assert crew.node.admin.routes() == NEEDED.keys() | OPEN
    tokens = {role: await crew.admin_token(who, role.value) for role, who in WHO.items()}
    for role, token in tokens.items():
        for (method, path), needed in NEEDED.items():
            got = await crew.admin(method, path, bearer(token))
            assert (got.status == 403) == (not role.includes(needed)), (role, method, path)
            assert got.status != 401
    for method, path in NEEDED:
        assert (await crew.admin(method, path)).status == 401


async def test_a_viewer_has_the_node_ask_nothing_of_the_outside(crew: Crew) -> None:
    viewer, operator = await crew.login("cat"), await crew.login("bob")
    look = "/api/v1/names/look?name=registry.example"
    got = await crew.admin("GET", look, *viewer)
    assert (got.status, b"ask the operator" in got.body) == (403, True), got.body
    names = await crew.admin("GET", "/api/v1/names", *viewer)
    assert json.loads(names.body)["checked"] is None  # nobody was asked anything
    assert (await crew.admin("GET", "/api/v1/names/look?name=%20", *operator)).status == 400


async def test_a_route_that_is_in_no_table_is_nobodys(crew: Crew) -> None:
    assert crew.node.admin is not None
    token = await crew.admin_token("", "admin")

    async def secret(request: object) -> None:
        raise AssertionError("reached")

    crew.node.admin._api = {**crew.node.admin._api, "/api/v1/new": {"GET": secret}}  # type: ignore[dict-item]
    assert (await crew.admin("GET", "/api/v1/new", bearer(token))).status == 403


async def test_a_token_of_one_door_opens_nothing_at_the_other(crew: Crew) -> None:
    registry = await crew.token("ann", PULL_A)
    assert (await crew.admin("GET", "/api/v1/status", bearer(registry))).status == 401
    admin = await crew.admin_token("ann", "admin")
    assert (await crew.ask(PATH, admin)).status == 401


async def test_nobody_mints_more_than_their_own_role(crew: Crew) -> None:
    viewer, operator = await crew.login("cat"), await crew.login("bob")
    for fields, role in ((viewer, "operator"), (viewer, "admin"), (operator, "admin")):
        got = await crew.admin("POST", "/api/v1/tokens", *fields, body={"role": role})
        assert got.status == 403
    got = await crew.admin("POST", "/api/v1/tokens", *operator, body={"role": "viewer"})
    lesser = bearer(json.loads(got.body)["token"])
    assert (await crew.admin("GET", "/api/v1/status", lesser)).status == 200
    assert (await crew.admin("POST", "/api/v1/scrub", lesser)).status == 403
    got = await crew.admin("POST", "/api/v1/tokens", lesser, body={"role": "operator"})
    assert got.status == 403


async def test_a_role_that_was_taken_away_is_gone_from_tokens_made_before(crew: Crew) -> None:
    token = bearer(await crew.admin_token("ann", "admin"))
    await crew.stop()
    crew.access["roles"] = {"viewers": ["ann"]}
    await crew.start()
    assert (await crew.admin("GET", "/api/v1/status", token)).status == 200
    assert (await crew.admin("GET", "/api/v1/robots", token)).status == 403


async def test_nobody_lists_or_revokes_what_is_anothers(crew: Crew) -> None:
    anns = await crew.token("ann", PULL_A)
    for who in ("bob", "cat"):
        fields = await crew.login(who)
        assert (await crew.admin("GET", "/api/v1/robots", *fields)).status == 403
        for body in ({"identity": "ann"}, {"group": "crew"}, {"token_id": "x"}):
            got = await crew.admin("POST", "/api/v1/revocations", *fields, body=body)
            assert got.status == 403
    assert (await crew.ask(PATH, anns)).status == 200


async def test_anybody_revokes_their_own_and_is_logged_out(crew: Crew) -> None:
    cats, fields = await crew.token("cat", PULL_A), await crew.login("cat")
    assert (await crew.ask(PATH, cats)).status == 200
    got = await crew.admin("POST", "/api/v1/revocations", *fields, body={"identity": "cat"})
    assert got.status == 200
    assert (await crew.ask(PATH, cats)).status == 401
    assert (await crew.admin("GET", "/api/v1/status", *fields)).status == 401
    assert (await crew.ask(PATH, await crew.token("cat", PULL_A))).status == 200  # a new login


async def revoke(crew: Crew, **what: str) -> Got:
    fields = await crew.login("ann")
    return await crew.admin("POST", "/api/v1/revocations", *fields, body=what)


async def test_a_group_that_is_revoked_loses_tokens_refresh_tokens_and_logins(crew: Crew) -> None:
    cats, fields = await crew.token("cat", PULL_A), await crew.login("cat")
    got = await crew.post(
        grant_type="password", username="cat", password=PEOPLE["cat"], access_type="offline"
    )
    refresh = json.loads(got.body)["refresh_token"]
    stable = json.loads((await crew.token_answer("cat", offline_token="true")).body)
    admin = bearer(await crew.admin_token("cat", "viewer"))
    anns = await crew.token("ann", PULL_A)
    assert (await revoke(crew, group="crew")).status == 200
    for _ in range(2):
        assert (await crew.ask(PATH, cats)).status == 401
        assert (await crew.admin("GET", "/api/v1/status", admin)).status == 401
        for token in (refresh, stable["refresh_token"]):
            got = await crew.post(grant_type="refresh_token", refresh_token=token)
            assert got.status == 401
        assert (await crew.ask(PATH, anns)).status == 200
        await crew.stop()
        await crew.start()  # and it stays so
    assert (await crew.admin("GET", "/api/v1/status", *fields)).status == 401


async def test_one_token_is_revoked_by_its_id_for_good(crew: Crew) -> None:
    one, other = await crew.token("ann", PULL_A), await crew.token("ann", PULL_A)
    claims = jwt.decode(one, options={"verify_signature": False})
    assert (await revoke(crew, token_id=claims["jti"])).status == 200
    for _ in range(2):
        assert (await crew.ask(PATH, one)).status == 401
        assert (await crew.ask(PATH, other)).status == 200
        await crew.stop()
        await crew.start()


# robots


async def robot(crew: Crew, **more: object) -> tuple[str, str]:
    body = {"name": "ci", "repositories": ["local/a"], "actions": ["pull"], **more}
    got = await crew.admin("POST", "/api/v1/robots", *(await crew.login("ann")), body=body)
    assert got.status == 200, got.body
    made = json.loads(got.body)
    crew.secrets[made["robot"]["login"]] = made["secret"]
    return made["robot"]["login"], made["secret"]


async def test_a_robot_may_do_what_it_was_made_for_until_it_ends(crew: Crew) -> None:
    login, secret = await robot(crew, lifetime_seconds=3600)
    token = await crew.token(login, f"{PULL_A},push", "repository:local/b:pull")
    assert (await crew.ask(PATH, token)).status == 200
    assert (await crew.ask("/v2/local/b/manifests/1", token)).status == 401
    assert (await crew.ask("/v2/local/a/blobs/uploads/", token, method="POST")).status == 401
    crew.clock.pass_by(3600)
    assert (await crew.token_answer(login, PULL_A)).status == 401
    crew.clock.set_back(7200)
    assert (await crew.token_answer(login, PULL_A)).status == 401
    kept = b"".join(path.read_bytes() for path in (crew.folder / "data").glob("tokens.sqlite*"))
    assert secret.encode() not in kept


async def test_a_robot_that_is_revoked_is_gone_at_once(crew: Crew) -> None:
    login, _ = await robot(crew)
    token = await crew.token(login, PULL_A)
    fields = await crew.login("ann")
    got = await crew.admin("GET", "/api/v1/robots", *fields)
    assert [row["login"] for row in json.loads(got.body)["robots"]] == [login]
    assert b"secret" not in got.body
    assert (await crew.admin("DELETE", "/api/v1/robots?name=ci", *fields)).status == 200
    assert (await crew.ask(PATH, token)).status == 401
    assert (await crew.token_answer(login, PULL_A)).status == 401
    await robot(crew)  # another of the name does not give the first one's tokens life
    assert (await crew.ask(PATH, token)).status == 401


# browsers


async def form(crew: Crew, path: str, *fields: tuple[str, str], **values: str) -> Got:
    client = RegistryClient(f"127.0.0.1:{crew.node.admin_port}")
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    body = urlencode(values).encode()
    return await asyncio.to_thread(client.send, "POST", path, fields=(kind, *fields), body=body)


async def test_people_log_in_to_the_pages_and_act_by_their_role(crew: Crew) -> None:
    got = await form(crew, "/login", name="cat", secret="wrong", next="/images")
    assert (got.status, b"is wrong" in got.body) == (403, True)
    for who, may_act in (("cat", False), ("bob", True)):
        got = await form(crew, "/login", name=who, secret=PEOPLE[who], next="/images")
        assert (got.status, got.headers.get("Location")) == (303, "/images")
        cookie = ("Cookie", (got.headers.get("Set-Cookie") or "").partition(";")[0])
        assert (await crew.admin("GET", "/images", cookie)).status == 200
        said = json.loads((await crew.admin("GET", "/api/v1/session", cookie)).body)
        fields = {"csrf": said["csrf"], "reference": "local/a:1"}
        assert (await form(crew, "/actions/pin", cookie, **{**fields, "csrf": "x"})).status == 403
        done = await form(crew, "/actions/pin", cookie, **fields)
        assert done.status == (303 if may_act else 403)


async def test_a_cookie_alone_changes_nothing(crew: Crew) -> None:
    cookie, secret = await crew.login("ann")
    assert (await crew.admin("GET", "/api/v1/robots", cookie)).status == 200
    assert (await crew.admin("POST", "/api/v1/keys", cookie)).status == 403
    wrong = ("X-CSRF-Token", "x" * 43)
    assert (await crew.admin("POST", "/api/v1/keys", cookie, wrong)).status == 403
    others = await crew.login("ann")
    assert (await crew.admin("POST", "/api/v1/keys", cookie, others[1])).status == 403
    assert (await crew.admin("POST", "/api/v1/keys", cookie, secret)).status == 200


@pytest.mark.parametrize(
    "said",
    [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://127.0.0.1:1"),
    ],
)
async def test_what_another_sites_page_sends_is_refused(crew: Crew, said: tuple[str, str]) -> None:
    fields = await crew.login("ann")
    assert (await crew.admin("POST", "/api/v1/keys", *fields, said)).status == 403
    body = {"name": "ann", "password": PEOPLE["ann"]}
    assert (await crew.admin("POST", "/api/v1/session", said, body=body)).status == 403


async def test_a_login_ends_with_the_logout_and_with_time(crew: Crew) -> None:
    fields = await crew.login("ann")
    assert (await crew.admin("DELETE", "/api/v1/session", *fields)).status == 200
    assert (await crew.admin("GET", "/api/v1/status", *fields)).status == 401
    fields = await crew.login("ann")
    crew.clock.pass_by(9 * 3600)
    assert (await crew.admin("GET", "/api/v1/status", *fields)).status == 401


async def test_whoever_has_no_role_gets_no_login(crew: Crew) -> None:
    await crew.stop()
    crew.access["roles"] = {"admins": ["ann"]}
    await crew.start()
    body = {"name": "bob", "password": PEOPLE["bob"]}
    assert (await crew.admin("POST", "/api/v1/session", body=body)).status == 403


async def test_guessing_is_slowed_down_and_shuts_nobody_else_out(crew: Crew) -> None:
    async def log_in(name: str, password: str) -> Got:
        body = {"name": name, "password": password}
        return await crew.admin("POST", "/api/v1/session", body=body)

    for number in range(HERE.burst):
        assert (await log_in("cat", f"guess{number}")).status == 401
    slowed = await log_in("cat", "another")
    assert (slowed.status, bool(slowed.headers.get("Retry-After"))) == (429, True)
    # Bob is behind the same address; cat's own token goes on; the registry's door slows the same.
    assert (await log_in("bob", PEOPLE["bob"])).status == 200
    assert (await crew.token_answer("cat", PULL_A)).status == 429
    crew.clock.pass_by(HERE.seconds + 1)
    assert (await log_in("cat", PEOPLE["cat"])).status == 200
