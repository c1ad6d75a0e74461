"""Logins to the pages over restarts of a node: whose hold, and whose do not."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from skerry.adapters import file_whole
from skerry.app.admin.access import ADMIN, Access
from skerry.app.admin.kept_sessions import SESSIONS_FILE, KeptSessions
from skerry.app.admin.sessions import IDLE_SECONDS, cookie_of
from skerry.app.drill.processes import free_port
from skerry.telemetry.events import Events
from skerry.wire.message import Headers, Request
from tests.rig.crew import PEOPLE, Crew

ROLES = {"admins": ["ann"], "operators": ["bob"], "viewers": ["@crew"]}
Fields = tuple[tuple[str, str], ...]


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    made = Crew(tmp_path / "one", roles=ROLES)
    made.doors = {"admin": f"127.0.0.1:{free_port()}"}
    await made.start()
    yield made
    await made.stop()


def kept(crew: Crew) -> Path:
    return crew.folder / "data" / SESSIONS_FILE


async def restart(crew: Crew, meanwhile: Callable[[], object] = lambda: None) -> None:
    await crew.stop()
    meanwhile()
    await crew.start()


async def who(crew: Crew, fields: Fields) -> str:
    """The role and the name that a browser's cookie stands for, "" for nobody."""
    got = await crew.admin("GET", "/api/v1/session", *fields)
    if got.status != 200:
        return ""
    told = json.loads(got.body)
    assert told["csrf"] == dict(fields)["X-CSRF-Token"]
    return f"{told['role']} {told['name']}"


async def test_a_login_holds_over_a_restart_with_its_page_and_its_forms(crew: Crew) -> None:
    logins = {name: await crew.login(name) for name in ("", "ann", "cat")}
    for _ in range(2):
        await restart(crew)
        assert await who(crew, logins[""]) == "admin the admin token"
        assert await who(crew, logins["ann"]) == "admin ann"
        assert await who(crew, logins["cat"]) == "viewer cat"
    page = await crew.admin("GET", "/events", *logins["ann"])
    assert (page.status, b"Events" in page.body) == (200, True)
    assert (await crew.admin("POST", "/api/v1/scrub", *logins["ann"], body={})).status < 300


async def test_who_reads_the_file_is_nobody(crew: Crew) -> None:
    fields = await crew.login("ann")
    secret = dict(fields)["Cookie"].partition("=")[2]
    text = kept(crew).read_text()
    assert '"ann"' in text
    assert secret not in text
    assert dict(fields)["X-CSRF-Token"] not in text
    assert kept(crew).stat().st_mode & 0o777 == 0o600
    place = json.loads(text.partition("\n")[2])[0]["place"]
    stolen = (("Cookie", f"{dict(fields)['Cookie'].partition('=')[0]}={place}"),)
    await restart(crew)
    assert (await crew.admin("GET", "/api/v1/session", *stolen)).status == 401


async def test_who_was_logged_out_or_revoked_stays_out_though_the_node_is_killed(
    crew: Crew,
) -> None:
    admin = await crew.login("")
    left, revoked, stays = await crew.login("bob"), await crew.login("cat"), await crew.login("ann")
    await crew.admin("DELETE", "/api/v1/session", *left)
    at_logout = kept(crew).read_bytes()
    await crew.admin("POST", "/api/v1/revocations", *admin, body={"identity": "cat"})
    at_revocation = kept(crew).read_bytes()
    for text, out in ((at_logout, (left,)), (at_revocation, (left, revoked))):
        await restart(crew, lambda text=text: kept(crew).write_bytes(text))
        assert [await who(crew, fields) for fields in out] == [""] * len(out)
        assert await who(crew, stays) == "admin ann"
    # An older copy of the file does not bring back what was revoked since.
    await restart(crew, lambda: kept(crew).write_bytes(at_logout))
    assert await who(crew, revoked) == ""


async def test_what_changed_while_the_node_was_down_counts(crew: Crew) -> None:
    logins = {name: await crew.login(name) for name in ("ann", "bob", "cat")}

    def meanwhile() -> None:
        crew.access["roles"] = {"viewers": ["ann"], "admins": ["bob"]}

    await restart(crew, meanwhile)
    found = [await who(crew, logins[name]) for name in ("ann", "bob", "cat")]
    assert found == ["viewer ann", "operator bob", ""]  # the lesser of then and now


