"""What must be true between settings before a node starts.

Owns the rules. Looks whether named files are there; opens no socket and asks no name server, so
that a node with an unresolvable upstream still starts (known failures T27).
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from skerry.app.misses import check_misses
from skerry.app.settings.addresses import split_address
from skerry.app.settings.alarms import check_alarms
from skerry.app.settings.checks.access import check_access, knows_somebody
from skerry.app.settings.checks.budget import check_budget
from skerry.app.settings.checks.dns import check_dns
from skerry.app.settings.checks.horizon import check_horizon
from skerry.app.settings.checks.siblings import check_siblings, sibling_warnings
from skerry.app.settings.checks.sites import check_sites, site_warnings
from skerry.app.settings.checks.telemetry import check_telemetry
from skerry.app.settings.checks.vault import check_vault, vault_warnings
from skerry.app.settings.errors import Problem, SettingsError
from skerry.app.settings.rules import (
    READ_STEP,
    bundle_trouble,
    certificate_trouble,
    file_trouble,
    refused,
    url_trouble,
)
from skerry.app.settings.schema import (
    DoorSettings,
    PrewarmSettings,
    RegistrySettings,
    Settings,
    SourceSettings,
    StoreSettings,
    UpstreamSettings,
)
from skerry.base.errors import BadInput
from skerry.base.reference import is_name, looks_like_host

_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_TAG_PATTERN = re.compile(r"[A-Za-z0-9_.\-*?\[\]!]+\Z")
_NAMESPACE_PATTERN = re.compile(r"[a-z0-9_./\-*?\[\]!]+\Z")
_REDIRECT_HOST = re.compile(r"[A-Za-z0-9.-]+(?::\d{1,5})?\Z|\[[0-9a-fA-F:]+\](?::\d+)?\Z")
PASSWORD_BYTES_MAX = 64 * 1024
WORKERS_MAX = 64
PROXIES_MAX = 64


def _trust(settings: Settings) -> Iterator[Problem]:
    if settings.trust.policies or settings.trust.root:
        # Late: keys take cryptography, which no other setting does.
        from skerry.app.settings.checks.trust import check_trust

        yield from check_trust(settings.trust)


def _watch(settings: Settings) -> Iterator[Problem]:
    if settings.dns.watch:
        # Late: keys take cryptography.
        from skerry.app.settings.checks.watch import check_watch

        yield from check_watch(settings.dns)


def check(settings: Settings) -> list[Problem]:
    """Every rule that is broken, in the order of the file."""
    return [
        *_node(settings),
        *_doors(settings.doors, edge=bool(settings.sites)),
        *_store(settings.store),
        *_prewarm(settings.prewarm),
        *_registry(settings),
        *_upstreams(settings.upstreams),
        *check_siblings(settings.siblings),
        *check_sites(settings.sites, edge_tls=bool(settings.doors.edge_tls)),
        *check_vault(settings),
        *check_telemetry(settings),
        *check_misses(settings),
        *check_dns(settings.dns),
        *_watch(settings),
        *_trust(settings),
        *check_horizon(settings.horizon),
        *check_budget(settings),
        *check_alarms(settings.alarms),
        *check_access(settings),
    ]


def warnings(settings: Settings) -> tuple[str, ...]:
    """What is allowed but should be known, one sentence each."""
    found: list[str] = []
    host, _ = split_address(settings.doors.admin)
    if not _loopback(host):
        found.append(
            f"doors.admin = {settings.doors.admin} is open to other machines, in the clear"
        )
    host, _ = split_address(settings.doors.registry)
    if not _loopback(host) and settings.registry.users_file and not settings.doors.cert_file:
        found.append("doors.registry takes passwords in the clear: set doors.cert_file")
    for upstream in settings.upstreams:
        for source in upstream.sources:
            if source.password_file and _mode(source.password_file) & 0o077:
                found.append(f"{source.password_file} can be read by others: chmod 600 it")
            if source.password_file and source.plain_http:
                found.append(f"{source.name} is sent its password in the clear (plain_http)")
    return (
        *found,
        *site_warnings(settings.sites, settings.doors),
        *sibling_warnings(settings),
        *vault_warnings(settings),
    )


def read_password(source: SourceSettings) -> str:
    """The password of a source, its one trailing line end left out; "" when it needs none.

    Read once, at start. Raises SettingsError.
    """
    if not source.password_file:
        return ""
    try:
        with Path(source.password_file).open("rb") as file:
            return file.read(PASSWORD_BYTES_MAX).decode().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            [
                refused(
                    f"{source.name}.password_file",
                    source.password_file,
                    "cannot be read",
                    READ_STEP,
                )
            ]
        ) from error


_ADDRESS = "write host:port, e.g. 127.0.0.1:5000"


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _node(settings: Settings) -> Iterator[Problem]:
    if not _NODE_NAME.match(settings.node.name):
        step = "use letters, digits, dots, dashes and underscores, 64 at most"
        yield refused("node.name", settings.node.name, "cannot be a node's name", step)
    if not 1 <= settings.node.workers <= WORKERS_MAX:
        step = f"write how many processes serve, 1 to {WORKERS_MAX}; one for each core is plenty"
        yield refused("node.workers", settings.node.workers, "is no number of workers", step)
    path = settings.node.data_path
    if path.exists() and not path.is_dir():
        yield refused("node.data_dir", str(path), "is not a folder", "name a folder of its own")


def _doors(doors: DoorSettings, *, edge: bool) -> Iterator[Problem]:
    bound: list[tuple[str, int]] = []
    opened = [("registry", doors.registry), ("admin", doors.admin)]
    if edge:
        opened += [(n, a) for n, a in (("edge", doors.edge), ("edge_tls", doors.edge_tls)) if a]
        if not doors.edge and not doors.edge_tls:
            step = "write where visitors come, or take the sites out"
            yield refused("doors.edge", "", "leaves the sites without a door", step)
    for name, address in opened:
        try:
            host, port = split_address(address)
        except ValueError as error:
            reason = f"is not an address to listen on ({error})"
            yield refused(f"doors.{name}", address, reason, _ADDRESS)
            continue
        everywhere = ("0.0.0.0", "::")
        for other, taken in bound:
            if port == taken != 0 and (other == host or other in everywhere or host in everywhere):
                reason = "another door has that port"
                yield refused(f"doors.{name}", address, reason, "choose another port")
        bound.append((host, port))
    for host in doors.admin_hosts:
        if not re.fullmatch(r"[A-Za-z0-9.-]+", host):
            yield refused(
                "doors.admin_hosts", host, "is not a host name", "leave out scheme and port"
            )
    yield from _proxies(doors.trusted_proxies)
    yield from certificate_trouble("doors", doors.cert_file, doors.key_file)


def _proxies(networks: tuple[str, ...]) -> Iterator[Problem]:
    if len(networks) > PROXIES_MAX:
        step = f"write at most {PROXIES_MAX}; one network can hold many proxies"
        yield refused("doors.trusted_proxies", len(networks), "is too long a list", step)
    for written in networks:
        try:
            network = ipaddress.ip_network(written)
        except ValueError as error:
            reason = f"is not an address or a network ({error})"
            step = 'write an address or a network, like "10.0.0.5" or "10.0.0.0/28"'
            yield refused("doors.trusted_proxies", written, reason, step)
            continue
        if network.prefixlen == 0:
            reason = "would let everybody say who they are"
            step = "write the addresses of your proxies alone"
            yield refused("doors.trusted_proxies", written, reason, step)
        if getattr(network.network_address, "ipv4_mapped", None):
            reason, step = "is IPv4 written as IPv6", "write it as IPv4"
            yield refused("doors.trusted_proxies", written, reason, step)


def _store(store: StoreSettings) -> Iterator[Problem]:
    for name in ("high_watermark", "low_watermark", "object_share_max"):
        value: float = getattr(store, name)
        if not 0 < value <= 1:
            reason = "is not a share of the budget"
            yield refused(f"store.{name}", value, reason, "write a number over 0 and up to 1")
    if store.low_watermark >= store.high_watermark:
        reason = f"must be below high_watermark = {store.high_watermark}"
        yield refused("store.low_watermark", store.low_watermark, reason, "lower it")
    if store.budget_bytes is not None and store.budget_bytes < 1 << 20:
        step = "write at least 1MiB, or leave it empty for 80 % of the disk"
        yield refused("store.budget", store.budget_bytes, "is too small to hold an image", step)
    if store.scrub_period_seconds < 60:
        yield refused(
            "store.scrub_period", store.scrub_period_seconds, "is too short", "use 1h or more"
        )
    if store.scrub_bytes_per_second < 1 << 16:
        reason = "is too slow to end within its period"
        yield refused(
            "store.scrub_bytes_per_second", store.scrub_bytes_per_second, reason, "use 1MiB"
        )


def _prewarm(prewarm: PrewarmSettings) -> Iterator[Problem]:
    share = prewarm.share_beside_visitors
    if not 0 < share <= 1:
        step = "write a number over 0 and up to 1"
        yield refused("prewarm.share_beside_visitors", share, "is not a share of the time", step)


def _registry(settings: Settings) -> Iterator[Problem]:
    registry = settings.registry
    if not 0.1 <= registry.answer_within_seconds <= 300:
        step = "use 1s to 300s; clients without a time limit wait this long"
        value = registry.answer_within_seconds
        yield refused("registry.answer_within", value, "is out of bounds", step)
    yield from _patterns(registry)
    yield from _users(registry.users_file)
    if not knows_somebody(settings):
        step = "name an htpasswd file (bcrypt): htpasswd -cB users NAME"
        if registry.local.enabled:
            reason = "is needed because registry.local.enabled = true: pushing takes credentials"
            yield refused("registry.users_file", "", reason, step)
        for upstream in settings.upstreams:
            if upstream.private:
                reason = f"is needed because {upstream.name} is private: pulling takes credentials"
                yield refused("registry.users_file", "", reason, step)


def _users(path: str) -> Iterator[Problem]:
    missing = tuple(file_trouble("registry.users_file", path))
    yield from missing
    if missing or not path:
        return
    from skerry.registry.core.users import parse_htpasswd  # late: it takes bcrypt

    try:
        parse_htpasswd(Path(path).read_text(encoding="utf-8"))
    except (BadInput, UnicodeDecodeError) as error:
        what = error.what if isinstance(error, BadInput) else "is not text"
        yield refused("registry.users_file", path, what, "write it with skerry users add")


def _patterns(registry: RegistrySettings) -> Iterator[Problem]:
    for index, window in enumerate(registry.tag_windows):
        if not _TAG_PATTERN.match(window.pattern):
            field = f"registry.tag_window[{index}].pattern"
            step = "tags have letters, digits, _ . - and patterns * ? [ ] besides"
            yield refused(field, window.pattern, "can match no tag", step)
    for index, pattern in enumerate(registry.local.namespaces):
        if not _NAMESPACE_PATTERN.match(pattern) or pattern.startswith("/"):
            field = f"registry.local.namespaces[{index}]"
            step = 'write one such as "local/*", in lower case'
            yield refused(field, pattern, "can match no repository", step)


def _upstreams(upstreams: tuple[UpstreamSettings, ...]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    bare: str | None = None
    for index, upstream in enumerate(upstreams):
        at = f"upstream[{index}]"
        names = [("name", upstream.name)]
        names += [(f"aliases[{n}]", alias) for n, alias in enumerate(upstream.aliases)]
        for field, name in names:
            if not looks_like_host(name) or name != name.lower():
                step = "write the host as in image names, e.g. ghcr.io or registry.lan:5000"
                yield refused(f"{at}.{field}", name, "is not a registry host", step)
            if name in owners:
                reason = f"already belongs to upstream {owners[name]}"
                yield refused(f"{at}.{field}", name, reason, "a host can mean one upstream only")
            owners.setdefault(name, upstream.name)
        if upstream.bare_names and bare is not None:
            step = "leave it to the one that Docker's registry-mirrors should mean"
            yield refused(f"{at}.bare_names", True, f"{bare} has the bare names already", step)
        bare = upstream.name if upstream.bare_names else bare
        yield from _sources(at, upstream)


def _sources(at: str, upstream: UpstreamSettings) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, source in enumerate(upstream.sources):
        here = f"{at}.source[{index}]"
        if source.name in seen:
            reason = "another source of this upstream has the name"
            yield refused(f"{here}.name", source.name, reason, "give each its own name")
        seen.add(source.name)
        yield from url_trouble(f"{here}.url", source.url, plain_http=source.plain_http)
        yield from _source(here, source)


def _source(here: str, source: SourceSettings) -> Iterator[Problem]:
    if source.kind not in ("origin", "region"):
        yield refused(f"{here}.kind", source.kind, "is no kind of source", "write origin or region")
    if source.prefix and not is_name(source.prefix):
        step = "write it without slashes at its ends, e.g. mirrors/hub"
        yield refused(f"{here}.prefix", source.prefix, "is not a repository prefix", step)
    if bool(source.username) != bool(source.password_file):
        missing = "password_file" if source.username else "username"
        reason = "user name and password file are needed together"
        yield refused(f"{here}.{missing}", "", reason, "set both or none")
    for index, realm in enumerate(source.realms):
        field = f"{here}.realms[{index}]"
        yield from url_trouble(field, realm, plain_http=source.plain_http, path=True)
    for index, host in enumerate(source.redirect_hosts):
        if not _REDIRECT_HOST.match(host):
            step = "write a host such as cdn.example.com"
            yield refused(f"{here}.redirect_hosts[{index}]", host, "is not a host", step)
    yield from file_trouble(f"{here}.password_file", source.password_file)
    yield from bundle_trouble(f"{here}.ca_file", source.ca_file)
    if source.proxy and urlsplit(source.proxy).scheme not in ("http", "https"):
        step = 'write http://host:port, or "" for none whatever the environment says'
        yield refused(f"{here}.proxy", source.proxy, "is not an HTTP proxy", step)
    for name in ("connect", "first_byte", "stall"):
        value: float = getattr(source, f"{name}_seconds")
        if not 0 < value <= 600:
            yield refused(
                f"{here}.{name}", value, "is out of bounds", "use more than 0 and up to 600s"
            )
    if source.connections_max < 1:
        step = "allow at least 1"
        yield refused(
            f"{here}.connections_max", source.connections_max, "lets nothing through", step
        )
    if source.requests_per_minute < 0:
        step = "write 0 for no limit"
        yield refused(
            f"{here}.requests_per_minute", source.requests_per_minute, "is negative", step
        )
