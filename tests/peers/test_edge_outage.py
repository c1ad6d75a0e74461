"""Every way an origin goes away, for every kind of route: which rung of the ladder answers.

Fresh, else stale where it may be, else a clear error; a write and what is sensitive never come from
here. Before and after kill -9, and back to live when the origin is. The lies that only a digest
could find (a changed byte) are in `test_edge_digests`.
"""

from __future__ import annotations

import itertools
import time

import pytest

from tests.rig import faulty
from tests.rig.http import Asked, Reply
from tests.rig.outage import FAULTS, Fault, Road
from tests.rig.pages import Seen, Visitor
from tests.rig.processes import Rig, certificate
from tests.rig.shelf import Shelf, shelf, site_of

DECISION_SECONDS_MAX = 2.0
HEALED_SECONDS_MAX = 30.0
GONE = frozenset({502, 503, 504})
UNREACHABLE = ("dns-nxdomain", "dns-servfail", "dns-hang", "refused", "reset", "tls-stall",
               "silence", "drip")  # fmt: skip
ERRORS = ("status-500", "status-502", "status-503", "status-504")
CELLS = [fault for fault in FAULTS if fault.name in (*UNREACHABLE, *ERRORS)]

# path, what the origin says of it
PAGES = {
    "/fresh": "max-age=3600",
    "/plain": "max-age=0",
    "/swr": "max-age=0, stale-if-error=3600",
    "/must": "max-age=0, must-revalidate",
    "/kept/page": "max-age=0, must-revalidate",
    "/account/me": "max-age=3600",
}
STALE_WHEN_UNREACHABLE = ("/plain", "/swr", "/kept/page")
STALE_AFTER_ERRORS = ("/swr", "/kept/page")


class Site:
    """An origin behind a breakable road, and a node before it."""

    def __init__(self, rig: Rig, *, tls: bool) -> None:
        self.numbers = itertools.count()
        self.origin: Shelf = shelf(rig, self.answer)
        self.version = 1
        self.posted = 0
        self.write()
        self.road = Road(rig, self.origin, tls=tls)
        routes = [
            {"data_class": "public", "methods": ["GET", "HEAD", "POST"]},
            {"prefix": "/kept/", "data_class": "public", "stale_if_error": "1d"},
            {"prefix": "/account/"},
        ]
        waits = {"connect": "300ms", "first_byte": "500ms", "stall": "500ms"}
        more = {"ca_file": str(certificate(rig.folder)[0])} if tls else {}
        made = site_of(self.road.url, *routes, preserve_host=False, **waits, **more)
        dns = {"servers": [f"127.0.0.1:{self.road.names.port}"]}
        self.visitor = Visitor(rig, rig.node({**made, "dns": dns}, name="rock"))

    async def answer(self, asked: Asked) -> Reply | None:
        if asked.method == "POST":
            self.posted += 1
            return Reply(200, (("Cache-Control", "max-age=3600"),), b"taken")
        return None

    def write(self) -> None:
        for path, control in PAGES.items():
            self.origin.put(path, self.body(path), ("Cache-Control", control))

    def body(self, path: str) -> bytes:
        return f"{path} version {self.version}\n".encode() * 40

    def ask(self, path: str, *options: str) -> Seen:
        """One request, which must be decided soon."""
        began = time.monotonic()
        seen = self.visitor.curl(path, *options)
        assert time.monotonic() - began < DECISION_SECONDS_MAX, (path, seen)
        return seen


@pytest.mark.parametrize("fault", CELLS, ids=str)
def test_each_route_falls_to_its_own_rung_and_comes_back(rig: Rig, fault: Fault) -> None:
    site = Site(rig, tls=fault.tls)
    for path in PAGES:
        for _ in range(2):
            assert site.ask(path).body == site.body(path)
    assert site.ask("/form", "-d", "order=1").body == b"taken"
    site.visitor.node.wait_until_stored()
    fault.cut(site.road)
    _rungs(site, fault)
    site.visitor.node.restart()
    _rungs(site, fault)

    site.version = 2
    site.write()
    site.road.heal()
    child = site.visitor.node.child
    for path in PAGES:
        if path != "/fresh":
            now = site.body(path)
            child.wait_until(
                lambda path=path, now=now: site.visitor.curl(path).body == now,  # type: ignore[misc]
                seconds_max=HEALED_SECONDS_MAX,
            )
    assert site.ask("/form", "-d", "order=2").body == b"taken"


def _rungs(site: Site, fault: Fault) -> None:
    broken = fault.name in ERRORS
    before = site.road.connections()
    fresh = site.ask("/fresh")
    assert (fresh.status, fresh.body) == (200, site.body("/fresh"))
    assert "hit" in fresh.cache
    assert "fwd" not in fresh.cache
    assert site.road.connections() == before, "a fresh answer went to the origin"
    for path in ("/plain", "/swr", "/kept/page"):
        seen = site.ask(path)
        if path in (STALE_AFTER_ERRORS if broken else STALE_WHEN_UNREACHABLE):
            _is_stale_and_says_so(seen, site.body(path))
        else:
            assert seen.status == int(fault.name.removeprefix("status-"))
    must = site.ask("/must")
    # Disconnected: 504 (RFC 9111 section 5.2.2.2); otherwise the error is the answer.
    assert must.status == (int(fault.name.removeprefix("status-")) if broken else 504)
    account = site.ask("/account/me")
    assert account.status in (GONE | {500} if broken else GONE)
    assert b"version" not in account.body
    posted = site.posted
    write = site.ask("/form", "-d", "order=1")
    assert "hit" not in write.cache
    if broken:  # the liar lets writes through: each reaches the origin, once
        assert (write.body, site.posted) == (b"taken", posted + 1)
    else:
        assert (write.status in GONE, site.posted) == (True, posted)
    unseen = site.ask(f"/unseen-{next(site.numbers)}")
    assert unseen.status in (GONE | {500} if broken else GONE)
    if not broken:
        assert unseen.value("Proxy-Status")
        assert int(unseen.value("Retry-After")) > 0


def _is_stale_and_says_so(seen: Seen, body: bytes) -> None:
    assert (seen.status, seen.body) == (200, body)
    assert "rock" in seen.cache
    assert "ttl=-" in seen.cache or "fwd=stale" in seen.cache, seen.cache
    assert seen.value("Age").isdigit()


def test_a_body_that_is_cut_is_no_body(rig: Rig) -> None:
    site = Site(rig, tls=False)
    path = "/cut"
    site.origin.put(path, b"whole" * 100_000, ("Cache-Control", "max-age=3600"))
    site.road.lie(faulty.truncate(0.5, path=path))
    options = ["-o", "/dev/null", "-w", "%{http_code}"]
    with pytest.raises(Exception, match="returned non-zero exit status"):
        site.visitor.curl(path, *options)
    site.road.heal()
    whole = b"whole" * 100_000
    site.visitor.node.child.wait_until(
        lambda: site.visitor.curl(path).body == whole, seconds_max=HEALED_SECONDS_MAX
    )