@pytest.mark.parametrize("change", ["removed", "another password"])
async def test_a_person_who_is_gone_or_has_another_password_is_out(
    crew: Crew, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    bob, ann = await crew.login("bob"), await crew.login("ann")
    people = {name: word for name, word in PEOPLE.items() if name != "bob"}
    if change != "removed":
        people["bob"] = "spring-tide"
    monkeypatch.setattr("tests.rig.crew.PEOPLE", people)
    await restart(crew)
    assert await who(crew, bob) == ""
    assert await who(crew, ann) == "admin ann"


async def test_a_lifetime_runs_on_while_the_node_is_down_and_no_clock_gives_it_back(
    crew: Crew,
) -> None:
    fields = await crew.login("ann")
    await restart(crew, lambda: crew.clock.pass_by(IDLE_SECONDS - 120))
    assert await who(crew, fields) == "admin ann"  # which uses it
    await restart(crew, lambda: crew.clock.pass_by(IDLE_SECONDS + 1))
    assert await who(crew, fields) == ""
    await restart(crew, lambda: crew.clock.set_back(2 * IDLE_SECONDS))
    assert await who(crew, fields) == ""


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "folder", "open", "token", "forged"])
async def test_a_file_that_cannot_be_believed_logs_everybody_out(crew: Crew, damage: str) -> None:
    fields = await crew.login("ann")

    def meanwhile() -> None:
        path = kept(crew)
        text = path.read_bytes()
        if damage == "folder":
            path.unlink()
            path.mkdir()
        elif damage == "open":
            path.chmod(0o640)
        elif damage == "token":
            (crew.folder / "data" / "admin.token").unlink()
        else:
            bad = {"cut": text[:-2], "bit": text[:-9] + bytes([text[-9] ^ 1]) + text[-8:],
                   "empty": b"", "forged": text.replace(b'"ann"', b'"bob"')}  # fmt: skip
            path.write_bytes(bad[damage])

    await restart(crew, meanwhile)
    assert await who(crew, fields) == ""
    told = [each for each in crew.node.events.recent() if each.kind == "sessions.forgotten"]
    assert [each.next_step for each in told] == ["log in to the pages again; nothing else is lost"]
    if damage != "folder":
        again = await crew.login("ann")
        await restart(crew)
        assert await who(crew, again) == "admin ann"


async def test_a_disk_that_takes_no_writes_lets_nobody_in_again(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, ann = await crew.login("bob"), await crew.login("ann")

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    good = file_whole.replace_file
    monkeypatch.setattr(file_whole, "replace_file", full)
    await crew.admin("DELETE", "/api/v1/session", *left)
    assert await who(crew, ann) == "admin ann"  # this process knows
    assert not kept(crew).exists()
    monkeypatch.setattr(file_whole, "replace_file", good)
    kinds = [each.kind for each in crew.node.events.recent()]
    assert kinds.count("sessions.unkept") == 1
    await restart(crew)
    assert await who(crew, left) == ""
    assert os.path.exists(kept(crew))


async def test_an_asker_who_leaves_while_the_file_is_written_brings_back_no_logout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go, ended = threading.Event(), threading.Event(), threading.Event()
    access = Access("the admin token of this node")
    file = tmp_path / SESSIONS_FILE
    kept = KeptSessions(access, file, now=time.time, events=Events(time.time))
    access.sessions.keep = kept.keep
    await kept.keep()

    def slow(path: Path, content: bytes) -> None:
        first = not began.is_set()
        began.set()
        if first:
            go.wait()
        replace_file(path, content)
        ended.set()

    replace_file = file_whole.replace_file
    monkeypatch.setattr(file_whole, "replace_file", slow)
    secret, _ = access.sessions.begin(ADMIN)
    writing = asyncio.ensure_future(kept.keep())
    await asyncio.to_thread(began.wait)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    # He is logged out, and who is logged in is what was written first of all.
    cookie = cookie_of(secret, Request("GET", "/")).partition(";")[0]
    leaving = asyncio.ensure_future(
        access.sessions.end(Request("DELETE", "/", Headers((("Cookie", cookie),))))
    )
    go.set()
    await leaving
    await asyncio.to_thread(ended.wait)
    assert file.read_bytes().partition(b"\n")[2] == b"[]"


async def test_a_page_says_that_the_login_is_over_and_leads_back(crew: Crew) -> None:
    fields = await crew.login("ann")
    await restart(crew, lambda: kept(crew).unlink())
    to_login = await crew.admin("GET", "/events?kind=outage.began", *fields)
    place = to_login.headers.get("Location") or ""
    assert place == "/login?next=%2Fevents%3Fkind%3Doutage.began"
    assert b"Your login is over" in (await crew.admin("GET", place, *fields)).body
    assert b"Your login is over" not in (await crew.admin("GET", place)).body
