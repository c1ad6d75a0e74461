"""The pages over HTTP.

Owns paths, forms, the streams of what changes and the fields that keep a browser from being used
against its owner. Who looks is decided elsewhere; what is done is done by the admin API.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from skerry.base.clock import Clock
from skerry.base.errors import BadInput, SkerryError
from skerry.dashboard.actions import ACTIONS, Action, Call, filled
from skerry.dashboard.facts import Visitor
from skerry.dashboard.forms import read_form
from skerry.dashboard.jobs import Jobs
from skerry.dashboard.pages import HERE, Pages
from skerry.dashboard.words import machine_time
from skerry.wire.message import Answer, Headers, Request

STREAMS_MAX = 32
GONE = "It was never pulled, was removed, or left longer ago than the node remembers."
LIVE_SECONDS = 2.0
SILENCE_SECONDS = 14.0
"""A stream says something at least so often: a NAT forgets what is silent (requirements L1)."""
STATIC = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}

SAFE = (
    ("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self';"
     " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
     " frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)  # fmt: skip
"""No other host has a part in these pages, and none may show them in a frame."""


@dataclass(frozen=True, slots=True)
class DashboardStatistics:
    """A snapshot; counts are since start."""

    page_count: int
    stream_count: int
    refused_count: int


Do = Callable[[Visitor, Call], Awaitable[Answer]]
"""Has the admin API answer what a visitor asks for, as far as they may."""


class Dashboard:
    """Handler for every path of the admin door that is a page."""

    def __init__(self, *, pages: Pages, jobs: Jobs, clock: Clock, do: Do) -> None:
        self._pages = pages
        self._jobs = jobs
        self._clock = clock
        self._do = do
        self._shown = self._streams = self._refused = 0
        self._static = {
            name: (kind, (HERE / "static" / name).read_bytes()) for name, kind in STATIC.items()
        }

    def statistics(self) -> DashboardStatistics:
        return DashboardStatistics(self._shown, self._streams, self._refused)

    async def __call__(
        self,
        request: Request,
        visitor: Visitor | None,
        *,
        lasts: Callable[[], bool] = lambda: True,
    ) -> Answer:
        """A page; `visitor` is None for whoever is not logged in, `lasts` says whether they still
        are: a page that stays open is told nothing more once they are not."""
        if request.path.startswith("/static/"):
            return self._file(request.path.removeprefix("/static/"))
        if visitor is None:
            query = f"?{request.query}" if request.query else ""
            wanted = request.path + query if request.method == "GET" else "/"
            return _to(f"/login?{urlencode({'next': wanted})}")
        self._shown += 1
        if request.path.startswith("/live/"):
            return self._live(request.path.removeprefix("/live/"), lasts)
        if request.path.startswith("/actions/"):
            return await self._action(request, visitor, request.path.removeprefix("/actions/"))
        if request.path == "/image":
            return await self._image(request, visitor)
        page = self._plain.get(request.path)
        if page is None:
            return self._sorry(visitor, 404, "There is no such page", "")
        if request.method not in ("GET", "HEAD"):
            return self._sorry(visitor, 405, "A page is read, not written", "")
        try:
            return _html(200, await page(request, visitor))
        except BadInput as error:
            return self._sorry(visitor, 400, error.what, error.next_step)
        except SkerryError as error:
            return self._sorry(visitor, 500, error.what, error.next_step)

    @property
    def _plain(self) -> Mapping[str, Callable[[Request, Visitor], Awaitable[str]]]:
        pages = self._pages
        return {
            "/": lambda r, v: pages.overview(v),
            "/images": lambda r, v: pages.images(v, _asked(r)),
            "/objects": lambda r, v: pages.objects(v, _asked(r)),
            "/upstreams": lambda r, v: pages.upstreams(v),
            "/fills": lambda r, v: pages.fills(v),
            "/events": lambda r, v: pages.events(v, _asked(r)),
            "/incidents": lambda r, v: pages.incidents(v),
            "/horizon": lambda r, v: pages.horizon(v),
            "/costs": lambda r, v: pages.costs(v, r.query_value("month") or ""),
            "/settings": lambda r, v: pages.settings(v),
            "/jobs": lambda r, v: self._jobs_page(v),
        }

    async def _jobs_page(self, visitor: Visitor) -> str:
        return self._pages.render("jobs", visitor, rows=self._jobs.listed())

    async def _image(self, request: Request, visitor: Visitor) -> Answer:
        try:
            found = await self._pages.image(visitor, request.query_value("reference") or "")
        except SkerryError as error:
            return self._sorry(visitor, 500, error.what, error.next_step)
        if found is None:
            return self._sorry(visitor, 404, "That image is not here", GONE)
        return _html(200, found)

    # who looks

    def login(
        self, onward: str, *, problem: str = "", name: str = "", over: bool = False
    ) -> Answer:
        """The form for whoever is not logged in; `over`: they were, a moment ago."""
        text = self._pages.render(
            "login", None, onward=onward, problem=problem, name=name, over=over
        )
        return _html(403 if problem else 200, text)

    def to(self, path: str, *fields: tuple[str, str]) -> Answer:
        """Onward to one of our pages, with more fields."""
        answer = _to(path)
        return Answer(answer.status, answer.headers.with_fields(*fields))

    def refused(self, what: str) -> Answer:
        """For a form that is not taken."""
        self._refused += 1
        step = "Load the page again and repeat it."
        return _html(403, self._pages.render("sorry", None, what=what, next_step=step))

    # what is done

    async def _action(self, request: Request, visitor: Visitor, name: str) -> Answer:
        action = ACTIONS.get(name)
        if action is None:
            return self._sorry(visitor, 404, "There is no such action", "")
        if not visitor.may_act:
            self._refused += 1
            return self._sorry(visitor, 403, "You may look, not act", "Ask for another role.")
        if request.method in ("GET", "HEAD"):
            values = {field.name: request.query_value(field.name) or "" for field in action.fields}
            return self._confirm(visitor, action, values)
        if request.method != "POST":
            return self._sorry(visitor, 405, "An action is a form", "")
        form = await read_form(request)
        if form is None or not visitor.csrf or form.get("csrf") != visitor.csrf:
            self._refused += 1
            step = "Load the page again and repeat it: the form was not made for this login."
            return self._sorry(visitor, 403, "That form cannot be taken", step)
        try:
            values = filled(action, form)
            self._jobs.start(
                action,
                action.call(values),
                about=values.get(action.about, "") or next(iter(values.values()), ""),
                by=visitor.name,
                api=lambda call: self._do(visitor, call),
            )
        except BadInput as error:
            return self._confirm(visitor, action, form, problem=f"{error.what}: {error.next_step}")
        return _to("/jobs")

    def _confirm(
        self, visitor: Visitor, action: Action, values: Mapping[str, str], *, problem: str = ""
    ) -> Answer:
        text = self._pages.render(
            "confirm", visitor, action=action, values=values, problem=problem, back=action.back
        )
        return _html(400 if problem else 200, text)

    # what changes

    def _live(self, what: str, lasts: Callable[[], bool]) -> Answer:
        parts: Mapping[str, Callable[[], Awaitable[str]]] = {
            "overview": self._pages.overview_live,
            "fills": self._pages.fills_live,
            "upstreams": self._pages.upstreams_live,
            "incidents": self._pages.incidents_live,
            "jobs": self._jobs_live,
        }
        if what not in parts:
            return Answer(404, Headers((*SAFE, ("Cache-Control", "no-store"))))
        if self._streams >= STREAMS_MAX:
            fields = (("Retry-After", "30"), ("Cache-Control", "no-store"))
            return Answer(503, Headers((*SAFE, *fields)))
        fields = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"))
        return Answer(200, Headers((*SAFE, *fields)), self._stream(parts[what], lasts))

    async def _jobs_live(self) -> str:
        return self._pages.render("jobs_live", None, rows=self._jobs.listed())

    async def _stream(
        self, part: Callable[[], Awaitable[str]], lasts: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """A part of a page each time it has changed, and a comment now and then."""
        last, told_at = "", self._clock.monotonic()
        self._streams += 1
        try:
            while lasts():
                text = await part()
                if text != last:
                    last, told_at = text, self._clock.monotonic()
                    at = machine_time(self._clock.now())
                    yield f"event: part\ndata: {json.dumps(text)}\nid: {at}\n\n".encode()
                elif self._clock.monotonic() - told_at >= SILENCE_SECONDS:
                    told_at = self._clock.monotonic()
                    yield b":\n\n"
                await self._clock.sleep(LIVE_SECONDS)
        finally:
            self._streams -= 1

    # answers

    def _file(self, name: str) -> Answer:
        found = self._static.get(name)
        if found is None:
            return Answer(404, Headers(SAFE))
        fields = (("Content-Type", f"{found[0]}; charset=utf-8"), ("Cache-Control", "max-age=300"))
        return Answer(200, Headers((*SAFE, *fields)), found[1])

    def _sorry(self, visitor: Visitor, status: int, what: str, next_step: str) -> Answer:
        return _html(status, self._pages.render("sorry", visitor, what=what, next_step=next_step))


def _asked(request: Request) -> Callable[[str], str]:
    return lambda name: request.query_value(name) or ""


def _html(status: int, text: str) -> Answer:
    fields = (("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"))
    return Answer(status, Headers((*SAFE, *fields)), text.encode())


def _to(path: str) -> Answer:
    return Answer(303, Headers((*SAFE, ("Location", path), ("Cache-Control", "no-store"))))
