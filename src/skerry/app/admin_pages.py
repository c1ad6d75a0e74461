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
from skerry.app.admin_replies import json_answer
from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.registry.operations import Verified
from skerry.wire.message import Answer, Handler, Headers, Request

if TYPE_CHECKING:
    from skerry.app.page_facts import NodeFacts
    from skerry.dashboard.actions import Call
    from skerry.dashboard.facts import Visitor
    from skerry.dashboard.service import Dashboard


MakeFacts = Callable[[Callable[[str], Awaitable[Verified]]], "NodeFacts"]


class AdminPages:
    """Handler for the paths that `dashboard.paths` knows.

    `api` answers for requests that were allowed; `facts` makes what the pages show, given what
    tells whose signatures an image has.
    """

    def __init__(self, *, facts: MakeFacts, api: Handler, clock: Clock, nursery: Nursery) -> None:
        self._facts = facts
        self._api = api
        self._clock = clock
        self._nursery = nursery
        self._secret = secrets.token_bytes(32)
        self._dashboard: Dashboard | None = None
        self._making = asyncio.Lock()

    async def __call__(self, request: Request, who: str | None) -> Answer:
        """A page for `who`; None for whoever may not look."""
        dashboard = self._dashboard or await self._make()
        return await dashboard(request, None if who is None else self._visitor(who))

    async def _verified(self, reference: str) -> Verified:
        """Whose signatures an image has, as the API says it. Raises SkerryError."""
        query = urlencode({"reference": reference})
        answer = await self._api(Request("GET", "/api/v1/signatures", query=query))
        if answer.status != 200 or not isinstance(answer.body, bytes):
            raise SkerryError(f"the signatures of {reference} cannot be read")
        return msgspec.json.decode(answer.body, type=Verified)

    async def overview(self, request: Request) -> Answer:
        """The first page as JSON: `GET /api/v1/overview`."""
        await asyncio.to_thread(importlib.import_module, "skerry.app.page_facts")
        from skerry.dashboard.overview import look

        return json_answer(await look(self._facts(self._verified)))

    async def document(self, request: Request) -> Answer:
        """The API described: `GET /api/v1/openapi.json`."""
        await asyncio.to_thread(importlib.import_module, "skerry.app.openapi")
        from skerry.app.openapi import document

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

    def _visitor(self, who: str) -> Visitor:
        from skerry.dashboard.facts import Visitor

        csrf = hmac.digest(self._secret, who.encode(), hashlib.sha256).hex()
        return Visitor(who, csrf, may_act=True)

    async def _do(self, visitor: Visitor, call: Call) -> Answer:
        async def body() -> AsyncIterator[bytes]:
            if call.body is not None:
                yield msgspec.json.encode(call.body)

        fields = Headers((("Content-Type", "application/json"),))
        query = urlencode(call.query)
        return await self._api(Request(call.method, call.path, fields, query, body=body()))
