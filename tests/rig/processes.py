"""Every real program a test may want, started in a folder of the test and ended by pid.

Owns their configuration files and their end. A program that is not installed skips the test, and
fails it under `CI=true`.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.loop import LoopThread
from skerry.app.drill.names import NameServer
from skerry.app.drill.processes import (
    Child,
    NodeProcess,
    Setting,
    answers,
    free_port,
    wait_until_still,
)
from skerry.app.drill.wan import Wan
from tests.rig.clients import Containerd, Podman
from tests.rig.faulty import Faulty, TokenService

T = TypeVar("T")


class Listener(Protocol):
    """Anything on the rig's loop that listens until it is closed."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...


def need(program: str) -> str:
    """The path of an installed program; otherwise the test is skipped, or fails under CI."""
    search = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", _scripts()))
    found = shutil.which(program, path=search)
    if found is None:
        said = f"{program} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    return found


def need_root() -> None:
    """Skips (or, under CI, fails) when namespaces cannot be made."""
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("needs root")
        pytest.skip("needs root")


def _scripts() -> str:
    return str(Path(sys.executable).parent)


class Service:
    """A registry that runs as a child."""

    def __init__(self, argv: list[str], *, log: Path, authority: str, prefix: str = "") -> None:
        self._argv, self._log = argv, log
        self.authority = authority
        self.prefix = prefix
        self.child = Child(argv, log=log)

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    def client(self) -> RegistryClient:
        return RegistryClient(self.authority)

    def wait(self) -> None:
        """Until it says anything over HTTP. Raises NotReady."""
        self.child.wait_until(lambda: answers(self.authority), seconds_max=10)

    def restart(self) -> None:
        """kill -9 and a cold start. Raises NotReady."""
        self.child.kill()
        self.child = Child(self._argv, log=self._log)
        self.wait()

    def stop(self) -> None:
        self.child.stop()


