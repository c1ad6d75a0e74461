"""ID tokens of issuers: who is believed, for how long, and who is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from skerry.adapters.file_jwks import FileKeyShelf
from skerry.base.clock import ManualClock
from skerry.base.errors import SkerryError
from skerry.base.high_water import HighWater
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.tokens.core.rules import Grant, Kind
from skerry.trust.tokens.core.scopes import Action
from skerry.trust.tokens.core.workloads import Condition, WorkloadGrant
from skerry.trust.tokens.identities import LoginRefused
from skerry.trust.tokens.issuers import RETRY_SECONDS, Issuer, IssuerRules, Issuers
from skerry.trust.tokens.ports import KeptKeys, KeyShelf
from skerry.trust.tokens.testing import MemoryKeyShelf, ToldKeys

URL, AUDIENCE = "https://forge.example", "skerry"
DAY = 86400.0
PULL = frozenset((Action.PULL,))
GRANTS = (
    WorkloadGrant(
        (Condition("repository", "crew/*"), Condition("ref", "refs/heads/main")),
        Grant(("local/crew/*",), PULL),
        ("builders",),
    ),
)
SECRETS = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": Ed25519PrivateKey.generate(),
}


def jwks(**keys: str) -> bytes:
    """A set: kid -> which of the secrets."""
    listed = []
    for kid, algorithm in keys.items():
        public = SECRETS[algorithm].public_key()
        shown = get_default_algorithms()[algorithm].to_jwk(public, as_dict=True)  # type: ignore[attr-defined]
        listed.append({**shown, "kid": kid, "use": "sig"})
    return json.dumps({"keys": listed}).encode()


class Scene:
    def __init__(self, shelf: KeyShelf | None = None) -> None:
        self.clock = ManualClock()
        self.high_water = HighWater(self.clock)
        self.source = ToldKeys(jwks(one="RS256", two="ES256", three="EdDSA"))
        self.shelf = shelf or MemoryKeyShelf()
        self.failures = ValidationFailures(Registry())
        self.events = Events(self.clock.now)
        self.open()

    def open(self) -> None:
        """As at a start of the node."""
        rules = IssuerRules("forge", URL, AUDIENCE, GRANTS, 3600.0, 7 * DAY)
        self.issuer = Issuer(
            rules,
            source=self.source,
            shelf=self.shelf,
            clock=self.clock,
            now=self.high_water.now,
            events=self.events,
        )
        self.issuers = Issuers(
            [self.issuer],
            leeway_seconds=30.0,
            clock=self.clock,
            now=self.high_water.now,
            failures=self.failures,
        )

    def token(
        self, algorithm: str = "RS256", kid: str = "one", key: object = None, **claims: object
    ) -> str:
        now = self.high_water.now()
        payload = {
            "iss": URL, "aud": AUDIENCE, "sub": "job:7", "iat": now, "exp": now + 300,
            "repository": "crew/app", "ref": "refs/heads/main", **claims,
        }  # fmt: skip
        kept = {name: value for name, value in payload.items() if value is not None}
        signer = SECRETS.get(algorithm) if key is None else key
        return jwt.encode(kept, signer, algorithm=algorithm, headers={"kid": kid})  # type: ignore[arg-type]

    async def refused(self, token: str, cause: Cause = Cause.TOKEN_INVALID) -> None:
        before = self.failures.statistics()[cause]
        with pytest.raises(LoginRefused):
            await self.issuers.identity(token)
        counted = {name: count for name, count in self.failures.statistics().items() if count}
        assert counted == {cause: before + 1}


@pytest.mark.parametrize(
    ("algorithm", "kid"), [("RS256", "one"), ("ES256", "two"), ("EdDSA", "three")]
)
async def test_a_workload_is_who_its_issuer_says_and_may_do_what_its_claims_meet(
    algorithm: str, kid: str
) -> None:
    found = await Scene().issuers.identity(Scene().token(algorithm, kid))
    assert (found.name, found.kind, found.groups) == ("forge:job:7", Kind.WORKLOAD, ("builders",))
    assert found.grants == (GRANTS[0].grant,)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://other.example"},
        {"iss": URL + "/"},
        {"sub": None},
        {"exp": None},
        {"iat": None},
        {"exp": "soon"},
        {"nbf": 4e9},
    ],
)
async def test_an_id_token_that_says_something_else_is_refused(claims: dict[str, object]) -> None:
    scene = Scene()
    await scene.refused(scene.token(**claims))


async def test_one_audience_of_several_is_enough_and_an_expired_one_is_refused_as_expired() -> None:
    scene = Scene()
    token = scene.token(aud=["x", AUDIENCE])
    assert await scene.issuers.identity(token)
    scene.clock.advance(331)
    await scene.refused(token, Cause.TOKEN_EXPIRED)
    scene.clock.step(-DAY)  # what has expired stays so
    with pytest.raises(LoginRefused):
        await scene.issuers.identity(token)


@pytest.mark.parametrize(
    "claims",
    [{"repository": "evil/app"}, {"ref": "refs/heads/x"}, {"ref": None}, {"repository": ["a", 1]}],
)
async def test_a_workload_that_meets_no_grant_is_refused(claims: dict[str, object]) -> None:
    scene = Scene()
    await scene.refused(scene.token(**claims), Cause.SCOPE_EXCEEDED)


async def test_tricks_with_keys_are_refused() -> None:
    scene = Scene()
    public = SECRETS["RS256"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _, body, _ = scene.token().split(".")

    def part(value: Mapping[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    named = part({"alg": "HS256", "typ": "JWT", "kid": "one"})
    mac = hmac.digest(pem, f"{named}.{body}".encode(), hashlib.sha256)
    forged = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    await scene.refused(f"{named}.{body}.{forged}")
    await scene.refused(f"{part({'alg': 'none', 'typ': 'JWT', 'kid': 'one'})}.{body}.")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    await scene.refused(scene.token(key=other))
    await scene.refused(scene.token("ES256", kid="one"))
    await scene.refused(scene.token(kid="unknown"))
    await scene.refused("not.a.token")
    await scene.refused("A" * 10_000)


async def test_a_secret_key_in_a_set_is_passed_over() -> None:
    scene = Scene()
    secret = {"kty": "oct", "kid": "mac", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}
    good = json.loads(scene.source.jwks)["keys"]
    odd = [secret, 7, {"kty": "RSA", "kid": "broken"}, *good]
    scene.source.jwks = json.dumps({"keys": odd}).encode()
    await scene.refused(scene.token("HS256", kid="mac", key="secret" * 8))


async def test_keys_outlive_the_process_and_an_outage_up_to_the_limit() -> None:
    scene = Scene()
    await scene.issuer.keep_up()
    scene.source.down = True
    for _ in range(7):
        scene.open()
        await scene.issuer.open()
        assert await scene.issuers.identity(scene.token())
        (ends,) = scene.issuers.expiries()
        assert ends.at == ManualClock().now() + 7 * DAY
        scene.clock.advance(DAY - 1)
    scene.clock.advance(8)
    with pytest.raises(LoginRefused, match="too old"):
        await scene.issuers.identity(scene.token())
    scene.source.down = False
    scene.clock.advance(RETRY_SECONDS)
    assert await scene.issuers.identity(scene.token())


async def test_a_new_key_of_the_issuer_is_asked_for_once_a_minute() -> None:
    scene = Scene()
    await scene.issuer.keep_up()
    for _ in range(50):
        with pytest.raises(LoginRefused):
            await scene.issuers.identity(scene.token(kid="new"))
    assert scene.source.asked == 1
    scene.source.jwks = jwks(new="RS256")
    scene.clock.advance(RETRY_SECONDS)
    assert await scene.issuers.identity(scene.token(kid="new"))
    assert scene.source.asked == 2


async def test_a_set_without_a_usable_key_does_not_take_the_place_of_one_that_has() -> None:
    scene = Scene()
    await scene.issuer.keep_up()
    scene.clock.advance(2 * 3600)
    scene.source.jwks = b'{"keys": []}'
    await scene.issuer.keep_up()
    assert await scene.issuers.identity(scene.token())
    assert len(scene.events.recent("issuer.keys_not_fetched")) == 1


@pytest.fixture(params=["memory", "file"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> KeyShelf:
    return MemoryKeyShelf() if request.param == "memory" else FileKeyShelf(tmp_path, "forge")


def test_a_shelf_gives_back_what_was_put_there_last(shelf: KeyShelf) -> None:
    assert shelf.read() is None
    shelf.write(KeptKeys(jwks(a="ES256"), 1.0))
    shelf.write(KeptKeys(jwks(b="ES256"), 2.5))
    found = shelf.read()
    assert found is not None
    assert (json.loads(found.jwks), found.fetched_at) == (json.loads(jwks(b="ES256")), 2.5)


def test_a_file_that_is_none_is_no_shelf(tmp_path: Path) -> None:
    (tmp_path / "issuers").mkdir()
    for content in (b"", b"{}", b'{"fetched_at": "x", "jwks": {}}', b"[1]"):
        (tmp_path / "issuers" / "forge.json").write_bytes(content)
        assert FileKeyShelf(tmp_path, "forge").read() is None


async def test_the_twin_fails_as_it_promises() -> None:
    source = ToldKeys(b"")
    source.down = True
    with pytest.raises(SkerryError):
        await source.fetch()
