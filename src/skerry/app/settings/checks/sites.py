"""What must be true of sites and their routes before a node starts.

Owns the rules of [[site]] and [[site.route]]. Judges hosts and prefixes by the cache's own normal
form, so that what is refused here is what the route table would refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from skerry.app.settings.errors import Problem
from skerry.app.settings.rules import certificate_trouble, file_trouble, refused, url_trouble
from skerry.app.settings.schema import DoorSettings, RouteSettings, SiteSettings
from skerry.cdn.core.key import NoKey, normal_authority, normal_path
from skerry.cdn.core.slices import SLICE_BYTES_MAX, SLICE_BYTES_MIN
from skerry.cdn.ports import ClientAddress, DataClass

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}\Z")
_PROTOCOL = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(/[0-9A-Za-z.]{1,16})?\Z")
_PARAMETER = re.compile(r"[^&=#?\s\x00-\x1f]{1,256}\Z")


def check_sites(sites: tuple[SiteSettings, ...], *, edge_tls: bool = False) -> Iterator[Problem]:
    """Every rule that a site breaks, in the order of the file."""
    if edge_tls and sites and not any(site.cert_file for site in sites):
        step = "give a site cert_file and key_file, or leave edge_tls out"
        yield refused("doors.edge_tls", "", "needs the certificate of a site", step)
    owners: dict[str, str] = {}
    for index, site in enumerate(sites):
        at = f"site[{index}]"
        if not site.hosts:
            yield refused(f"{at}.hosts", site.hosts, "is empty", "name at least one host")
            continue
        for number, host in enumerate(site.hosts):
            yield from _host(f"{at}.hosts[{number}]", host, site.name, owners)
        yield from _origins(at, site)
        if site.client_address not in {*ClientAddress}:
            step = f"write one of {', '.join(ClientAddress)}"
            reason = "does not say when an origin is told who asked"
            yield refused(f"{at}.client_address", site.client_address, reason, step)
        yield from certificate_trouble(at, site.cert_file, site.key_file)
        yield from _waits(at, site)
        yield from _routes(at, site.routes)


def site_warnings(sites: tuple[SiteSettings, ...], doors: DoorSettings) -> Iterator[str]:
    """What is allowed but should be known, one sentence each."""
    for site in sites:
        if site.cert_file and not doors.edge_tls:
            yield f"site {site.name} has a certificate that no door shows: set doors.edge_tls"
        if doors.edge_tls and not site.cert_file:
            yield f"site {site.name} has no certificate, so it is not served over TLS"
        public = [route for route in site.routes if route.data_class == DataClass.PUBLIC]
        if not public:
            yield (
                f"site {site.name} stores nothing: no route has data_class = "
                f'"{DataClass.PUBLIC.value}"'
            )
        for route in public:
            if route.store_cookies:
                yield (
                    f"site {site.name} stores answers that set cookies under {route.prefix}, "
                    "without the cookie"
                )


def _host(field: str, host: str, site: str, owners: dict[str, str]) -> Iterator[Problem]:
    wild = host.removeprefix("*.")
    place = normal_authority(wild, "http") if host != "*" else (host, 80)
    if place is None or place[1] != 80 or ":" in wild.rpartition("]")[2]:
        step = "write a name or an address without scheme and port, *.name, or *"
        yield refused(field, host, "is not a host", step)
        return
    name = f"*.{place[0]}" if wild != host else place[0]
    if name in owners:
        reason = f"already belongs to site {owners[name]}"
        yield refused(field, host, reason, "a host can mean one site only")
    owners.setdefault(name, site)


def _origins(at: str, site: SiteSettings) -> Iterator[Problem]:
    if not site.origins:
        yield refused(f"{at}.origins", site.origins, "is empty", "name at least one server")
    yield from _servers(f"{at}.origins", site.origins, site)
    yield from _servers(f"{at}.redirect_origins", site.redirect_origins, site)
    yield from file_trouble(f"{at}.ca_file", site.ca_file)


def _servers(at: str, urls: tuple[str, ...], site: SiteSettings) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, url in enumerate(urls):
        field = f"{at}[{number}]"
        wrong = [*url_trouble(field, url, plain_http=site.plain_http, path=True)]
        yield from wrong
        if not wrong and urlsplit(url).path not in ("", "/"):
            step = "write https://host[:port]; paths go to the origin as they are asked for"
            yield refused(field, url, "must not have a path", step)
        if url.rstrip("/") in seen:
            yield refused(field, url, "is listed twice", "list each server once")
        seen.add(url.rstrip("/"))


def _waits(at: str, site: SiteSettings) -> Iterator[Problem]:
    for name in ("connect", "first_byte", "stall"):
        value: float = getattr(site, f"{name}_seconds")
        if not 0 < value <= 600:
            step = "use more than 0 and up to 600s"
            yield refused(f"{at}.{name}", value, "is out of bounds", step)
    if site.connections_max < 1:
        value = site.connections_max
        yield refused(f"{at}.connections_max", value, "lets nothing through", "allow at least 1")
    if site.requests_per_minute < 0:
        value = site.requests_per_minute
        yield refused(f"{at}.requests_per_minute", value, "is negative", "use 0 for no bound")


def _routes(at: str, routes: tuple[RouteSettings, ...]) -> Iterator[Problem]:
    if not routes:
        yield refused(f"{at}.route", "", "is empty", "leave it out for one that stores nothing")
    seen: set[str] = set()
    for number, route in enumerate(routes):
        here = f"{at}.route[{number}]"
        normal = normal_path(route.prefix)
        if not route.prefix.startswith("/") or isinstance(normal, NoKey):
            yield refused(f"{here}.prefix", route.prefix, "is not a path", "start it with a slash")
        else:
            prefix = re.sub(r"/{2,}", "/", normal).rstrip("/")
            if prefix in seen:
                reason = "another route of this site has the prefix"
                yield refused(f"{here}.prefix", route.prefix, reason, "keep one of them")
            seen.add(prefix)
        yield from _route(here, route)


def _route(here: str, route: RouteSettings) -> Iterator[Problem]:
    if route.data_class not in {*DataClass}:
        step = "write public, or sensitive for what must not be stored"
        yield refused(f"{here}.data_class", route.data_class, "is no class of data", step)
    for number, name in enumerate(route.query or ()):
        if not _PARAMETER.match(name):
            step = 'write the parameter\'s name, as in ["page", "lang"]'
            yield refused(f"{here}.query[{number}]", name, "is not a query parameter", step)
    size = route.slice_bytes
    if size is not None and not SLICE_BYTES_MIN <= size <= SLICE_BYTES_MAX:
        step = "use 64KiB to 64MiB, or leave it empty to store objects whole"
        yield refused(f"{here}.slice", size, "is out of bounds", step)
    if route.vault and route.data_class != DataClass.PUBLIC:
        step = 'leave it out: only a route with data_class = "public" has copies in a vault'
        yield refused(f"{here}.vault", True, "would take what is sensitive to a vault", step)
    if not route.methods:
        yield refused(f"{here}.methods", "", "lets nothing through", "leave it out for GET, HEAD")
    for number, method in enumerate(route.methods):
        if not _METHOD.match(method):
            step = "write it in upper case, e.g. POST"
            yield refused(f"{here}.methods[{number}]", method, "is not a method", step)
    for number, name in enumerate(route.upgrades):
        if not _PROTOCOL.match(name) or name.lower() in ("h2c", "http"):
            step = 'write what clients switch to, as in ["websocket"]; other HTTP is not passed on'
            yield refused(f"{here}.upgrades[{number}]", name, "is no protocol to switch to", step)
    if not 0 < route.upgrade_idle_seconds <= 86400:
        value = route.upgrade_idle_seconds
        yield refused(f"{here}.upgrade_idle", value, "is out of bounds", "use up to 1d")
