"""A parent zone and a zone below it on two Knot servers, and a registrar that says what it is told.

Owns the zone files and their serial numbers. A change is served when Knot was told of it.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from skerry.app.drill.processes import Child, free_port
from tests.rig.http import Asked, Reply, TinyServer
from tests.rig.processes import Rig, need

CONFIG = """\
server:
  rundir: {folder}
  listen: {address}@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: {folder}/db
log:
 - target: stderr
   any: warning
zone:
 - domain: {zone}
   storage: {folder}
   file: zone
   zonefile-sync: -1
   zonefile-load: whole
   journal-content: none
"""


class Authority:
    """One Knot with one zone."""

    def __init__(
        self, rig: Rig, zone: str, records: str, *, address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._rig = rig
        self.zone = zone
        self.address = address
        self.port = port or free_port()
        self.folder: Path = rig.place(f"knot-{zone}")
        (self.folder / "db").mkdir()
        self._serial = 0
        self._child: Child
        config = self.folder / "knot.conf"
        config.write_text(
            CONFIG.format(folder=self.folder, address=address, port=self.port, zone=zone)
        )
        self._argv = [need("knotd"), "-c", str(config), "-s", str(self.folder / "ctl")]
        self._write(records)
        self.start()

    @property
    def server(self) -> str:
        return f"{self.address}:{self.port}"

    def start(self) -> None:
        self._child = self._rig.child(self._argv, self.folder)
        self._child.wait_until(self._serves)

    def stop(self) -> None:
        """Dead: nothing answers any more."""
        self._child.stop()

    def change(self, records: str) -> None:
        """Serves other records; returns when it does."""
        self._write(records)
        self._child._process.send_signal(signal.SIGHUP)
        self._child.wait_until(self._serves)

    def _write(self, records: str) -> None:
        self._serial += 1
        head = f"$ORIGIN {self.zone}.\n$TTL 60\n@ SOA ns h {self._serial} 60 60 600 60\n"
        (self.folder / "zone").write_text(head + records)

    def _serves(self) -> bool:
        query = dns.message.make_query(self.zone, "SOA")
        try:
            reply = dns.query.tcp(query, self.address, timeout=0.3, port=self.port)
        except (OSError, EOFError, dns.exception.DNSException):
            return False
        return any(record.serial == self._serial for rrset in reply.answer for record in rrset)


class Registrar:
    """An RDAP service (RFC 9082, RFC 9083) of one domain, over HTTP."""

    def __init__(self, domain: str, expires: str) -> None:
        self.domain = domain
        self.expires = expires
        self.status = ["active", "client transfer prohibited"]
        self.server = TinyServer(self._answer)

    @property
    def url(self) -> str:
        return f"{self.server.url}/rdap"

    async def _answer(self, asked: Asked, _: object) -> Reply:
        if asked.path == "/dns.json":
            services = [[[self.domain.rpartition(".")[2]], [f"{self.url}/"]]]
            return Reply(body=json.dumps({"version": "1.0", "services": services}).encode())
        if asked.path != f"/rdap/domain/{self.domain}":
            return Reply(404)
        document = {
            "objectClassName": "domain",
            "ldhName": self.domain.upper(),
            "status": self.status,
            "events": [
                {"eventAction": "registration", "eventDate": "2001-01-01T00:00:00Z"},
                {"eventAction": "expiration", "eventDate": self.expires},
            ],
        }
        fields = (("Content-Type", "application/rdap+json"),)
        return Reply(200, fields, json.dumps(document).encode())


def unbound(rig: Rig, *authorities: Authority) -> str:
    """A real resolver of these zones; its address."""
    folder, port = rig.place("unbound"), free_port()
    stubs = "".join(
        f'stub-zone:\n  name: "{each.zone}"\n  stub-addr: {each.address}@{each.port}\n'
        for each in authorities
    )
    config = folder / "unbound.conf"
    config.write_text(
        f'server:\n  interface: 127.0.0.1@{port}\n  do-daemonize: no\n  username: ""\n'
        f'  chroot: ""\n  directory: "{folder}"\n  pidfile: "{folder}/pid"\n  use-syslog: no\n'
        f'  module-config: "iterator"\n  local-zone: "test." nodefault\n'
        f"  do-not-query-localhost: no\n  num-threads: 1\n{stubs}"
    )
    child = rig.child([need("unbound"), "-c", str(config)], folder)
    child.wait_until(lambda: _resolves(port, authorities[0].zone))
    return f"127.0.0.1:{port}"


def _resolves(port: int, zone: str) -> bool:
    try:
        query = dns.message.make_query(zone, "NS")
        return bool(dns.query.tcp(query, "127.0.0.1", timeout=0.5, port=port).answer)
    except (OSError, EOFError, dns.exception.DNSException):
        return False
