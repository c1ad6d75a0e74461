"""A watched domain on real name servers: what changes is told, what is only away is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from skerry.adapters.delegation_dns import AuthorityDns
from skerry.adapters.dns_lookup import LateResolution, Plan
from skerry.aio.tasks import Nursery
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import image, noise, push
from skerry.app.drill.names import NameServer
from skerry.app.names.domain_watch import OwnResolver
from skerry.base.clock import SystemClock
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.trust.core.delegation import Caa, Delegation
from skerry.trust.core.names.servers import read_server
from skerry.trust.watch_ports import Zone
from tests.rig import nodes
from tests.rig.delegation import Authority, Registrar, unbound
from tests.rig.desk import Desk
from tests.rig.netns import Cable
from tests.rig.processes import Rig

DOMAIN = "example.test"
DS = "12345 13 2 " + "AB" * 32
PARENT = (
    f"@ NS ns\nns A 127.0.0.1\nexample NS ns1.example\nns1.example A 127.0.0.1\nexample DS {DS}\n"
)
STOLEN = (
    PARENT.replace("example NS ns1.example\n", "example NS ns.evil\n") + "ns.evil A 127.0.0.1\n"
)
CHILD = '@ NS ns1\nns1 A 127.0.0.1\n@ CAA 0 issue "ca.example"\n'
EXPIRES = (datetime.now(UTC) + timedelta(days=300)).strftime("%Y-%m-%dT00:00:00Z")


class Scene:
    """A node that watches a domain, and everybody who says something of it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.parent = Authority(rig, "test", PARENT)
        self.child = Authority(rig, DOMAIN, CHILD)
        self.registrar = Registrar(DOMAIN, EXPIRES)
        rig.listen(self.registrar.server)
        self.names: NameServer = rig.names()
        self.folder: Path = rig.place("owner")
        self.origin = rig.registry()
        port = self.origin.authority.rpartition(":")[2]
        keys = Desk(rig, None, None, None)  # type: ignore[arg-type]
        self._run(keys, "keys", "new", str(self.folder / "anna.key"), "--unencrypted")
        settings = nodes.settings(
            f"http://registry.{DOMAIN}:{port}", window="0s", dns_port=self.names.port
        )
        dns = settings["dns"]
        assert isinstance(dns, dict)
        settings["dns"] = dns | {
            "watch_every": "500ms",
            "watch": [
                {
                    "domain": DOMAIN,
                    "state_file": str(self.folder / "signed.json"),
                    "parents": [self.parent.server],
                    "servers": [self.child.server],
                    "rdap": self.registrar.url,
                    "plain_http": True,
                    "key": [{"file": str(self.folder / "anna.pub"), "owner": "anna"}],
                }
            ],
        }
        self.node = rig.node(settings, name="rock")
        self.desk = Desk(rig, None, None, self.node)  # type: ignore[arg-type]

    @staticmethod
    def _run(desk: Desk, *arguments: str) -> None:
        from typer.testing import CliRunner

        from skerry.cli.main import make_app

        done = CliRunner().invoke(make_app(), list(arguments))
        assert done.exit_code == 0, done.output

    def sign(self) -> None:
        """As an owner does: a snapshot, read, signed and put into its place."""
        unsigned, ready = self.folder / "state.json", self.folder / "signed.json"
        said = self.desk.skerry("domain", "snapshot", DOMAIN, "-o", str(unsigned))
        assert said.code == 0, said
        key = str(self.folder / "anna.key")
        self._run(self.desk, "domain", "sign", str(unsigned), "--key", key, "-o", str(ready))

    def told(self, kind: str, count: int = 1) -> float:
        """Waits for so many events about the domain; how long that took, in seconds."""
        return self.node.child.wait_until(
            lambda: len(self.desk.events(kind, DOMAIN)) >= count, seconds_max=20
        )

    def drifts(self) -> dict[str, str]:
        (row,) = self.desk.done("domain", "list")["domains"]
        return {each["aspect"]: each["what"] for each in row["drifts"]}

    def metric(self, start: str) -> float:
        text = RegistryClient(self.node.admin).get("/metrics").body.decode()
        found = [line.split() for line in text.splitlines() if line.startswith(start)]
        return float(found[0][1]) if found else 0.0

    def pulls(self, name: str) -> None:
        """An image that is new comes through the watched name."""
        push(RegistryClient(self.origin.authority), name, image([{"f": noise(1, 4000)}]), "1")
        got = RegistryClient(self.node.registry).manifest(f"{nodes.HOST}/{name}", "1")
        assert got.status == 200, got.text()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Rig(tmp_path / "rig") as rig:
        yield Scene(rig)


