"""A web site under test: nginx with a few files, a node in front, and curl as the visitor."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from skerry.app.drill.processes import NodeProcess, Setting, free_port
from tests.rig.processes import Rig, Service, need

HOST = "www.example.org"


@dataclass(frozen=True)
class Seen:
    """What curl got."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    def value(self, name: str) -> str:
        return ", ".join(value for key, value in self.fields if key.lower() == name.lower())

    @property
    def cache(self) -> str:
        """What the node says it did."""
        return self.value("Cache-Status")


@dataclass
class Visitor:
    """A node with a site, and curl before it."""

    rig: Rig
    node: NodeProcess

    @property
    def url(self) -> str:
        """The site as visitors write it."""
        return f"http://{HOST}:{self.node.edge.rpartition(':')[2]}"

    @property
    def resolve(self) -> list[str]:
        """The options that let curl find the site at the node."""
        port = self.node.edge.rpartition(":")[2]
        return ["--resolve", f"{HOST}:{port}:127.0.0.1"]

    def curl(self, path: str, *options: str) -> Seen:
        """One call of curl that resolves the site's name to the node."""
        place = self.rig.place("curl")
        argv = [need("curl"), "-s", "-S", "--max-time", "20", "-D", str(place / "head")]
        argv += [*self.resolve, *options, f"{self.url}{path}"]
        body = subprocess.run(argv, check=True, capture_output=True, timeout=30).stdout
        return _seen((place / "head").read_bytes().decode("latin-1"), body)


@dataclass
class Pages(Visitor):
    """nginx, the node and what visitors see of them."""

    root: Path
    origin: Service

    def write(self, path: str, data: bytes) -> bytes:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return data

    def random(self, path: str, size_bytes: int, seed: int = 1) -> bytes:
        return self.write(path, Random(seed).randbytes(size_bytes))

    def logged(self, path: str) -> int:
        """How often the origin was asked for a path."""
        return len(self._lines(path))

    def sent_bytes(self, path: str) -> int:
        """How many bytes of bodies the origin has sent for a path."""
        return sum(int(line[3]) for line in self._lines(path))

    def _lines(self, path: str) -> list[list[str]]:
        lines = (self.root.parent / "access").read_text().splitlines()
        return [words for words in map(str.split, lines) if words[1] == path]


def build(
    rig: Rig,
    *routes: dict[str, Setting],
    whole: Mapping[str, Setting] | None = None,
    **more: Setting,
) -> Pages:
    """A site with these routes; one public route over everything if there are none.

    `more` goes into the site, `whole` beside it into the file.
    """
    root = rig.place("site") / "www"
    root.mkdir()
    origin = _nginx(rig, root)
    settings: dict[str, Setting] = {
        "site": [
            {
                "hosts": [HOST],
                "origins": [origin.url],
                "plain_http": True,
                "connect": "300ms",
                "first_byte": "1s",
                "route": list(routes) or [{"data_class": "public"}],
                **more,
            }
        ],
        **(whole or {}),
    }
    return Pages(rig, rig.node(settings, name="rock"), root, origin)


def _nginx(rig: Rig, root: Path) -> Service:
    """nginx whose answers are fresh for a minute, below /brief/ for no time at all."""
    folder = rig.place("origin")
    authority = f"127.0.0.1:{free_port()}"
    config = folder / "nginx.conf"
    config.write_text(
        f"user root; daemon off; master_process off; pid {folder}/pid;\n"
        f"error_log {folder}/error.log;\n"
        "events { worker_connections 256; }\n"
        f"http {{ log_format asked '$request_method $uri $status $body_bytes_sent';\n"
        f"  access_log {root.parent}/access asked; client_body_temp_path {folder}/b;\n"
        f"  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;\n"
        f"  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"  server {{ listen {authority}; root {root};\n"
        "    location / { add_header Cache-Control max-age=60; add_header Surrogate-Key $uri; }\n"
        "    location = /host { add_header Cache-Control no-store; return 200 $http_host; }\n"
        '    location /brief/ { add_header Cache-Control "max-age=0, stale-if-error=60"; } } }\n'
    )
    return rig.service([need("nginx"), "-c", str(config)], authority, folder)


def _seen(head: str, body: bytes) -> Seen:
    last = [part for part in head.split("\r\n\r\n") if part][-1]  # curl writes interim heads too
    first, *lines = last.split("\r\n")
    parted = (line.partition(":") for line in lines)
    fields = tuple((name, value.strip()) for name, _, value in parted)
    return Seen(int(first.split()[1]), fields, body)
