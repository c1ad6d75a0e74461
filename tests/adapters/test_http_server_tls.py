"""Certificates of a door: which one is shown, how it is renewed, and what it vouches for."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop

from skerry.adapters.http_server import Door
from skerry.adapters.http_server_tls import CertificateError, CertificateNews, Pair, TlsNames
from skerry.base.clock import ManualClock
from skerry.wire.message import Answer
from tests.adapters.http_door import Client, Front, beats, guarded, until
from tests.rig.pairs import make_pair

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy")


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return (
        uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()
    )


@dataclass
class Shown:
    """A door with certificates for a.example, b.example and all below c.example."""

    folder: Path
    front: Front = field(default_factory=Front)
    clock: ManualClock = field(default_factory=ManualClock)
    news: list[CertificateNews] = field(default_factory=list)
    door: Door = field(init=False)
    names: TlsNames = field(init=False)

    @asynccontextmanager
    async def opened(self, *, days: float = 90.0) -> AsyncIterator[Shown]:
        self.clock.advance(1_790_000_000 - self.clock.now())  # about the present day
        a = make_pair(self.folder, "a", "a.example", days=days)
        b = make_pair(self.folder, "b", "b.example", days=2000)
        c = make_pair(self.folder, "c", "*.c.example", days=2000)
        self.names = TlsNames((a, b, c), (("a.example", 0), ("b.example", 1), ("*.c.example", 2)))
        self.door = Door(self.front, name="edge_tls", host="127.0.0.1", port=0, clock=self.clock,
                         tls=self.names, tell_certificates=self.news.append)  # fmt: skip
        await self.door.open()
        try:
            yield self
        finally:
            await guarded(self.door.close(0.0))

    async def connect(self, name: str | None, **options: ssl.TLSVersion) -> Client:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        for option, value in options.items():
            setattr(context, option, value)
        streams = await guarded(
            asyncio.open_connection("127.0.0.1", self.door.port, ssl=context,
                                    server_hostname=name or "")
        )  # fmt: skip
        return Client(*streams)

    async def ask(self, client: Client, host: str, path: str = "/") -> int:
        await client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return (await client.answer()).status


def shown_to(client: Client) -> bytes:
    return client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)  # type: ignore[no-any-return]


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(pair.cert_file).read_text())


@pytest.mark.parametrize(
    ("name", "number"),
    [("a.example", 0), ("b.example", 1), ("B.Example", 1), ("x.c.example", 2), ("y.x.c.example", 2),
     ("c.example", 0), ("d.example", 0), (None, 0)],
)  # fmt: skip
async def test_the_name_that_is_asked_for_chooses(
    tmp_path: Path, name: str | None, number: int
) -> None:
    async with Shown(tmp_path).opened() as made:
        client = await made.connect(name)
        assert shown_to(client) == der(made.names.pairs[number])
        tls = client.writer.get_extra_info("ssl_object")
        assert (tls.selected_alpn_protocol(), tls.version()) == ("http/1.1", "TLSv1.3")


async def test_tls_1_2_has_forward_secret_ciphers_and_1_1_is_refused(tmp_path: Path) -> None:
    async with Shown(tmp_path).opened() as made:
        client = await made.connect("a.example", maximum_version=ssl.TLSVersion.TLSv1_2)
        tls = client.writer.get_extra_info("ssl_object")
        assert tls.version() == "TLSv1.2"
        assert tls.cipher()[0].startswith("ECDHE-")
        assert shown_to(client) == der(made.names.pairs[0])
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await made.connect(
                "a.example",
                minimum_version=ssl.TLSVersion.TLSv1,
                maximum_version=ssl.TLSVersion.TLSv1_1,
            )


async def test_a_connection_for_one_site_does_not_serve_another_one_s(tmp_path: Path) -> None:
    made = Shown(tmp_path)
    made.front.hot("/hot", b"ready")
    async with made.opened():
        mine, theirs = await made.connect("a.example"), await made.connect("b.example")
        assert await made.ask(theirs, "b.example", "/hot") == 200  # ready for b, by every way
        assert await made.ask(theirs, "b.example", "/hot") == 200
        assert await made.ask(mine, "a.example:8443", "/hot") == 200
        assert await made.ask(mine, "b.example", "/hot") == 421
        asked = len(made.front.asked)
        again = await made.connect("a.example")
        assert await made.ask(again, "b.example", "/elsewhere") == 421
        assert len(made.front.asked) == asked
        below = await made.connect("x.c.example")
        assert await made.ask(below, "y.c.example", "/hot") == 200  # one certificate


async def test_renewed_files_are_taken_and_no_connection_ends(tmp_path: Path) -> None:
    made = Shown(tmp_path)
    made.front.always("/", Answer(200, body=b"ok"))
    async with made.opened():
        before = await made.connect("b.example")
        old = shown_to(before)
        make_pair(tmp_path, "b", "b.example")
        await beats(made.door, made.clock, 3)
        await until(lambda: [each.kind for each in made.news] == ["certificate.renewed"])
        after = await made.connect("b.example")
        assert shown_to(after) == der(made.names.pairs[1]) != old
        assert await made.ask(before, "b.example") == 200
        assert await made.ask(after, "b.example") == 200


@pytest.mark.parametrize("broken", ["cert_file", "key_file"])
async def test_a_broken_pair_is_refused_once_and_the_old_one_stays(
    tmp_path: Path, broken: str
) -> None:
    async with Shown(tmp_path).opened() as made:
        old = der(made.names.pairs[1])
        good = Path(made.names.pairs[1].key_file).read_bytes()
        other = make_pair(tmp_path, "other", "b.example")
        file = Path(getattr(made.names.pairs[1], broken))
        file.write_bytes(Path(getattr(other, broken)).read_bytes())  # one of two: no match
        await beats(made.door, made.clock, 10)
        (told,) = made.news
        assert (told.kind, told.subject) == ("certificate.refused", made.names.pairs[1].cert_file)
        assert "key values mismatch" in told.cause
        assert "stays in use" in told.next_step
        assert shown_to(await made.connect("b.example")) == old
        os.unlink(file)
        await beats(made.door, made.clock, 3)
        assert shown_to(await made.connect("b.example")) == old
        if broken == "key_file":
            file.write_bytes(good)
            await beats(made.door, made.clock, 3)
            assert made.news[-1].kind == "certificate.renewed"


async def test_a_pair_that_is_written_slowly_is_waited_for(tmp_path: Path) -> None:
    async with Shown(tmp_path).opened() as made:
        other = make_pair(tmp_path, "other", "b.example")
        certificates = made.door._state.certificates
        assert certificates is not None
        for name in ("cert_file", "key_file"):
            data = Path(getattr(other, name)).read_bytes()
            for end in (10, 100, len(data)):
                Path(getattr(made.names.pairs[1], name)).write_bytes(data[:end])
                certificates.check()
                assert made.news == []
        certificates.check()
        assert [each.kind for each in made.news] == ["certificate.renewed"]


async def test_a_certificate_near_its_end_is_told_of_once_a_day(tmp_path: Path) -> None:
    made = Shown(tmp_path)
    async with made.opened():
        certificates = made.door._state.certificates
        assert certificates is not None
        ends = certificates.statistics().expires_at[made.names.pairs[0].cert_file]
        made.clock.advance(ends - made.clock.now() - 15 * 86400)
        certificates.check()
        assert made.news == []
        made.clock.advance(86400 + 1)
        for _ in range(3):
            certificates.check()
        assert [each.cause for each in made.news] == ["its certificate ends in 13 days"]
        made.clock.advance(86400)
        certificates.check()
        assert len(made.news) == 2
        made.clock.advance(14 * 86400)
        certificates.check()
        assert made.news[-1].cause == "its certificate has ended"


async def test_other_names_are_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    async with Shown(tmp_path).opened() as made:
        fresh = make_pair(tmp_path, "d", "d.example")
        wrong = Pair(fresh.cert_file, made.names.pairs[0].key_file)
        with pytest.raises(CertificateError, match="mismatch"):
            made.door.use_certificates(TlsNames((wrong,), (("d.example", 0),)))
        assert shown_to(await made.connect("a.example")) == der(made.names.pairs[0])
        made.door.use_certificates(TlsNames((made.names.pairs[0], fresh), (("d.example", 1),)))
        assert shown_to(await made.connect("d.example")) == der(fresh)
        assert shown_to(await made.connect("b.example")) == der(made.names.pairs[0])


async def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    made = Shown(tmp_path)
    async with made.opened():
        pass
    key = Path(made.names.pairs[0].key_file)
    from cryptography.hazmat.primitives import serialization as pem

    loaded = pem.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(loaded.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8,
                                         pem.BestAvailableEncryption(b"secret")))  # fmt: skip
    door = Door(Front(), name="edge_tls", host="127.0.0.1", port=0, clock=made.clock,
                tls=made.names)  # fmt: skip
    with pytest.raises(CertificateError):
        await door.open()