def test_a_changed_delegation_is_told_in_time_and_names_stay_where_they_were(
    scene: Scene,
) -> None:
    begun_at = time.time()
    scene.sign()
    scene.told("domain.state_accepted")
    heard = 'skerry_domain_heard_timestamp_seconds{domain="example.test"}'
    assert begun_at < scene.metric(heard) < time.time()
    said = scene.desk.skerry("domain", "check", DOMAIN)
    assert said.code == 0, said
    assert DS.lower() in said.out
    assert 'issue "ca.example"' in said.out
    scene.pulls("team/first")
    scene.node.child.wait_until(lambda: f"registry.{DOMAIN}" in _text(scene, "names.json"))
    # The thief is at the parent, and where the names lead.
    scene.parent.change(STOLEN)
    begun = time.monotonic()
    scene.told("domain.drift")
    assert time.monotonic() - begun < 60
    scene.names._address = "127.0.0.9"
    assert "ns.evil.test" in scene.drifts()["ns"]
    assert scene.metric('skerry_domain_drift{domain="example.test",aspect="ns"}') == 1
    assert scene.metric('skerry_validation_failures_total{cause="delegation_drift"') == 1
    assert scene.desk.skerry("domain", "check", DOMAIN).code == 1
    scene.pulls("team/second")  # from the last good address
    # An outage of both authorities ends nothing and raises nothing.
    scene.parent.stop()
    scene.child.stop()
    looked = scene.desk.skerry("domain", "check", "--json").json()["domains"][0]
    last = scene.metric(heard)
    looked = scene.desk.skerry("domain", "check", "--json").json()["domains"][0]
    assert scene.metric(heard) == last, "nobody said anything"
    assert looked["ns"] is None
    assert looked["held"]
    assert len(scene.desk.events("domain.drift", DOMAIN)) == 1
    # Given back to its owner.
    scene.parent._write(PARENT)
    scene.parent.start()
    scene.child.start()
    scene.told("domain.drift_over")
    assert scene.drifts() == {}
    assert f'"{DOMAIN}"' not in _text(scene, "names.json").partition('"holds"')[2]


def test_ds_caa_and_registrar_are_watched_and_a_new_signature_ends_it(scene: Scene) -> None:
    scene.sign()
    scene.told("domain.state_accepted")
    scene.parent.change(PARENT.replace(f"example DS {DS}\n", ""))
    scene.child.change(CHILD.replace("ca.example", "evil.example"))
    scene.registrar.status = ["pending delete"]
    scene.registrar.expires = "2001-02-03T00:00:00Z"
    assert scene.desk.skerry("domain", "check").code == 1
    assert scene.drifts() == {
        "ds": "the parent has no DS any more: nothing is signed",
        "caa": "evil.example may issue certificates now",
        "expiry": f"its registration ends on 2001-02-03, not on {EXPIRES[:10]} as signed",
        "status": "it is in pending delete; it has lost client transfer prohibited",
    }
    listed = scene.desk.done("horizon")["expiries"]
    assert [each["what"] for each in listed if each["kind"] == "domain"] == [DOMAIN]
    assert scene.metric('skerry_validation_failures_total{cause="delegation_drift"') == 4
    scene.registrar.expires = EXPIRES
    scene.registrar.status = ["active"]
    assert scene.desk.skerry("domain", "check").code == 1
    scene.sign()
    assert scene.desk.skerry("domain", "check").code == 0
    (row,) = scene.desk.done("domain", "list")["domains"]
    assert row["version"] == 2
    assert not row["held"]


def test_parent_and_zone_are_found_through_the_resolver(tmp_path: Path) -> None:
    """In a namespace of its own, where name servers have their port."""
    with Cable() as cable, cable.near(), Rig(tmp_path / "rig") as rig:
        at_parent, at_child = (
            records.replace("127.0.0.1", "127.0.0.3")
            for records in (PARENT.replace("ns A 127.0.0.1", "ns A 127.0.0.2"), CHILD)
        )
        parent = Authority(rig, "test", at_parent, address="127.0.0.2", port=53)
        child = Authority(rig, DOMAIN, at_child, address="127.0.0.3", port=53)
        server = read_server(unbound(rig, parent))

        async def looks() -> list[Delegation]:
            clock = SystemClock()
            nursery = Nursery(on_crash=lambda name, error: None)
            lookup = LateResolution(
                lambda: (server,),
                Plan(domains=(".",)),
                clock=clock,
                nursery=nursery,
                events=Events(clock.now),
                failures=ValidationFailures(Registry()),
            )
            made = AuthorityDns(OwnResolver(lookup), clock=clock, chance=Random(1))
            both = await made.look(Zone(DOMAIN))
            child.stop()
            alone = await made.look(Zone(DOMAIN))
            parent.stop()
            none = await made.look(Zone(DOMAIN))
            lookup.close()
            await nursery.close()
            return [both, alone, none]

        both, alone, none = asyncio.run(looks())
        names = frozenset({f"ns1.{DOMAIN}"})
        caa = frozenset({Caa(0, "issue", "ca.example")})
        assert both == Delegation(names, names, frozenset({DS.lower()}), caa)
        assert alone == Delegation(names, None, frozenset({DS.lower()}), None)
        assert none == Delegation()


def _text(scene: Scene, name: str) -> str:
    path = scene.node.folder / "data" / name
    return path.read_text() if path.exists() else ""
