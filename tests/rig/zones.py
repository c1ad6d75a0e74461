"""A DNS of its own on loopback: a root, a top level and zones, served by Knot.

Owns the zones and their faults. Knot signs what is sound by itself; what is broken is signed by us
and broken after, because no name server can be told to lie.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from skerry.app.drill.processes import Child, free_port
from tests.rig.processes import Rig, need
from tests.trust.names_world import SignedZone

SOUND: Mapping[str, Mapping[str, str]] = {
    "good.test.": {},
    "rsa.test.": {"algorithm": "rsasha256", "ksk-size": "2048", "zsk-size": "2048"},
    "eddsa.test.": {"algorithm": "ed25519"},
    "nsec3.test.": {"nsec3": "on", "nsec3-iterations": "0", "nsec3-salt-length": "0"},
    "optout.test.": {"nsec3": "on", "nsec3-opt-out": "on", "nsec3-iterations": "5"},
    "many.test.": {"nsec3": "on", "nsec3-iterations": "200"},
}
BROKEN = ("forged.test.", "expired.test.", "early.test.", "bare.test.", "otherds.test.",
          "nokey.test.")  # fmt: skip
RECORDS = (
    "www 2 A 44.1.2.1\nwww 2 AAAA 2600::1\nmail 300 MX 10 www\nalias 300 CNAME www\n"
    "out 300 CNAME www.plain.test.\n*.wild 300 A 44.1.2.7\na.b.ent 300 TXT x\n"
    "sub 300 NS ns.sub\nns.sub 300 A 127.0.0.1\nold 300 DNAME good.test.\ninside 300 A 10.1.2.3\n"
    "registry 2 A 127.0.0.1\n"
)
DAY = 86400
HEAD = "$TTL 300\n@ 300 SOA ns h 1 3600 600 86400 60\n@ 300 NS ns\nns 300 A 127.0.0.1\n"


class Authority:
    """Knot with all zones. `port` is its loopback port; `anchor` a file of the root's DS."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.folder = rig.place("knot")
        self.port = free_port()
        self.anchor = self.folder / "root.key"
        self._zones = self.folder / "zones"
        self._zones.mkdir()
        (self.folder / "db").mkdir()
        self._config = self.folder / "knot.conf"
        self._child: Child | None = None
        self._write_config()
        self._make()
        self.start()

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serves until `stop`."""
        argv = [need("knotd"), "-c", str(self._config), "-s", str(self.folder / "ctl")]
        self._child = self._rig.child(argv, self.folder)
        self._child.wait_until(lambda: self._is_ready())

    def stop(self) -> None:
        """Dead: nothing answers any more."""
        if self._child is not None:
            self._child.stop()

    def _is_ready(self) -> bool:
        try:
            return all(
                ask(self.port, zone, "SOA", signatures=True, seconds=0.3).answer
                for zone in (".", *SOUND)
            )
        except (OSError, dns.exception.DNSException):
            return False

    def _write_config(self) -> None:
        folder = self.folder
        lines = [
            f"server:\n  rundir: {folder}\n  listen: 127.0.0.1@{self.port}\n  udp-workers: 1",
            "  tcp-workers: 1\n  background-workers: 1",
            f"database:\n  storage: {folder}/db",
            "log:\n - target: stderr\n   any: warning",
            "policy:",
        ]
        policies = {"plain": {}} | {zone.rstrip("."): more for zone, more in SOUND.items()}
        for name, more in policies.items():
            lines.append(f" - id: {name}\n   cds-cdnskey-publish: none")
            lines += [f"   {key}: {value}" for key, value in more.items()]
        lines.append(f"template:\n - id: default\n   storage: {folder}/zones")
        lines += [
            "   zonefile-sync: -1\n   journal-content: none\n   zonefile-load: whole",
            "zone:",
        ]
        for zone in (".", "test.", *SOUND):
            policy = zone.rstrip(".") if zone in SOUND else "plain"
            lines.append(f" - domain: {zone}\n   file: {_file(zone)}\n   dnssec-signing: on")
            lines.append(f"   dnssec-policy: {policy}")
        for zone in (*BROKEN, "plain.test.", *(f"sub.{zone}" for zone in SOUND)):
            lines.append(f" - domain: {zone}\n   file: {_file(zone)}")
        self._config.write_text("\n".join(lines) + "\n")

    def _make(self) -> None:
        delegations = "plain 300 NS ns.plain\nns.plain 300 A 127.0.0.1\n"
        for zone in SOUND:
            self._put(zone, HEAD + RECORDS)
            self._put(f"sub.{zone}", f"{HEAD}www 300 A 44.1.2.3\n")
            label = zone.split(".")[0]
            delegations += f"{label} 300 NS ns.{label}\nns.{label} 300 A 127.0.0.1\n"
            delegations += "".join(f"{label} 300 DS {ds}\n" for ds in self._ds(zone))
        self._put("plain.test.", f"{HEAD}www 300 A 44.1.2.2\n")
        for zone in BROKEN:
            label = zone.split(".")[0]
            delegations += f"{label} 300 NS ns.{label}\nns.{label} 300 A 127.0.0.1\n"
            delegations += f"{label} 300 DS {self._break(zone)}\n"
        self._put("test.", HEAD + delegations)
        top = "".join(f"test 300 DS {ds}\n" for ds in self._ds("test."))
        self._put(".", f"{HEAD}test 300 NS ns.test\nns.test 300 A 127.0.0.1\n{top}")
        self.anchor.write_text("".join(f". IN DS {ds}\n" for ds in self._ds(".")))

    def _ds(self, zone: str) -> list[str]:
        """A key of its own for a zone, made now, and the DS of it."""
        keymgr = [need("keymgr"), "-c", str(self._config), zone]
        more = SOUND.get(zone, {})
        algorithm = [f"algorithm={more['algorithm']}"] if "algorithm" in more else []
        for flags in ("ksk=yes", "zsk=yes"):
            subprocess.run(
                [*keymgr, "generate", flags, *algorithm], check=True, capture_output=True
            )
        found = subprocess.run([*keymgr, "ds"], check=True, capture_output=True, text=True)
        return [match[1] for match in re.finditer(r" DS (\d+ \d+ 2 \w+)", found.stdout)]

    def _break(self, zone: str) -> str:
        """Signs a zone and breaks it as its name says; the DS that its parent has."""
        now = int(time.time())
        window = {
            "expired.test.": (now - 40 * DAY, now - 20 * DAY),  # others grant an hour and more
            "early.test.": (now + 20 * DAY, now + 40 * DAY),
        }
        begin, end = window.get(zone, (now - 3600, now + 86400))
        made = SignedZone(
            dns.name.from_text(zone), RECORDS.split("sub 300")[0], inception=begin, expiration=end
        )
        ds = dns.dnssec.make_ds(made.origin, made.key, "SHA256")
        made.finish()
        text = "".join(each.to_text() + "\n" for each in made.sets.values())
        match zone:
            case "forged.test.":
                text = text.replace("IN A 44.1.2.1\n", "IN A 44.66.66.66\n")
            case "bare.test.":
                text = re.sub(r"^\S+ \d+ IN RRSIG A .*\n", "", text, flags=re.M)
            case "nokey.test.":
                text = re.sub(r"^\S+ \d+ IN (RRSIG )?DNSKEY .*\n", "", text, flags=re.M)
            case "otherds.test.":
                ds = ds.replace(digest=bytes(32))
        self._put(zone, text)
        return ds.to_text()

    def _put(self, zone: str, text: str) -> None:
        (self._zones / _file(zone)).write_text(text)


def _file(zone: str) -> str:
    return f"{zone.strip('.') or 'root'}.zone"


def unbound(
    rig: Rig, authority: Authority, *, anchor: Path | None, tls: tuple[Path, Path] | None = None
) -> int:
    """unbound that asks the authority; with an anchor it validates. Returns its port.

    With a certificate and its key it speaks TLS there, and plain DNS on the port after.
    """
    folder, port = rig.place("unbound"), free_port()
    plain = free_port() if tls else port
    modules = "validator iterator" if anchor else "iterator"
    lines = [
        "server:", f'  directory: "{folder}"', '  chroot: ""', '  username: ""', '  pidfile: ""',
        f"  interface: 127.0.0.1@{port}", "  do-daemonize: no", "  use-syslog: no",
        "  num-threads: 1", "  do-not-query-localhost: no", f'  module-config: "{modules}"',
        "  ede: yes", "  val-log-level: 1", '  local-zone: "test." nodefault',
        "  qname-minimisation: no",
        *([f'  trust-anchor-file: "{anchor}"'] if anchor else []),
        *([f"  interface: 127.0.0.1@{plain}", f"  tls-port: {port}",
           f'  tls-service-pem: "{tls[0]}"', f'  tls-service-key: "{tls[1]}"'] if tls else []),
        "forward-zone:", '  name: "."', f"  forward-addr: 127.0.0.1@{authority.port}",
        "remote-control:", "  control-enable: no",
    ]  # fmt: skip
    config = folder / "unbound.conf"
    config.write_text("\n".join(lines) + "\n")
    child = rig.child([need("unbound"), "-d", "-c", str(config)], folder)
    child.wait_until(lambda: _answers(plain))
    return port


def _answers(port: int) -> bool:
    try:
        ask(port, "plain.test.", "SOA", seconds=0.5)
    except (OSError, dns.exception.DNSException):
        return False
    return True


def ask(
    port: int, name: str, kind: str = "A", *, signatures: bool = False, seconds: float = 5.0
) -> dns.message.Message:
    """One question, as a stub asks it. Raises dns.exception.Timeout."""
    query = dns.message.make_query(
        name, kind, want_dnssec=signatures, use_edns=0, payload=1232, flags=dns.flags.RD
    )
    reply, _ = dns.query.udp_with_fallback(query, "127.0.0.1", port=port, timeout=seconds)
    return reply
