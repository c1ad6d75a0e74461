"""The admin door: health, metrics and the API behind `skerry` commands.

Owns the routes, their JSON and the two checks on the way in. Decides nothing: what is about
images is behind Operations, what is about sites behind EdgeDesk. `docs/reference/admin-api.md`
describes every route.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

import msgspec

from skerry.app.admin.access import Access
from skerry.app.admin.asked import (
    EvictRequest,
    ExportRequest,
    ImportRequest,
    ReferenceRequest,
    WarmRequest,
)
from skerry.app.admin.login import AdminLogin
from skerry.app.admin.pages import AdminPages
from skerry.app.admin.replies import (
    Route,
    Routes,
    failed,
    failure,
    headers_of,
    json_answer,
    read_body,
    since_of,
    stream_answer,
)
from skerry.app.admin.roles import OPEN, may
from skerry.app.admin.sessions import Prove, Sessions, from_here
from skerry.app.edge.desk import EdgeDesk, PurgeRequest
from skerry.app.prewarm_desk import PrewarmRequest
from skerry.app.telemetry.ratios import hit_ratios
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.base.reference import Reference
from skerry.dashboard.paths import is_page
from skerry.registry.operations import Operations, Status
from skerry.telemetry.exposition import preferred
from skerry.telemetry.horizon import Expiry
from skerry.telemetry.metrics import Registry
from skerry.trust.tokens.core.rules import Role
from skerry.wire.message import QUERY_FIELDS_MAX, Answer, BodyAborted, Request

IMAGES_MAX = 1000

_log = logging.getLogger("skerry.admin")


@dataclass(frozen=True, slots=True)
class AdminStatistics:
    """A snapshot: requests answered, and those refused for their host, token or role."""

    answered: int
    refused_host: int
    refused_token: int
    refused_role: int


class AdminDoor:
    """Answers for the admin door.

    `not_ready` says why the data plane cannot serve, "" when it can; `edge` is None on a node
    without a site; `processes` says how many serve the public doors, and do now; `ends_first`
    what needs the outside and ends first; `more` are routes of other rooms, below /api.
    """

    def __init__(
        self,
        operations: Operations,
        *,
        metrics: Registry,
        access: Access,
        not_ready: Callable[[], str],
        edge: EdgeDesk | None = None,
        processes: Callable[[], tuple[int, int]] = lambda: (1, 1),
        ends_first: Callable[[], Expiry | None] = lambda: None,
        more: Sequence[Routes] = (),
    ) -> None:
        self._operations = operations
        self._metrics = metrics
        self._access = access
        self.not_ready = not_ready
        self._edge = edge
        self._processes = processes
        self._ends_first = ends_first
        self._pages: AdminPages | None = None
        self._login = AdminLogin(access)
        self._answered = self._refused_host = self._refused_token = self._refused_role = 0
        self._open: Mapping[str, Mapping[str, Route]] = {
            "/healthz": {"GET": self._healthz},
            "/readyz": {"GET": self._readyz},
            "/metrics": {"GET": self._expose},
        }
        self._api: Mapping[str, Mapping[str, Route]] = {
            "/api/v1/status": {"GET": self._status},
            "/api/v1/images": {"GET": self._images, "DELETE": self._remove},
            "/api/v1/warm": {"POST": self._warm},
            "/api/v1/pins": {"POST": self._pin, "DELETE": self._unpin},
            "/api/v1/scrub": {"POST": self._scrub},
            "/api/v1/evict": {"POST": self._evict},
            "/api/v1/export": {"POST": self._export},
            "/api/v1/import": {"POST": self._import},
            "/api/v1/events": {"GET": self._events},
            "/api/v1/purge": {"POST": self._purge},
            "/api/v1/purges": {"GET": self._purges},
            "/api/v1/prewarm": {"POST": self._prewarm},
        }
        for routes in (self._login.routes, *more):
            self._api = {**self._api, **routes}

    def show(self, pages: AdminPages) -> None:
        """Has the door show pages; before it is opened."""
        self._pages = pages
        self._api = {
            **self._api,
            "/api/v1/overview": {"GET": pages.overview},
            "/api/v1/openapi.json": {"GET": pages.document},
        }

    @property
    def sessions(self) -> Sessions:
        """Every login."""
        return self._access.sessions

    @property
    def prove(self) -> Prove:
        """Who may log in to the pages."""
        return self._login.prove

    def routes(self) -> frozenset[tuple[str, str]]:
        """Method and path of everything below /api."""
        return frozenset((method, path) for path, each in self._api.items() for method in each)

    def statistics(self) -> AdminStatistics:
        """What this door has done since start."""
        return AdminStatistics(
            self._answered, self._refused_host, self._refused_token, self._refused_role
        )

    async def __call__(self, request: Request) -> Answer:
        self._answered += 1
        if not self._access.host_allowed(request):
            self._refused_host += 1
            step = "use an IP address or localhost, or add the name to doors.admin_hosts"
            return failure(421, Party.CLIENT, "this door does not answer to that host name", step)
        if request.query.count("&") >= QUERY_FIELDS_MAX:
            step = f"send {QUERY_FIELDS_MAX} at most"
            return failure(400, Party.CLIENT, "the query has too many fields", step)
        if request.path == "/api" or request.path.startswith("/api/"):
            return await self._asked(request)
        if self._pages is not None and is_page(request.path):
            return await self._pages(request, partial(self._access.bearer, request))
        return await self._routed(request, self._open.get(request.path))

    async def _asked(self, request: Request) -> Answer:
        """A request of the API, from outside."""
        unsafe = request.method not in ("GET", "HEAD")
        # Reading, too: a page of another port of this host sends the cookie, and what it has read
        # again and again is work for the node, though it is never shown to it.
        if not from_here(request):
            return failure(403, Party.CLIENT, "another site's page made this request", "")
        if (request.method, request.path) in OPEN:
            return await self._routed(request, self._api.get(request.path))
        asker, csrf = self._access.asker(request)
        if asker is None:
            self._refused_token += 1
            return _unauthorized()
        given = request.headers.get("X-CSRF-Token") or ""
        if unsafe and csrf and not hmac.compare_digest(given.encode(), csrf.encode()):
            step = "send what GET /api/v1/session says as X-CSRF-Token"
            return failure(403, Party.CLIENT, "the login's secret is missing", step)
        return await self.api(request, asker.role)

    async def api(self, request: Request, role: Role) -> Answer:
        """Answers a request of the API for somebody in a role."""
        methods = self._api.get(request.path)
        method = "GET" if request.method == "HEAD" else request.method
        if methods is not None and method in methods and not may(role, method, request.path):
            self._refused_role += 1
            step = "ask the operator for another role (access.roles)"
            return failure(403, Party.CLIENT, f"your role, {role}, may not do that", step)
        return await self._routed(request, methods)

    async def _routed(self, request: Request, methods: Mapping[str, Route] | None) -> Answer:
        if methods is None:
            return failure(404, Party.CLIENT, f"there is no {request.path[:200]} here", "")
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            answer = failure(405, Party.CLIENT, f"{request.path} does not take that method", "")
            return Answer(405, answer.headers.with_fields(("Allow", ", ".join(methods))),
                          answer.body)  # fmt: skip
        try:
            return await route(request)
        except SkerryError as error:
            return failed(error)
        except BodyAborted:
            raise
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            step = "its log has the traceback; please report it"
            return failure(500, Party.NODE, "the node has a fault of its own", step)

    # health and numbers

    async def _healthz(self, request: Request) -> Answer:
        return _text(200, "alive\n")

    async def _readyz(self, request: Request) -> Answer:
        reason = self.not_ready()
        return _text(503, f"not ready: {reason}\n") if reason else _text(200, "ready\n")

    async def _expose(self, request: Request) -> Answer:
        media_type = preferred(request.headers.joined("Accept"))
        fields = headers_of(media_type).with_fields(("Vary", "Accept"))
        return Answer(200, fields, self._metrics.expose(media_type).encode())

    # the API

    async def _status(self, request: Request) -> Answer:
        return json_answer(await self.status())

    async def status(self) -> Status:
        """The node at one glance, with what each room of it tells."""
        sites = self._edge.sites() if self._edge else ()
        processes, serving = self._processes()
        status = await self._operations.status()
        spending = (*status.spending, *(self._edge.spending() if self._edge else ()))
        told = replace(status, sites=sites, spending=spending, processes=processes, serving=serving)
        ratios = hit_ratios(self._metrics)
        return replace(told, ends_first=self._ends_first(), ratios=ratios)

    async def _images(self, request: Request) -> Answer:
        rows = await self._operations.list_images()
        if _flag(request, "missing"):
            rows = [row for row in rows if not row.whole]
        return json_answer({"images": rows})

    async def _remove(self, request: Request) -> Answer:
        return json_answer(await self._operations.remove(_reference_of(request)))

    async def _warm(self, request: Request) -> Answer:
        wanted = await read_body(request, WarmRequest)
        if not 0 < len(wanted.images) <= IMAGES_MAX:
            raise BadInput(f"{len(wanted.images)} images", next_step=f"name 1 to {IMAGES_MAX}")
        if wanted.bytes_max is not None and wanted.bytes_max < 0:
            raise BadInput("bytes_max is negative", next_step="leave it out for no cap")
        for image in wanted.images:
            _reference(image)  # a slip of the pen in one of many: before anything is fetched
        events = self._operations.warm(
            wanted.images,
            platforms=wanted.platforms,
            all_platforms=wanted.all_platforms,
            bytes_max=wanted.bytes_max,
        )
        return await stream_answer(events)

    async def _pin(self, request: Request) -> Answer:
        wanted = await read_body(request, ReferenceRequest)
        return json_answer(await self._operations.pin(_reference(wanted.reference)))

    async def _unpin(self, request: Request) -> Answer:
        return json_answer(await self._operations.unpin(_reference_of(request)))

    async def _scrub(self, request: Request) -> Answer:
        return await stream_answer(self._operations.scrub())

    async def _evict(self, request: Request) -> Answer:
        wanted = await read_body(request, EvictRequest)
        if wanted.bytes is not None and wanted.reference is not None:
            raise BadInput("bytes and reference exclude each other", next_step="send one of them")
        if wanted.bytes is not None and wanted.bytes < 0:
            raise BadInput("bytes is negative", next_step="say how much room is wanted")
        reference = wanted.reference and _reference(wanted.reference)
        return json_answer(
            await self._operations.evict(bytes_wanted=wanted.bytes, reference=reference or None)
        )

    async def _export(self, request: Request) -> Answer:
        wanted = await read_body(request, ExportRequest)
        path = _absolute(wanted.path)
        return json_answer(await self._operations.export(_reference(wanted.reference), path))

    async def _import(self, request: Request) -> Answer:
        wanted = await read_body(request, ImportRequest)
        name = wanted.name and _reference(wanted.name)
        return json_answer(
            await self._operations.import_layout(_absolute(wanted.path), name or None)
        )

    async def _events(self, request: Request) -> Answer:
        since = since_of(request)
        found = await self._operations.events(since, request.query_value("kind") or "")
        return json_answer({"events": found})

    async def _purge(self, request: Request) -> Answer:
        wanted = await read_body(request, PurgeRequest)
        purged = await self._sites().purge(wanted)
        siblings = [{"name": name, "confirmed": has} for name, has in purged.siblings.items()]
        return json_answer({"receipt": msgspec.Raw(purged.receipt.line), "siblings": siblings})

    async def _purges(self, request: Request) -> Answer:
        text = request.query_value("after") or "0"
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            step = "send the sequence number of a receipt"
            raise BadInput("after is not a number", next_step=step)
        desk = self._sites()
        lines = [msgspec.Raw(line) for line in desk.receipts(int(text))]
        return json_answer({"public_key": desk.public_key, "receipts": lines})

    async def _prewarm(self, request: Request) -> Answer:
        wanted = await read_body(request, PrewarmRequest)
        return await stream_answer(await self._sites().prewarm.run(wanted))

    def _sites(self) -> EdgeDesk:
        if self._edge is None:
            raise SkerryError(
                "this node serves no site",
                next_step="describe one: [[site]] in docs/reference/settings.md",
                party=Party.OPERATOR,
            )
        return self._edge


def _unauthorized() -> Answer:
    step = "send Authorization: Bearer with what is in <data_dir>/admin.token"
    answer = failure(401, Party.CLIENT, "the admin token is missing or wrong", step)
    fields = answer.headers.with_fields(("WWW-Authenticate", 'Bearer realm="skerry admin"'))
    return Answer(401, fields, answer.body)


def _text(status: int, text: str) -> Answer:
    return Answer(status, headers_of("text/plain; charset=utf-8"), text.encode())


def _reference(text: str) -> str:
    """The reference as written, once it is known to be one."""
    Reference.parse(text)
    return text


def _reference_of(request: Request) -> str:
    text = request.query_value("reference")
    if not text:
        raise BadInput("no image is named", next_step="add ?reference=IMAGE")
    return _reference(text)


def _flag(request: Request, name: str) -> bool:
    value = request.query_value(name)
    if value not in (None, "", "1", "true", "0", "false"):
        raise BadInput(f"{name} is neither true nor false", next_step="write true, or leave it out")
    return value in ("", "1", "true")


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path or not PurePosixPath(path).name:
        raise BadInput(
            f"{path[:200]!r} is not the absolute path of a file or folder",
            next_step="write it from the root, /...",
        )
    return path
