"""Names between real name servers: Knot with a root of its own, unbound as yardstick, kdig."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from typer.testing import CliRunner

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import NodeProcess, Setting, free_port
from skerry.cli.main import make_app
from tests.rig import nodes
from tests.rig.processes import Rig, certificate, need
from tests.rig.telling import plain
from tests.rig.zones import BROKEN, SOUND, Authority, ask, unbound

QUESTIONS = (
    ("www", "A"), ("www", "MX"), ("alias", "A"), ("alias", "MX"), ("out", "A"), ("x.wild", "A"),
    ("x.wild", "MX"), ("b.ent", "A"), ("ent", "A"), ("nope", "A"), ("a.b.nope", "A"),
    ("www.sub", "A"), ("sub", "DS"), ("", "DNSKEY"), ("", "NS"), ("", "DS"), ("www.old", "A"),
)  # fmt: skip
EDE = {
    "forged.test.": 6,
    "expired.test.": 7,
    "early.test.": 8,
    "otherds.test.": 9,
    "nokey.test.": 9,
    "bare.test.": 10,
}


@dataclass
class Shore:
    """What the tests of this module share."""

    rig: Rig
    authority: Authority
    yardstick: int


@pytest.fixture(scope="module")
def shore(shared: Rig) -> Shore:
    authority = Authority(shared)
    return Shore(shared, authority, unbound(shared, authority, anchor=authority.anchor))


@dataclass
class Node:
    """A node that validates, and where its own resolver listens."""

    process: NodeProcess
    port: int

    def ask(self, name: str, kind: str = "A", *, seconds: float = 5.0) -> dns.message.Message:
        return ask(self.port, name, kind, signatures=True, seconds=seconds)

    def counted(self, family: str) -> dict[str, int]:
        """What a family of one label counts, by that label, without what never was."""
        return {
            "".join(value for _, value in labels): int(count)
            for (name, labels), count in plain(self.process).items()
            if name == family and count
        }

    def failures(self) -> dict[str, int]:
        """What was not believed, by cause; those that never were are left out."""
        text = RegistryClient(self.process.admin).get("/metrics").body.decode()
        found = re.findall(
            r'^skerry_validation_failures_total\{.*?cause="(\w+)".*\} (\d+)', text, re.M
        )
        return {cause: int(count) for cause, count in found if int(count)}


@contextmanager
def validating(shore: Shore, server: str, **dns_settings: Setting) -> Iterator[Node]:
    port = free_port()
    base = nodes.settings("http://registry.good.test:1")
    names: dict[str, Setting] = {
        "servers": [server],
        "dnssec": "validate",
        "trust_anchor_file": str(shore.authority.anchor),
        "private_names": ["local.test"],
        "listen": [f"127.0.0.1:{port}"],
        **dns_settings,
    }
    process = shore.rig.node({**base, "dns": names})
    try:
        yield Node(process, port)
    finally:
        process.stop()


def ede(reply: dns.message.Message) -> int | None:
    found = [each for each in reply.options if isinstance(each, dns.edns.EDEOption)]
    return int(found[0].code) if found else None


def verdict(reply: dns.message.Message) -> tuple[str, bool]:
    return dns.rcode.to_text(reply.rcode()), bool(reply.flags & dns.flags.AD)


def addresses(reply: dns.message.Message) -> list[str]:
    return sorted(str(r) for each in reply.answer if each.rdtype in (1, 28) for r in each)


def until(ready: Callable[[], bool], *, seconds_max: float = 10.0) -> float:
    """How long it took. Raises TimeoutError."""
    begun = time.monotonic()
    while not ready():
        if time.monotonic() - begun > seconds_max:
            raise TimeoutError(f"not within {seconds_max} s")
        time.sleep(0.02)
    return time.monotonic() - begun


@pytest.mark.parametrize("through", ["authority", "forwarder"])
def test_verdicts_are_those_of_unbound(shore: Shore, through: str) -> None:
    """Every question in every zone, asked of the authority and through another resolver."""
    port = shore.authority.port if through == "authority" else shore.yardstick
    questions = [
        (f"{label}.{zone}".lstrip("."), kind)
        for zone in (*SOUND, *BROKEN, "plain.test.")
        for label, kind in QUESTIONS
    ] + [(".", "NS"), (".", "DNSKEY"), ("nope.", "A"), ("test.", "DS"), ("nope.test.", "A")]
    with validating(shore, f"127.0.0.1:{port}") as node, ThreadPoolExecutor(4) as pool:
        ours = pool.map(lambda each: node.ask(*each), questions)
        theirs = pool.map(lambda each: ask(shore.yardstick, *each, signatures=True), questions)
        different = [
            (question, verdict(mine), verdict(other))
            for question, mine, other in zip(questions, ours, theirs, strict=True)
            if verdict(mine) != verdict(other) or addresses(mine) != addresses(other)
        ]
        assert different == []
        for zone, code in EDE.items():
            reply = node.ask(f"www.{zone}")
            assert (verdict(reply), ede(reply)) == (("SERVFAIL", False), code), zone
            assert addresses(reply) == []


def test_each_attack_raises_its_own_counter_and_no_other(shore: Shore) -> None:
    attacks = {
        "www.forged.test.": "dns_bogus",
        "www.bare.test.": "dns_bogus",
        "www.otherds.test.": "dns_bogus",
        "www.expired.test.": "dns_signature_expired",
        "inside.good.test.": "dns_rebinding",
    }
    with validating(shore, shore.authority.server) as node:
        expected: dict[str, int] = {}
        for name, cause in attacks.items():
            assert addresses(node.ask(name)) == []
            expected[cause] = expected.get(cause, 0) + 1
            assert node.failures() == expected, name
        assert addresses(node.ask("www.good.test.")) == ["44.1.2.1"]
        assert node.failures() == expected


def test_each_question_is_counted_by_how_it_was_answered_and_by_what_was_believed(
    shore: Shore,
) -> None:
    questions, verdicts = "skerry_dns_questions_total", "skerry_dns_verdicts_total"
    with validating(shore, shore.authority.server) as node:
        assert node.counted(questions) == node.counted(verdicts) == {}
        node.ask("www.good.test.")
        assert (node.counted(questions), node.counted(verdicts)) == ({"asked": 1}, {"secure": 1})
        node.ask("www.good.test.")
        assert node.counted(questions) == {"asked": 1, "from_cache": 1}
        node.ask("www.plain.test.")
        node.ask("www.forged.test.")
        assert node.counted(verdicts) == {"secure": 1, "insecure": 1, "bogus": 1}
        assert sum(node.counted(questions).values()) == 4
        refused = ask(node.port, "www.good.test.", "AXFR", signatures=True)
        assert verdict(refused)[0] == "REFUSED"
        assert node.counted("skerry_dns_site_questions_total") == {"all": 5, "refused": 1}
        assert node.counted("skerry_dns_held_names") == {}
        words = ["names", "hold", "www.good.test", "--reason", "a test"]
        held = CliRunner().invoke(make_app(), [*words, "--config", str(node.process.config)])
        assert held.exit_code == 0, held.output
        assert node.counted("skerry_dns_held_names") == {"": 1}


def test_kdig_is_told_what_it_should_be(shore: Shore) -> None:
    local = [{"name": "box.lan", "addresses": ["192.168.1.2"]}]
    with validating(shore, shore.authority.server, local=local) as node:

        def kdig(*words: str) -> str:
            argv = [need("kdig"), "@127.0.0.1", "-p", str(node.port), "+retry=0", *words]
            return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

        said = kdig("+dnssec", "www.good.test", "A")
        assert "status: NOERROR" in said
        assert re.search(r"Flags: qr rd ra ad", said)
        assert "RRSIG" in said
        said = kdig("+dnssec", "www.forged.test", "A")
        assert "status: SERVFAIL" in said
        assert "EDE: 6" in said
        assert "44.66.66.66" not in said
        assert "44.66.66.66" in kdig("+cdflag", "www.forged.test", "A")
        assert "192.168.1.2" in kdig("box.lan", "A")
        assert "192.168.1.2" in kdig("+tcp", "box.lan", "A")
        assert "RFC8482" in kdig("good.test", "ANY")
        assert "status: REFUSED" in kdig("+norec", "www.good.test", "A")
        assert "44.1.2.1" not in kdig("good.test", "AXFR")
        shown = kdig("+cookie", "www.good.test", "A")
        assert re.search(
            r"COOKIE: [0-9a-fA-F]{48}", shown.replace(" ", "").replace("COOKIE:", "COOKIE: ")
        )


def test_tls_is_spoken_only_with_who_the_certificate_names(shore: Shore) -> None:
    pair = certificate(shore.rig.folder)
    port = unbound(shore.rig, shore.authority, anchor=None, tls=pair)
    trusted = {"ca_file": str(pair[0])}
    for name, rcode in (("up.test@", "NOERROR"), ("", "NOERROR"), ("other.test@", "SERVFAIL")):
        with validating(shore, f"tls://{name}127.0.0.1:{port}", **trusted) as node:
            assert verdict(node.ask("www.good.test.", seconds=8))[0] == rcode, name
    with validating(shore, f"tls://up.test@127.0.0.1:{port}") as node:
        assert verdict(node.ask("www.good.test.", seconds=8))[0] == "SERVFAIL", "nobody's authority"


def test_made_up_names_are_counted_once_and_known_ones_go_on(shore: Shore) -> None:
    with validating(shore, shore.authority.server) as node:
        assert addresses(node.ask("www.nsec3.test."))

        def made_up(number: int) -> str:
            query = dns.message.make_query(f"x{number}.nsec3.test.", "A", use_edns=0)
            try:
                reply = dns.query.tcp(query, "127.0.0.1", port=node.port, timeout=5)
            except (OSError, EOFError, dns.exception.Timeout):
                return "nothing"
            return dns.rcode.to_text(reply.rcode())

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(made_up, range(400)))
        assert found.count("NXDOMAIN") < 200
        assert found.count("SERVFAIL") > 150
        begun = time.monotonic()
        assert addresses(node.ask("www.nsec3.test.")) == ["44.1.2.1"]
        assert addresses(node.ask("www.good.test.")) == ["44.1.2.1"]
        assert time.monotonic() - begun < 2
        assert node.failures() == {"dns_nxdomain_flood": 1}
        assert node.counted("skerry_dns_site_questions_total")["flooded"] > 150


def test_a_server_that_fails_is_asked_a_bounded_number_of_times(rig: Rig) -> None:
    """SERVFAIL by the hundred: a resolver whose own servers are gone."""
    authority = Authority(rig)
    forwarder = unbound(rig, authority, anchor=None)
    authority.stop()
    with validating(Shore(rig, authority, forwarder), f"127.0.0.1:{forwarder}") as node:
        for _ in range(50):
            assert verdict(node.ask("www.good.test.", seconds=8))[0] == "SERVFAIL"
        counted = node.failures()
        assert set(counted) <= {"dns_servfail"}
        assert counted.get("dns_servfail", 0) <= 3


def test_a_dead_authority_is_outlived_and_so_is_a_restart_of_the_node(rig: Rig) -> None:
    authority, registry = Authority(rig), rig.registry()
    port = free_port()
    url = f"http://registry.good.test:{registry.authority.rpartition(':')[2]}"
    settings = nodes.settings(url) | {
        "dns": {
            "servers": [authority.server],
            "dnssec": "validate",
            "trust_anchor_file": str(authority.anchor),
            "listen": [f"127.0.0.1:{port}"],
        }
    }
    process = rig.node(settings)
    node = Node(process, port)
    client = RegistryClient(process.registry)
    assert client.manifest(f"{nodes.HOST}/a", "1").status == 404, "the upstream was asked"
    until(lambda: (process.folder / "data" / "names.json").exists())
    fresh = node.ask("www.good.test.")
    assert verdict(fresh) == ("NOERROR", True)
    authority.stop()
    time.sleep(2.1)  # the answer's lifetime
    begun = time.monotonic()
    stale = node.ask("www.good.test.")
    assert time.monotonic() - begun < 2
    assert (addresses(stale), ede(stale)) == (["44.1.2.1"], 3)
    assert node.counted("skerry_dns_questions_total")["stale"] == 1
    begun = time.monotonic()
    assert ede(node.ask("www.good.test.")) == 3
    assert time.monotonic() - begun < 0.5, "nobody waits again for half a minute"
    process.restart()
    client = RegistryClient(process.registry)
    assert client.manifest(f"{nodes.HOST}/b", "1").status == 404, "by the address it wrote down"
    assert node.counted("skerry_dns_questions_total")["last_good"] >= 1
    assert node.failures() == {}
    authority.start()
    assert until(lambda: verdict(node.ask("www.good.test."))[0] == "NOERROR", seconds_max=30) < 30
