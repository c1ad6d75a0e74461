"""The pages behind the admin door: who looks, and what is done for them.

Owns when they are made: at the first look, since most nodes are looked at rarely and the template
engine takes memory. What a page's form asks for goes through the routes of the API.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from skerry.aio.tasks import Nursery
from skerry.app.admin.replies import json_answer
from skerry.app.admin.sessions import Asker, Prove, Sessions, cookie_of, from_here
from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.dashboard.facts import Visitor
from skerry.dashboard.forms import read_form
from skerry.dashboard.paths import is_page
from skerry.registry.operations import Verified
from skerry.trust.tokens.core.rules import Role
from skerry.trust.tokens.identities import LoginRefused
from skerry.wire.message import Answer, Headers, Request

if TYPE_CHECKING:
    from skerry.app.admin.page_facts import NodeFacts
    from skerry.dashboard.actions import Call
    from skerry.dashboard.service import Dashboard


Api = Callable[[Request, Role], Awaitable[Answer]]
"""Answers for somebody in a role."""
MakeFacts = Callable[[Callable[[str], Awaitable[Verified]]], "NodeFacts"]


class AdminPages:
    """Handler for the paths that `dashboard.paths` knows.

    `api` answers for requests that were allowed; `facts` makes what the pages show, given what
    tells whose signatures an image has; `prove` knows who may log in.
    """

    def __init__(
        self,
        *,
        facts: MakeFacts,
        api: Api,
        prove: Prove,
        sessions: Sessions,
        clock: Clock,
        nursery: Nursery,
    ) -> None:
        self._facts = facts
        self._prove = prove
        self.sessions = sessions
        self._api = api
        self._clock = clock
        self._nursery = nursery
        self._secret = secrets.token_bytes(32)
        self._dashboard: Dashboard | None = None
        self._making = asyncio.Lock()

    async def __call__(self, request: Request, bearer: Callable[[], Asker | None]) -> Answer:
        """A page; `bearer` says who sent the request with a token of their own, if they did, for
        as long as the token holds."""
        dashboard = self._dashboard or await self._make()
        unsafe = request.method not in ("GET", "HEAD")
        if (unsafe or request.path.startswith("/live/")) and not from_here(request):
            return dashboard.refused("That form is not from here")
        if request.path == "/login":
            return await self._login(request, dashboard)
        session = self.sessions.find(request)
        visitor, asker = None, None if session is not None else bearer()
        if session is not None:
            visitor = _visitor(session.asker, session.csrf)
        elif asker is not None:
            csrf = hmac.digest(self._secret, asker.name.encode(), hashlib.sha256).hex()
            visitor = _visitor(asker, csrf)
        if request.path == "/logout":
            return await self._logout(request, visitor, dashboard)

        def lasts() -> bool:
            return self.sessions.lasts(session) if session is not None else bearer() is not None

        return await dashboard(request, visitor, lasts=lasts)

    async def _login(self, request: Request, dashboard: Dashboard) -> Answer:
        """The form, and what it is sent for."""
        form = await read_form(request) or {} if request.method == "POST" else {}
        onward = form.get("next") or request.query_value("next") or "/"
        if not is_page(onward.partition("?")[0]) or not _is_target(onward):
            onward = "/"  # never to another host, nor with anything that is no part of a URL
        if request.method != "POST":
            return dashboard.login(onward, over=self.sessions.is_over(request))
        name = form.get("name", "")
        try:
            who = await self._prove(request, name, form.get("secret", ""))
        except LoginRefused as error:
            return dashboard.login(onward, problem=str(error).capitalize(), name=name)
        secret, _ = self.sessions.begin(who)
        await self.sessions.keep()
        cookie = cookie_of(secret, request)
        return dashboard.to(onward, ("Set-Cookie", cookie))

    async def _logout(
        self, request: Request, visitor: Visitor | None, dashboard: Dashboard
    ) -> Answer:
        form = await read_form(request) or {} if request.method == "POST" else {}
        if visitor is None or form.get("csrf") != visitor.csrf:
            return dashboard.refused("That form is not of this login")
        await self.sessions.end(request)
        return dashboard.to("/login", ("Set-Cookie", cookie_of("", request)))

    async def _verified(self, reference: str) -> Verified:
        """Whose signatures an image has, as the API says it. Raises SkerryError."""
        query = urlencode({"reference": reference})
        request = Request("GET", "/api/v1/signatures", query=query)
        answer = await self._api(request, Role.VIEWER)
        if answer.status != 200 or not isinstance(answer.body, bytes):
            raise SkerryError(f"the signatures of {reference} cannot be read")
        return msgspec.json.decode(answer.body, type=Verified)

    async def overview(self, request: Request) -> Answer:
        """The first page as JSON: `GET /api/v1/overview`."""
        await asyncio.to_thread(importlib.import_module, "skerry.app.admin.page_facts")
        from skerry.dashboard.overview import look

        return json_answer(await look(self._facts(self._verified)))

    async def document(self, request: Request) -> Answer:
        """The API described: `GET /api/v1/openapi.json`."""
        await asyncio.to_thread(importlib.import_module, "skerry.app.admin.openapi")
        from skerry.app.admin.openapi import document

        return json_answer(document())

    async def _make(self) -> Dashboard:
        async with self._making:
            if self._dashboard is None:
                # It takes a tenth of a second, in which the doors go on answering.
                await asyncio.to_thread(importlib.import_module, "skerry.dashboard.service")
                self._dashboard = self._made()
            return self._dashboard

    def _made(self) -> Dashboard:
        from skerry.dashboard.jobs import Jobs
        from skerry.dashboard.pages import Pages
        from skerry.dashboard.service import Dashboard

        jobs = Jobs(clock=self._clock, nursery=self._nursery)
        pages = Pages(self._facts(self._verified))
        return Dashboard(pages=pages, jobs=jobs, clock=self._clock, do=self._do)

    async def _do(self, visitor: Visitor, call: Call) -> Answer:
        async def body() -> AsyncIterator[bytes]:
            if call.body is not None:
                yield msgspec.json.encode(call.body)

        fields = Headers((("Content-Type", "application/json"),))
        query = urlencode(call.query)
        request = Request(call.method, call.path, fields, query, body=body())
        return await self._api(request, visitor.role)


def _visitor(asker: Asker, csrf: str) -> Visitor:
    may_act = asker.role.includes(Role.OPERATOR)
    return Visitor(asker.name, csrf, may_act=may_act, role=asker.role)


def _is_target(text: str) -> bool:
    """Whether a field of a header may hold it: whoever makes a link to the form writes it."""
    return text.isascii() and all("!" <= each <= "~" for each in text)
