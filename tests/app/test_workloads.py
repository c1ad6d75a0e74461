"""Workloads and machines at a live node: ID tokens and client certificates, over real sockets."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from skerry.telemetry.horizon import Expires
from tests.rig.crew import A, Crew, basic
from tests.rig.http import Asked, Reply, TinyServer
from tests.rig.pairs import make_pair
from tests.trust.tokens.test_issuers import AUDIENCE, SECRETS, jwks

PATH = "/v2/local/a/manifests/1"
PULL_A = "repository:local/a:pull"
EXCHANGE = quote("urn:ietf:params:oauth:grant-type:token-exchange")
ID_TOKEN = quote("urn:ietf:params:oauth:token-type:id_token")


class Forge:
    """An issuer on loopback."""

    def __init__(self) -> None:
        self.server = TinyServer(self._answer)
        self.elsewhere = ""
        self.asked: list[Asked] = []

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> Reply:
        self.asked.append(asked)
        if asked.path == "/.well-known/openid-configuration":
            place = f"{self.elsewhere or self.server.url}/keys"
            body = json.dumps({"issuer": self.server.url, "jwks_uri": place}).encode()
            return Reply(200, (), body)
        return Reply(200, (), jwks(one="RS256")) if asked.path == "/keys" else Reply(404)

    def token(self, crew: Crew, **claims: object) -> str:
        now = crew.clock.now()
        payload = {
            "iss": self.server.url, "aud": AUDIENCE, "sub": "job:7", "iat": now, "exp": now + 300,
            "repository": "crew/app", **claims,
        }  # fmt: skip
        return jwt.encode(payload, SECRETS["RS256"], "RS256", headers={"kid": "one"})  # type: ignore[arg-type]


@pytest.fixture
async def forge() -> AsyncIterator[Forge]:
    made = Forge()
    await made.server.start()
    yield made
    await made.server.close()


@pytest.fixture
async def crew(tmp_path: Path, forge: Forge) -> AsyncIterator[Crew]:
    grant = {"claims": ["repository=crew/*"], "repositories": ["local/a"], "actions": ["pull"]}
    issuer = {
        "name": "forge",
        "url": forge.server.url,
        "audience": AUDIENCE,
        "plain_http": True,
        "grant": [grant],
    }
    made = Crew(tmp_path / "one", issuer=[issuer])
    await made.start()
    await made.fill()
    yield made
    await made.stop()


async def exchanged(crew: Crew, id_token: str, scope: str = PULL_A) -> str:
    got = await crew.post(
        grant_type=EXCHANGE, subject_token=id_token, subject_token_type=ID_TOKEN, scope=scope
    )
    assert got.status == 200, got.body
    return str(json.loads(got.body)["access_token"])


async def test_a_workload_exchanges_its_id_token_and_goes_on_through_an_outage(
    crew: Crew, forge: Forge
) -> None:
    token = await exchanged(crew, forge.token(crew), f"{PULL_A},push")
    assert (await crew.ask(PATH, token)).body == A.manifest.data
    assert (await crew.ask("/v2/local/a/blobs/uploads/", token, method="POST")).status == 401
    await forge.server.close()
    await crew.stop()
    await crew.start()  # cold, with the issuer gone
    crew.clock.pass_by(12 * 3600)
    assert (await crew.ask(PATH, await exchanged(crew, forge.token(crew)))).status == 200
    kinds = {each.kind for each in crew.node.horizon.expiries()}
    assert Expires.JWKS in kinds
    crew.clock.pass_by(7 * 86400)
    got = await crew.post(
        grant_type=EXCHANGE, subject_token=forge.token(crew), subject_token_type=ID_TOKEN
    )
    assert got.status == 401


async def test_a_client_that_knows_no_exchange_sends_it_as_a_password(
    crew: Crew, forge: Forge
) -> None:
    fields = basic("oidc", forge.token(crew))
    got = await crew.send("GET", f"/auth/token?scope={PULL_A}", fields)
    assert (await crew.ask(PATH, json.loads(got.body)["token"])).status == 200
    assert (await crew.send("GET", PATH, fields)).status == 200
    wrong = basic("oidc", forge.token(crew, repository="evil/app"))
    assert (await crew.send("GET", f"/auth/token?scope={PULL_A}", wrong)).status == 401


async def test_an_issuer_does_not_lead_to_another_host(crew: Crew, forge: Forge) -> None:
    await crew.stop()
    for kept in (crew.folder / "data" / "issuers").glob("*"):
        kept.unlink()
    other = Forge()  # it would give the very same keys
    await other.server.start()
    try:
        forge.elsewhere = other.server.url
        await crew.start()
        got = await crew.post(
            grant_type=EXCHANGE, subject_token=forge.token(crew), subject_token_type=ID_TOKEN
        )
    finally:
        await other.server.close()
    assert (got.status, other.asked) == (401, [])
    assert crew.node.events.recent("issuer.keys_not_fetched")


async def test_the_issuer_is_told_nothing(crew: Crew, forge: Forge) -> None:
    id_token = forge.token(crew)
    await exchanged(crew, id_token)
    assert forge.asked
    for asked in forge.asked:
        assert id_token not in repr(asked)
        assert not asked.values("Authorization")


# client certificates


class Authority:
    """A certificate authority for clients."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        own = self._build(self.subject, self.key.public_key(), [], days=100)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def client(self, common: str, *others: x509.GeneralName, days: float = 10) -> Path:
        """A client's certificate and key in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        made = self._build(subject, key.public_key(), list(others), days=days)
        file = self.folder / f"{self.name}-{common}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        return file

    def _build(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        others: list[x509.GeneralName],
        *,
        days: float,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(
                x509.BasicConstraints(ca=subject == self.subject, path_length=None), True
            )
        )
        if others:
            builder = builder.add_extension(x509.SubjectAlternativeName(others), False)
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[tuple[Crew, Authority]]:
    authority = Authority(tmp_path, "site")
    pair = make_pair(tmp_path, "node", "localhost")
    entries = [
        {"match": "dns:*.site.lan", "identity": "machines", "groups": ["crew"]},
        {"match": "uri:spiffe://site/ann", "identity": "ann"},
    ]
    crew = Crew(tmp_path / "one", certificate=entries)
    crew.doors = {
        "cert_file": pair.cert_file,
        "key_file": pair.key_file,
        "client_ca_file": str(authority.file),
    }
    await crew.start()
    yield crew, authority
    await crew.stop()


def connected(crew: Crew, certificate: Path | None) -> http.client.HTTPSConnection:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate)
    return http.client.HTTPSConnection("127.0.0.1", crew.node.registry_port, context=context)


def send(
    link: http.client.HTTPSConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    fields: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    link.request(method, path, body, dict(fields or {}))
    answer = link.getresponse()
    return answer.status, answer.read()


def ask(crew: Crew, method: str, path: str, certificate: Path | None) -> tuple[int, bytes]:
    link = connected(crew, certificate)
    try:
        return send(link, method, path)
    finally:
        link.close()


async def test_a_certificate_is_who_its_names_say(machines: tuple[Crew, Authority]) -> None:
    crew, authority = machines
    uploads = "/v2/local/a/blobs/uploads/"

    async def status(certificate: Path | None, method: str = "POST", path: str = uploads) -> int:
        return (await asyncio.to_thread(ask, crew, method, path, certificate))[0]

    node = authority.client("node-7", x509.DNSName("node-7.site.lan"))
    assert await status(node) == 202
    assert await status(node, "GET", "/v2/") == 200
    assert (
        await status(authority.client("b", x509.UniformResourceIdentifier("spiffe://site/ann")))
        == 202
    )
    assert await status(authority.client("ann")) == 401  # a common name that no entry means
    assert await status(authority.client("c", x509.DNSName("node-7.evil.lan"))) == 401
    assert await status(None) == 401
    assert await status(None, "GET", "/v2/") == 401
    token = json.loads(
        (await asyncio.to_thread(ask, crew, "GET", f"/auth/token?scope={PULL_A},push", node))[1]
    )["token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["groups"]) == ("machines", ["crew"])


async def test_what_a_certificate_opens_becomes_no_ready_answer_for_others(
    machines: tuple[Crew, Authority],
) -> None:
    """Such a request carries no field that says who asks: nothing but the answer itself can."""
    crew, authority = machines
    node = authority.client("node-7", x509.DNSName("node-7.site.lan"))
    manifest = A.manifest.data
    link = await asyncio.to_thread(connected, crew, node)
    try:
        for blob in A.blobs:
            target = f"/v2/local/a/blobs/uploads/?digest={blob.digest}"
            assert (await asyncio.to_thread(send, link, "POST", target, blob.data))[0] == 201
        target = f"/v2/local/a/manifests/{A.digest}"
        kind = {"Content-Type": A.manifest.media_type}
        assert (await asyncio.to_thread(send, link, "PUT", target, manifest, kind))[0] == 201
        for path in (target, f"/v2/local/a/blobs/{A.blobs[1].digest}"):
            for _ in range(4):
                assert (await asyncio.to_thread(send, link, "GET", path))[0] == 200
                assert (await asyncio.to_thread(ask, crew, "GET", path, None))[0] == 401
    finally:
        link.close()


async def test_a_certificate_of_another_authority_ends_the_handshake(
    machines: tuple[Crew, Authority], tmp_path: Path
) -> None:
    crew, _ = machines
    foreign = Authority(tmp_path, "other").client("x", x509.DNSName("node-7.site.lan"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(ask, crew, "GET", "/v2/", foreign)


async def test_a_certificate_that_ended_stays_so_though_the_clock_is_set_back(
    machines: tuple[Crew, Authority],
) -> None:
    crew, authority = machines
    node = authority.client("node-7", x509.DNSName("node-7.site.lan"), days=1)
    assert (await asyncio.to_thread(ask, crew, "GET", "/v2/", node))[0] == 200
    crew.clock.pass_by(2 * 86400)
    assert (await asyncio.to_thread(ask, crew, "GET", "/v2/", node))[0] == 401
    crew.clock.set_back(3 * 86400)
    assert (await asyncio.to_thread(ask, crew, "GET", "/v2/", node))[0] == 401