class Rig:
    """A workshop in one folder; everything it started ends with it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._ends = ExitStack()
        self.loop = self._ends.enter_context(LoopThread())
        self._count = 0
        self.logs: list[Path] = []

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends everything, newest first."""
        self._ends.close()

    def run(self, step: Coroutine[object, object, T]) -> T:
        """Runs one step on the rig's loop."""
        return self.loop.run(step)

    def place(self, name: str) -> Path:
        """A new folder of the rig."""
        self._count += 1
        made = self.folder / f"{self._count:02d}-{name}"
        made.mkdir(parents=True)
        return made

    # links and liars
    def wan(self, authority: str) -> Wan:
        """A link to a program on loopback."""
        host, _, port = authority.partition(":")
        wan = Wan(host, int(port))
        self.run(wan.start())
        self._ends.callback(lambda: self.run(wan.close()))
        return wan

    def listen(self, server: Listener) -> None:
        """Starts it here; it ends with the rig."""
        self.run(server.start())
        self._ends.callback(lambda: self.run(server.close()))

    def settle(self, wan: Wan) -> None:
        """Until nothing has come over a link for a moment."""
        wait_until_still(lambda: wan.statistics().down_bytes)

    def tokens(self, *, user: str = "", password: str = "") -> TokenService:
        service = TokenService(user=user, password=password)
        self.run(service.server.start())
        self._ends.callback(lambda: self.run(service.server.close()))
        return service

    def faulty(
        self, target: str, *, tokens: TokenService | None = None, tls: bool = False
    ) -> Faulty:
        proxy = Faulty(target, tokens=tokens, tls=_server_tls(self) if tls else None)
        self.run(proxy.server.start())
        self._ends.callback(lambda: self.run(proxy.server.close()))
        return proxy

    def names(self) -> NameServer:
        """A name server that says 127.0.0.1 to everything."""
        server = NameServer()
        self.run(server.start())
        self._ends.callback(lambda: self.run(server.close()))
        return server

    # registries
    def registry(self, *, proxy_of: str = "", port: int = 0, address: str = "127.0.0.1") -> Service:
        """Debian's docker-registry; with `proxy_of` (a URL) in its pull-through mode."""
        folder = self.place("mirror" if proxy_of else "registry")
        authority = f"{address}:{port or free_port()}"
        lines = [
            "version: 0.1",
            "log: {level: warn, accesslog: {disabled: true}}",
            f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}},",
            "  maintenance: {uploadpurging: {enabled: false}}}",
            f"http: {{addr: '{authority}'}}",
        ]
        if proxy_of:
            lines.append(f"proxy: {{remoteurl: '{proxy_of}'}}")
        config = folder / "config.yml"
        config.write_text("\n".join(lines) + "\n")
        argv = [need("docker-registry"), "serve", str(config)]
        return self.service(argv, authority, folder)

    def drayage(self, upstream: str) -> Service:
        """drayage from PyPI, pulling through from a URL; names begin with `up.test/`."""
        folder = self.place("drayage")
        (folder / "cache").mkdir()
        authority = f"127.0.0.1:{free_port()}"
        config = folder / "drayage.toml"
        config.write_text(
            f'listen = "{authority}"\ncache_dir = "{folder}/cache"\n'
            "manifest_ttl_seconds = 5\nconnect_timeout_secs = 5\nread_timeout_secs = 10\n"
            f'[upstreams.up_test]\nregistry = "{upstream}"\n'
        )
        argv = [need("drayage"), "serve", "-c", str(config)]
        return self.service(argv, authority, folder, prefix="up.test/")

    def nginx(self, root: Path, *lines: str) -> Service:
        """nginx that sends the files below a folder, one worker; `lines` go into its server."""
        folder = self.place("nginx")
        authority = f"127.0.0.1:{free_port()}"
        config = folder / "nginx.conf"
        config.write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
            "events { worker_connections 1024; }\n"
            f"http {{ access_log off; sendfile on; client_body_temp_path {folder}/body;\n"
            f"  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;\n"
            f"  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
            f"  server {{ listen {authority}; root {root}; keepalive_requests 1000000;\n"
            f"{''.join(lines)} }} }}\n"
        )
        return self.service([need("nginx"), "-c", str(config)], authority, folder)

    def node(
        self, settings: Mapping[str, Setting], *, name: str = "node", start: bool = True
    ) -> NodeProcess:
        """A Skerry node; `doors` and `data_dir` are filled in."""
        node = NodeProcess(self.place(name), settings, name=name)
        self.logs.append(node.log)
        self._ends.callback(node.stop)
        if start:
            node.start()
        return node

    # clients
    def podman(self, mirrors: Mapping[str, str]) -> Podman:
        """podman with a storage of its own; `mirrors` maps a registry host to a location."""
        client = Podman(need("podman"), need("runc"), self.place("podman"), mirrors)
        self._ends.callback(client.close)
        return client

    def containerd(self, certs: Path | None = None) -> Containerd:
        """A containerd of our own, with `ctr`; `certs` is its `certs.d` folder."""
        folder = self.place("containerd")
        client = Containerd(need("ctr"), folder, certs or folder / "certs.d")
        child = self.child([need("containerd"), "--config", str(client.config)], folder)
        child.wait_until(client.ready)
        self._ends.callback(client.close)
        return client

    def skopeo(self, *arguments: str, seconds_max: float = 60) -> subprocess.CompletedProcess[str]:
        """One skopeo call that trusts nothing of this machine's configuration."""
        argv = [need("skopeo"), "--insecure-policy", *arguments]
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=seconds_max, check=False
        )

    # any program
    def child(self, argv: list[str], folder: Path) -> Child:
        log = folder / "log"
        self.logs.append(log)
        child = Child(argv, log=log)
        self._ends.callback(child.stop)
        return child

    def service(self, argv: list[str], authority: str, folder: Path, prefix: str = "") -> Service:
        """Starts a server and waits until it says anything over HTTP."""
        service = Service(argv, log=folder / "log", authority=authority, prefix=prefix)
        self.logs.append(folder / "log")
        self._ends.callback(service.stop)
        service.wait()
        return service


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and up.test, with its key, made by openssl."""
    chain, key = folder / "cert.pem", folder / "key.pem"
    if not chain.exists():
        argv = [need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        argv += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=up.test"]
        argv += ["-addext", "subjectAltName=DNS:up.test,IP:127.0.0.1"]
        argv += ["-keyout", str(key), "-out", str(chain)]
        subprocess.run(argv, check=True, capture_output=True)
    return chain, key


def _server_tls(rig: Rig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(rig.folder))
    return context
