"""In an outage the horizon names what fails first and the minute, and then that fails.

The clock is accelerated: the node's own is moved by hand, openssl is told what time it is.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from skerry.app.drill.processes import toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from skerry.base.clock import ManualClock
from tests.rig.processes import need

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
DOOR_ENDS = BEGIN + timedelta(hours=9, minutes=41)
CA_ENDS = BEGIN + timedelta(days=3)


def make_pair(folder: Path, name: str, ends: datetime) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN - timedelta(days=1))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


class Scene:
    """A node with a TLS door, an upstream that nobody reaches, and a clock that is moved."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(BEGIN.timestamp())
        self.cert, self.key = make_pair(folder, "rock.test", DOOR_ENDS)
        self.ca, _ = make_pair(folder, "ca.test", CA_ENDS)
        document = {
            "doors": {
                "registry": "127.0.0.1:0",
                "admin": "127.0.0.1:0",
                "cert_file": str(self.cert),
                "key_file": str(self.key),
            },
            "node": {"name": "rock", "data_dir": str(folder / "data")},
            "horizon": {"alarm_below": "2h"},
            "upstream": [
                {
                    "name": "up.test",
                    "source": [{"url": "https://127.0.0.1:1", "ca_file": str(self.ca)}],
                }
            ],
        }
        config = folder / "skerry.toml"
        config.write_text(toml_text(document))
        self.node = Node(load(config, {}, {}), clock=self.clock)

    def gauge(self) -> str:
        lines = self.node.metrics.expose().splitlines()
        return next(each for each in lines if each.startswith("skerry_horizon_first_seconds{"))

    async def until(
        self, seconds: float, true: Callable[[], bool], *, step_seconds: float = 0.001
    ) -> None:
        """Goes on for so long in steps of ten minutes, then waits for something; each look takes
        `step_seconds`, which wakes what began to sleep meanwhile."""
        for _ in range(int(seconds // 600)):
            self.clock.advance(600)
            await asyncio.sleep(0)
        self.clock.advance(seconds % 600)
        async with asyncio.timeout(20):
            while not true():
                self.clock.advance(step_seconds)
                await asyncio.sleep(0.001)

    async def shaken_hands(self, at: datetime) -> bool:
        """Whether a client that trusts the door's certificate connects at a moment."""
        argv = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{self.node.registry_port}"]
        argv += ["-servername", "rock.test", "-CAfile", str(self.cert), "-verify_return_error"]
        argv += ["-attime", str(int(at.timestamp()))]
        done = await asyncio.to_thread(
            subprocess.run, argv, input=b"", capture_output=True, timeout=20, check=False
        )
        assert done.returncode == 0 or b"certificate has expired" in done.stderr + done.stdout
        return done.returncode == 0


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    await made.node.start()
    yield made
    await made.node.stop()


async def test_the_gauge_predicts_the_item_and_the_minute(scene: Scene) -> None:
    node = scene.node
    await scene.until(0, lambda: len(node.horizon.expiries()) == 2)
    first = node.horizon.first()
    assert first is not None
    assert (first.at, first.what) == (DOOR_ENDS.timestamp(), f"{scene.cert} (registry door)")
    kind, left = scene.gauge().split()
    assert 'kind="tls_certificate"' in kind
    assert float(left) == pytest.approx((DOOR_ENDS - BEGIN).total_seconds(), abs=1)
    # Nine hours alone.
    await scene.until(9 * 3600, lambda: bool(node.events.recent("horizon.near")))
    assert [each.subject for each in node.events.recent("horizon.near")] == [first.what]
    predicted = datetime.fromtimestamp(scene.clock.now() + float(scene.gauge().split()[1]), UTC)
    minute = timedelta(minutes=1)
    assert await scene.shaken_hands(predicted - minute)
    assert not await scene.shaken_hands(predicted + minute)
    await scene.until(42 * 60, lambda: bool(node.events.recent("horizon.passed")))
    assert scene.gauge().endswith(" 0")
    # A renewed pair in the same files is taken, and all is well.
    renewed = BEGIN + timedelta(days=2)
    scene.cert, scene.key = make_pair(scene.cert.parent, "rock.test", renewed)
    await scene.until(120, lambda: bool(node.events.recent("horizon.clear")), step_seconds=1)
    assert await scene.shaken_hands(predicted + minute)
    first = node.horizon.first()
    assert first is not None
    assert first.at == renewed.timestamp()
    assert len(node.events.recent("horizon.near")) == 1
