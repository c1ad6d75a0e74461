"""Every setting of a node, with its embedded default.

Owns the shapes only: `settings_load` fills them from file, environment and flags,
`settings_checks` refuses what does not fit together. The name in the file is the attribute's
without its unit (`answer_within_seconds` is written `answer_within = "10s"`).
`docs/reference/settings.md` documents each; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from skerry.app.settings.access import AccessSettings
from skerry.app.settings.alarms import AlarmSettings
from skerry.app.settings.budget import BudgetSettings
from skerry.app.settings.dns import DnsSettings
from skerry.app.settings.horizon import HorizonSettings
from skerry.app.settings.telemetry import LogSettings, TelemetrySettings
from skerry.app.settings.trust import TrustSettings
from skerry.app.settings.units import (
    Address,
    Budget,
    Bytes,
    Count,
    FilePath,
    MaybeSeconds,
    Seconds,
    Share,
)

MIB = 2**20


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[node]: `name` and `data_dir` are filled in by `load` when they are not set."""

    name: str = ""
    data_dir: FilePath = ""
    workers: Count = 1

    @property
    def data_path(self) -> Path:
        """The one data directory, absolute."""
        return Path(self.data_dir)


class DoorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[doors]: where the node listens."""

    registry: Address = "127.0.0.1:5000"
    edge: Address = "127.0.0.1:8080"
    edge_tls: Address = ""
    admin: Address = "127.0.0.1:9090"
    admin_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    cert_file: FilePath = ""
    key_file: FilePath = ""
    client_ca_file: FilePath = ""


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[store]: disk. A budget of None is 80 % of the disk under the data directory."""

    budget_bytes: Budget = msgspec.field(default=None, name="budget")
    high_watermark: Share = 0.95
    low_watermark: Share = 0.85
    object_share_max: Share = 0.5
    scrub_period_seconds: Seconds = msgspec.field(default=7 * 86400.0, name="scrub_period")
    scrub_bytes_per_second: Bytes = 32 * MIB


class TagWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[registry.tag_window]]: how long a tag is believed before it is checked again.

    Tags that match none of them have the windows of `registry.core.freshness`.
    """

    pattern: str
    window_seconds: Seconds = msgspec.field(name="window")


class LocalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[registry.local]: repositories that are pushed here."""

    enabled: bool = False
    namespaces: tuple[str, ...] = ("local/*",)
    tenant: str = ""
    deletion: bool = True
    overwriting: bool = True


class RegistrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[registry]: the OCI front."""

    answer_within_seconds: Seconds = msgspec.field(default=10.0, name="answer_within")
    serve_deleted_tags: bool = True
    companions: bool = True
    negative_window_seconds: Seconds = msgspec.field(default=10.0, name="negative_window")
    users_file: FilePath = ""
    tag_windows: tuple[TagWindow, ...] = msgspec.field(default=(), name="tag_window")
    local: LocalSettings = LocalSettings()


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[upstream.source]]: one place an upstream's content can be had from, tried in order."""

    url: str
    name: str = ""
    kind: str = "origin"
    prefix: str = ""
    username: str = ""
    password_file: FilePath = ""
    realms: tuple[str, ...] = ()
    redirect_hosts: tuple[str, ...] = ()
    ca_file: FilePath = ""
    proxy: str | None = None
    plain_http: bool = False
    connect_seconds: Seconds = msgspec.field(default=1.0, name="connect")
    first_byte_seconds: Seconds = msgspec.field(default=3.0, name="first_byte")
    stall_seconds: Seconds = msgspec.field(default=5.0, name="stall")
    connections_max: Count = 16
    requests_per_minute: Count = 0
    bytes_per_second: Bytes = 0


class UpstreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[upstream]]: a registry whose images may be pulled through this node."""

    name: str
    aliases: tuple[str, ...] = ()
    bare_names: bool = False
    private: bool = False
    misses_per_minute: Count = 3000
    miss_bytes_per_day: Bytes = 0
    tenant: str = ""
    priority: str = ""
    sources: tuple[SourceSettings, ...] = msgspec.field(default=(), name="source")


class SiblingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[sibling]]: another node on this site, asked before going out: for images by digest, and
    with its public key for what sites store, and told of purges."""

    url: str
    name: str = ""
    public_key_file: FilePath = ""
    ca_file: FilePath = ""
    plain_http: bool = False


class RouteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[site.route]]: what holds for every path under a prefix. An unknown class is sensitive."""

    prefix: str = "/"
    data_class: str = "sensitive"
    fresh_seconds: MaybeSeconds = msgspec.field(default=None, name="fresh")
    stale_if_error_seconds: MaybeSeconds = msgspec.field(default=None, name="stale_if_error")
    stale_while_revalidate_seconds: MaybeSeconds = msgspec.field(
        default=None, name="stale_while_revalidate"
    )
    query: tuple[str, ...] | None = None
    store_cookies: bool = False
    tell_key: bool = False
    slice_bytes: Budget = msgspec.field(default=1 * MIB, name="slice")
    methods: tuple[str, ...] = ("GET", "HEAD")
    vault: bool | None = None
    vault_lifetime_seconds: MaybeSeconds = msgspec.field(default=None, name="vault_lifetime")
    upgrades: tuple[str, ...] = ()
    upgrade_idle_seconds: Seconds = msgspec.field(default=600.0, name="upgrade_idle")
    priority: str = ""


class SiteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[site]]: host names that the edge door answers to, and the servers behind them."""

    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    redirect_origins: tuple[str, ...] = ()
    plain_http: bool = False
    ca_file: FilePath = ""
    preserve_host: bool = True
    client_address: str = "unshared"
    cert_file: FilePath = ""
    key_file: FilePath = ""
    connect_seconds: Seconds = msgspec.field(default=1.0, name="connect")
    first_byte_seconds: Seconds = msgspec.field(default=3.0, name="first_byte")
    stall_seconds: Seconds = msgspec.field(default=5.0, name="stall")
    connections_max: Count = 64
    requests_per_minute: Count = 0
    misses_per_minute: Count = 0
    miss_bytes_per_day: Bytes = 0
    tenant: str = ""
    routes: tuple[RouteSettings, ...] = msgspec.field(default=(RouteSettings(),), name="route")

    @property
    def name(self) -> str:
        """What messages and metrics call it."""
        return self.hosts[0]


class VaultLifetimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[vault.lifetime]: by class. There is one class that may enter a vault."""

    public_seconds: MaybeSeconds = msgspec.field(default=None, name="public")


class VaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[vault]: an object store that keeps sealed copies of what is public."""

    url: str = ""
    enabled: bool = True
    endpoint: str = ""
    region: str = "us-east-1"
    path_style: bool = True
    plain_http: bool = False
    ca_file: FilePath = ""
    credentials_file: FilePath = ""
    key_file: FilePath = ""
    bytes_per_second: Bytes = 0
    copies_waiting_max: Count = 100_000
    verify_period_seconds: Seconds = msgspec.field(default=30 * 86400.0, name="verify_period")
    read_micros_per_gib: Count = 0
    lifetime: VaultLifetimes = VaultLifetimes()

    @property
    def used(self) -> bool:
        """Whether the node has a vault."""
        return bool(self.url) and self.enabled


class PrewarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[prewarm]: what fetching ahead may take, and what a gigabyte costs."""

    bytes_per_second: Bytes = 16 * MIB
    share_beside_visitors: Share = 0.03
    price_per_gb_micro: Count = 0


def _public(
    name: str,
    *,
    url: str = "",
    realms: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    bare_names: bool = False,
) -> UpstreamSettings:
    source = SourceSettings(name="origin", url=url or f"https://{name}", realms=realms)
    return UpstreamSettings(name=name, aliases=aliases, bare_names=bare_names, sources=(source,))


DEFAULT_UPSTREAMS = (
    _public(
        "docker.io",
        url="https://registry-1.docker.io",
        realms=("https://auth.docker.io/token",),
        aliases=("registry-1.docker.io", "index.docker.io"),
        bare_names=True,
    ),
    _public("ghcr.io", realms=("https://ghcr.io/token",)),
    _public("quay.io", realms=("https://quay.io/v2/auth",)),
    _public("registry.k8s.io"),
    _public("gcr.io", realms=("https://gcr.io/v2/token",)),
    _public("mcr.microsoft.com"),
    _public("public.ecr.aws", realms=("https://public.ecr.aws/token/",)),
)
"""The upstreams of a node whose file lists none."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    node: NodeSettings = NodeSettings()
    doors: DoorSettings = DoorSettings()
    store: StoreSettings = StoreSettings()
    registry: RegistrySettings = RegistrySettings()
    upstreams: tuple[UpstreamSettings, ...] = msgspec.field(
        default=DEFAULT_UPSTREAMS, name="upstream"
    )
    siblings: tuple[SiblingSettings, ...] = msgspec.field(default=(), name="sibling")
    sites: tuple[SiteSettings, ...] = msgspec.field(default=(), name="site")
    vault: VaultSettings = VaultSettings()
    prewarm: PrewarmSettings = PrewarmSettings()
    dns: DnsSettings = DnsSettings()
    trust: TrustSettings = TrustSettings()
    horizon: HorizonSettings = HorizonSettings()
    budget: BudgetSettings = BudgetSettings()
    alarms: AlarmSettings = AlarmSettings()
    access: AccessSettings = AccessSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    log: LogSettings = LogSettings()
