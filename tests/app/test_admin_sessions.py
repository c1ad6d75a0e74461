"""Logging in to the pages: with the right secret, for a while, and never on another's behalf."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import cast
from urllib.parse import urlencode

import pytest

from skerry.aio.tasks import Nursery
from skerry.app.admin.access import Access
from skerry.app.admin.door import AdminDoor
from skerry.app.admin.page_facts import NodeFacts
from skerry.app.admin.pages import AdminPages
from skerry.app.admin.sessions import IDLE_SECONDS, LIFE_SECONDS, SESSIONS_MAX, Asker, Sessions
from skerry.base.clock import ManualClock
from skerry.dashboard.service import LIVE_SECONDS
from skerry.telemetry.metrics import Registry
from skerry.trust.tokens.core.rules import Role
from skerry.wire.message import Answer, Headers, Request
from tests.app.operations_twin import RememberingOperations
from tests.dashboard.scene import full_facts, text_of

TOKEN = "t" * 43
HERE = "127.0.0.1:9090"


class Browser:
    """Keeps a cookie and says where its forms come from."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.facts = full_facts(self.clock)
        self.operations = RememberingOperations()
        self.nursery = Nursery(on_crash=lambda name, error: None)
        self.door = AdminDoor(
            self.operations,
            metrics=Registry(),
            access=Access(TOKEN, sessions=Sessions(self.clock)),
            not_ready=lambda: "",
        )
        self.pages = AdminPages(
            facts=lambda verify: cast(NodeFacts, self.facts),
            api=self.door.api,
            prove=self.door.prove,
            sessions=self.door.sessions,
            clock=self.clock,
            nursery=self.nursery,
        )
        self.door.show(self.pages)
        self.cookie = ""

    async def get(self, path: str) -> Answer:
        return await self.door(Request("GET", *self._target(path)))

    async def post(self, path: str, form: dict[str, str], *more: tuple[str, str]) -> Answer:
        async def body() -> AsyncIterator[bytes]:
            yield urlencode(form).encode()

        kind = ("Content-Type", "application/x-www-form-urlencoded")
        name, fields, query = self._target(path, kind, *more)
        answer = await self.door(Request("POST", name, fields, query, body=body()))
        if (cookie := answer.headers.get("Set-Cookie")) is not None:
            assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
            self.cookie = cookie.partition(";")[0]
        return answer

    def _target(self, path: str, *more: tuple[str, str]) -> tuple[str, Headers, str]:
        name, _, query = path.partition("?")
        own = (("Host", HERE), ("Cookie", self.cookie or "a=b"))
        return name, Headers((*own, *more)), query

    async def login(self, secret: str = TOKEN, **more: str) -> Answer:
        return await self.post("/login", {"name": "", "secret": secret, **more})


async def test_the_admin_token_opens_the_pages_and_logging_out_closes_them() -> None:
    browser = Browser()
    assert (await browser.get("/images")).headers.get("Location") == "/login?next=%2Fimages"
    assert "Log in" in text_of(await browser.get("/login?next=%2Fimages"))
    answer = await browser.login(next="/images")
    assert (answer.status, answer.headers.get("Location")) == (303, "/images")
    page = text_of(await browser.get("/images"))
    [csrf] = set(re.findall(r'name="csrf" value="([^"]+)"', page))
    kept = browser.cookie
    await browser.post("/logout", {"csrf": csrf})
    browser.cookie = kept  # a copy of the cookie is worth nothing either
    assert (await browser.get("/images")).status == 303


@pytest.mark.parametrize("secret", ["", "t" * 42, "T" * 43, "\u00e9"])
async def test_a_wrong_secret_opens_nothing(secret: str) -> None:
    browser = Browser()
    answer = await browser.login(secret)
    assert answer.status == 403
    assert "is wrong" in text_of(answer)
    assert browser.cookie == ""


@pytest.mark.parametrize(
    "onward",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)",
     "/images?\r\nSet-Cookie: a=b", "/static/\r\n\r\n<p>", "/images?q=\u00e9", "/images?\u20ac"],
)  # fmt: skip
async def test_a_login_leads_to_no_other_host(onward: str) -> None:
    answer = await Browser().login(next=onward)
    assert answer.headers.get("Location") == "/"


@pytest.mark.parametrize(
    "field",
    [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "https://127.0.0.1:9090"),
    ],
)
async def test_a_form_of_another_site_is_not_taken(field: tuple[str, str]) -> None:
    browser = Browser()
    await browser.login()
    page = text_of(await browser.get("/actions/pin"))
    [csrf] = set(re.findall(r'name="csrf" value="([^"]+)"', page))
    form = {"csrf": csrf, "reference": "docker.io/library/nginx:1"}
    assert (await browser.post("/actions/pin", form, field)).status == 403
    await browser.nursery.idle()
    assert browser.operations.asked == []
    here = ("Origin", f"http://{HERE}")
    assert (await browser.post("/actions/pin", form, here)).status == 303
    await browser.nursery.close()


