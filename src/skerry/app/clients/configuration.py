"""What a container client must be told to pull through this node.

Owns the text of each client's configuration, from the configured upstreams. Writes nothing
(`clients_install` does) and asks nobody. Sources: containerd docs/hosts.md, containers/image
containers-registries.conf(5), Docker "Registry as a pull through cache".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from skerry.app.settings.addresses import split_address
from skerry.app.settings.schema import Settings, SourceSettings, UpstreamSettings
from skerry.base.errors import BadInput, Party, SkerryError

BEGIN = "# skerry: begin, written by `skerry clients`"
END = "# skerry: end"

CERTS_DIR = "etc/containerd/certs.d"
PODMAN_FILE = "etc/containers/registries.conf.d/50-skerry.conf"
DOCKER_FILE = "etc/docker/daemon.json"


class Client(StrEnum):
    """Whom a configuration is for."""

    CONTAINERD = "containerd"
    PODMAN = "podman"
    DOCKER = "docker"


class Style(StrEnum):
    """How our text gets into a file that may be there already."""

    TOML_BLOCK = "toml-block"  # ours stands between BEGIN and END, above the other tables
    TOML_OWN = "toml-own"  # the whole file is ours
    DOCKER_JSON = "docker-json"  # entries are merged into lists


class NoMirror(SkerryError):
    """The client cannot be served with these settings."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The registry door as clients reach it."""

    scheme: str
    authority: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def plain(self) -> bool:
        return self.scheme == "http"


@dataclass(frozen=True, slots=True)
class ClientFile:
    """One file of a client's configuration.

    Attributes:
        path: below the file system's root, without the leading slash.
        text: what the file says when there is none yet.
        host_block: of a hosts.toml, the part for a file that names its own server.
        node: the door all this is about.
    """

    path: str
    text: str
    style: Style
    node: Endpoint
    host_block: str = ""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """All a client needs.

    Attributes:
        restart: the command that makes it count, "" when none is needed.
        notes: what else must be so, one sentence each.
    """

    client: Client
    files: tuple[ClientFile, ...]
    restart: str
    notes: tuple[str, ...]


def endpoint(settings: Settings, address: str | None) -> Endpoint:
    """Where clients find the node: `address` if given, else the registry door of the settings.

    A door on every interface is named by loopback, right for clients on the node's own machine.
    Raises BadInput.
    """
    default_scheme = "https" if settings.doors.cert_file else "http"
    if address is None:
        host, port = split_address(settings.doors.registry)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return Endpoint(default_scheme, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    whole = address if "://" in address else f"{default_scheme}://{address}"
    try:
        parts = urlsplit(whole)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        right = right and not parts.username and parts.path in ("", "/") and not parts.query
    except ValueError:
        right = False
    if not right:
        raise BadInput(
            f"{address!r} is not an address of a node", next_step="write host:port, e.g. node1:5000"
        )
    return Endpoint(parts.scheme, parts.netloc)


def configure(client: Client, settings: Settings, node: Endpoint) -> ClientConfig:
    """The configuration of one client. Raises NoMirror."""
    if client is Client.CONTAINERD:
        return _containerd(settings, node)
    return _podman(settings, node) if client is Client.PODMAN else _docker(settings, node)


def _origin(upstream: UpstreamSettings) -> SourceSettings:
    """Where a client goes when the node is gone: the last origin, for that is the registry."""
    origins = [source for source in upstream.sources if source.kind == "origin"]
    return (origins or list(upstream.sources))[-1]


def _hosts(upstream: UpstreamSettings) -> tuple[str, ...]:
    return (upstream.name, *upstream.aliases)


def _containerd(settings: Settings, node: Endpoint) -> ClientConfig:
    files = []
    for upstream in settings.upstreams:
        origin = _origin(upstream)
        # With a prefix the server's path is given whole (docs/hosts.md, override_path).
        server = f"{origin.url}/v2/{origin.prefix}" if origin.prefix else origin.url
        lines = [f"server = {_quoted(server)}"]
        if origin.prefix:
            lines.append("override_path = true")
        table = [f"[host.{_quoted(node.url)}]", '  capabilities = ["pull", "resolve"]']
        text, block = _block(*lines, "", *table), _block(*table)
        files += [
            ClientFile(f"{CERTS_DIR}/{host}/hosts.toml", text, Style.TOML_BLOCK, node, block)
            for host in _hosts(upstream)
        ]
    notes = (
        "containerd reads these only where its config_path says so: "
        f'config_path = "/{CERTS_DIR}" in /etc/containerd/config.toml, under '
        '[plugins."io.containerd.grpc.v1.cri".registry] (containerd 1) or '
        "[plugins.'io.containerd.cri.v1.images'.registry] (containerd 2); "
        "restart it when you add that. ctr takes --hosts-dir instead.",
    )
    return ClientConfig(Client.CONTAINERD, tuple(files), "", notes)


def _block(*lines: str) -> str:
    return "\n".join((BEGIN, *lines, END, ""))


def _podman(settings: Settings, node: Endpoint) -> ClientConfig:
    lines: list[str] = []
    for upstream in settings.upstreams:
        origin = _origin(upstream)
        parts = urlsplit(origin.url)
        # containers/image knows Docker Hub by its familiar name.
        own = "docker.io" if parts.netloc == "registry-1.docker.io" else parts.netloc
        location = f"{own}/{origin.prefix}" if origin.prefix else own
        for host in _hosts(upstream):
            lines += ["", "[[registry]]", f"prefix = {_quoted(host)}"]
            lines += [f"location = {_quoted(location)}"]
            lines += ["insecure = true"] if parts.scheme == "http" else []
            lines += ["mirror-by-digest-only = false", "", "[[registry.mirror]]"]
            lines += [f"location = {_quoted(f'{node.authority}/{upstream.name}')}"]
            lines += ["insecure = true"] if node.plain else []
    text = _block(*lines[1:])
    notes = (
        "podman, buildah, skopeo and CRI-O read it at each start; a running CRI-O or podman "
        "API service must be restarted.",
    )
    return ClientConfig(
        Client.PODMAN, (ClientFile(PODMAN_FILE, text, Style.TOML_OWN, node),), "", notes
    )


def _docker(settings: Settings, node: Endpoint) -> ClientConfig:
    bare = next((upstream for upstream in settings.upstreams if upstream.bare_names), None)
    if bare is None:
        raise NoMirror(
            "Docker mirrors Docker Hub alone, and no upstream has bare_names = true",
            next_step="set bare_names = true on the upstream that Docker's mirror should mean",
        )
    text = json.dumps(docker_entries(node), indent=2) + "\n"
    notes = (
        f"Docker mirrors Docker Hub alone: here that is {bare.name}. For other registries pull "
        f"by path, e.g. docker pull {node.authority}/ghcr.io/OWNER/IMAGE.",
    )
    return ClientConfig(
        Client.DOCKER,
        (ClientFile(DOCKER_FILE, text, Style.DOCKER_JSON, node),),
        "systemctl reload docker",
        notes,
    )


def docker_entries(node: Endpoint) -> dict[str, list[str]]:
    """What daemon.json must list for the node."""
    entries = {"registry-mirrors": [node.url]}
    if node.plain:
        entries["insecure-registries"] = [node.authority]
    return entries


def _quoted(text: str) -> str:
    return json.dumps(text)  # a JSON string is a TOML basic string