async def test_the_form_of_one_login_is_not_taken_in_another() -> None:
    browser = Browser()
    await browser.login()
    [csrf] = set(re.findall(r'name="csrf" value="([^"]+)"', text_of(await browser.get("/images"))))
    await browser.login()
    form = {"csrf": csrf, "reference": "docker.io/library/nginx:1"}
    assert (await browser.post("/actions/pin", form)).status == 403


async def test_a_session_reads_the_api_and_changes_nothing_without_its_secret() -> None:
    browser = Browser()
    await browser.login()
    assert (await browser.get("/api/v1/status")).status == 200
    assert (await browser.post("/api/v1/scrub", {})).status == 403
    assert browser.operations.asked == []


def request(secret: str) -> Request:
    return Request("GET", "/", Headers((("Cookie", f"x=1; skerry_session={secret}"),)))


def test_a_session_ends_when_it_is_not_used_and_in_any_case() -> None:
    clock = ManualClock()
    sessions = Sessions(clock)
    idle, used = (sessions.begin(Asker(name, Role.OPERATOR))[0] for name in ("a", "b"))
    passed = 0.0
    while passed < LIFE_SECONDS - IDLE_SECONDS / 2:
        assert sessions.find(request(used)) is not None
        clock.advance(IDLE_SECONDS / 2)
        passed += IDLE_SECONDS / 2
    assert sessions.find(request(idle)) is None
    clock.advance(IDLE_SECONDS / 2)
    assert sessions.find(request(used)) is None
    assert sessions.statistics().open_count == 0


def test_sessions_are_bounded() -> None:
    sessions = Sessions(ManualClock())
    first, _ = sessions.begin(Asker("a", Role.OPERATOR))
    for number in range(SESSIONS_MAX):
        last, _ = sessions.begin(Asker(f"b{number}", Role.VIEWER))
    assert sessions.find(request(first)) is None
    assert sessions.find(request(last)) is not None
    assert sessions.statistics().open_count == SESSIONS_MAX


@pytest.mark.parametrize("cookie", ["", "skerry_session", "skerry_session=;;;", "\x00", "x" * 9999])
def test_an_odd_cookie_is_nobody(cookie: str) -> None:
    sessions = Sessions(ManualClock())
    assert sessions.find(Request("GET", "/", Headers((("Cookie", cookie),)))) is None


@pytest.mark.parametrize(
    "beside",
    [
        'theme={"a": "b"}',
        "x y=1",
        "[]=1",
        "skerry_session_9091=other",
        'a="',
        "",
        "=;;",
        "q" * 9000,
    ],
)
async def test_what_other_programs_of_the_host_keep_in_cookies_logs_nobody_out(beside: str) -> None:
    browser = Browser()
    await browser.login()
    own = browser.cookie
    assert own.startswith("skerry_session_9090=")
    for cookie in (f"{beside}; {own}", f"{own}; {beside}"):
        browser.cookie = cookie
        assert (await browser.get("/images")).status == 200


async def test_a_page_that_stays_open_is_told_nothing_more_once_its_login_is_over() -> None:
    for over in ("logout", "revoked", "idle"):
        browser = Browser()
        await browser.login()
        page = text_of(await browser.get("/"))
        stream = (await browser.get("/live/overview")).body
        assert isinstance(stream, AsyncIterator)
        assert (await anext(stream)).startswith(b"event: part")
        if over == "logout":
            csrf = re.search(r'name="csrf" value="([^"]+)"', page)
            assert csrf is not None
            await browser.post("/logout", {"csrf": csrf[1]})
        elif over == "revoked":
            await browser.door.sessions.end_all(lambda each: True)
        else:
            browser.clock.advance(IDLE_SECONDS)
        browser.facts.happened = ()
        browser.clock.advance(LIVE_SECONDS)
        told = browser.nursery.start(_rest(stream), name="reader")
        for _ in range(50):
            await asyncio.sleep(0)
            browser.clock.advance(LIVE_SECONDS)
        assert told.done(), over
        assert told.result() == [], over


async def _rest(stream: AsyncIterator[object]) -> list[object]:
    return [piece async for piece in stream]


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
@pytest.mark.parametrize("path", ["/live/overview", "/api/v1/overview"])
async def test_another_ports_page_has_no_part_of_a_login_not_even_to_read(
    path: str, site: str
) -> None:
    browser = Browser()
    await browser.login()
    assert (await browser.get(path)).status == 200
    name, fields, query = browser._target(path, ("Sec-Fetch-Site", site))
    assert (await browser.door(Request("GET", name, fields, query))).status == 403
    name, fields, query = browser._target(path, ("Sec-Fetch-Site", "same-origin"))
    assert (await browser.door(Request("GET", name, fields, query))).status == 200
