"""Tokens that must not be believed, shown to a live node over real sockets; and each is counted as
what it is, and as nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from skerry.telemetry.validation import Cause
from skerry.trust.tokens.signing import Key
from tests.rig.crew import PEOPLE, A, B, Crew, basic, part

PATH = "/v2/local/a/manifests/1"
PULL_A, PULL_B = "repository:local/a:pull", "repository:local/b:pull"


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    made = Crew(tmp_path / "one")
    await made.start()
    await made.fill()
    yield made
    await made.stop()


async def refused(crew: Crew, token: str, cause: Cause = Cause.TOKEN_INVALID) -> None:
    """On every way to content; counted each time as one thing."""
    before = crew.counted()
    paths = (
        PATH,
        f"/v2/local/a/manifests/{A.digest}",
        f"/v2/local/a/blobs/{A.blobs[1].digest}",
        f"/v2/local/a/referrers/{A.digest}",
        "/v2/local/a/tags/list",
    )
    for path in paths:
        got = await crew.ask(path, token)
        assert got.status == 401, path
        assert A.manifest.data not in got.body
        assert 'error="invalid_token"' in got.headers.joined("WWW-Authenticate")
    assert (await crew.ask(PATH, token, method="HEAD")).status == 401
    after = crew.counted()
    assert after == before | {cause: before.get(cause, 0) + len(paths) + 1}


async def test_a_good_token_opens_what_it_is_for_and_counts_nothing(crew: Crew) -> None:
    token = await crew.token("ann", PULL_A)
    assert (await crew.ask(PATH, token)).body == A.manifest.data
    assert (await crew.ask(PATH)).status == 401
    again = await crew.forged()  # taken apart and put together as it was: the forger works
    assert (await crew.ask(PATH, again)).body == A.manifest.data
    assert crew.counted() == {}


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
async def test_alg_none_is_refused(crew: Crew, name: str) -> None:
    head, body, _ = (await crew.token("ann", PULL_A)).split(".")
    kid = jwt.get_unverified_header(f"{head}.{body}.")["kid"]
    unsigned = part({"alg": name, "typ": "JWT", "kid": kid})
    await refused(crew, f"{unsigned}.{body}.")


async def test_a_token_without_its_signature_is_refused(crew: Crew) -> None:
    head, body, _ = (await crew.token("ann", PULL_A)).split(".")
    await refused(crew, f"{head}.{body}.")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", ["pem", "raw", "jwk"])
async def test_the_public_key_as_an_hmac_secret_is_refused(
    crew: Crew, algorithm: str, form: str
) -> None:
    key = crew.key()
    secret = {
        "pem": key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "raw": key.public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        "jwk": json.dumps(key.public_jwk()).encode(),
    }[form]
    _, body, _ = (await crew.token("ann", PULL_A)).split(".")
    head = part({"alg": algorithm, "typ": "JWT", "kid": key.name})
    made = hmac.digest(secret, f"{head}.{body}".encode(), getattr(hashlib, f"sha{algorithm[2:]}"))
    signature = base64.urlsafe_b64encode(made).rstrip(b"=").decode()
    await refused(crew, f"{head}.{body}.{signature}")


async def test_another_key_under_the_nodes_kid_is_refused(crew: Crew) -> None:
    for algorithm in ("EdDSA", "ES256"):
        key = Key.make(algorithm)
        forged = await crew.forged(key=key._private, algorithm=algorithm)
        await refused(crew, forged)


async def test_another_audience_is_refused(crew: Crew) -> None:
    service = crew.node.known.tokens.service  # type: ignore[union-attr]
    for audience in ("someone-else", f"{service}/admin", [service, "x"], ""):
        await refused(crew, await crew.forged(aud=audience))


async def test_another_issuer_is_refused(crew: Crew) -> None:
    await refused(crew, await crew.forged(iss="urn:skerry:other"))
    await refused(crew, await crew.forged(iss=None))


async def test_an_expired_token_is_refused_and_stays_so_when_the_clock_is_set_back(
    crew: Crew,
) -> None:
    token = await crew.token("ann", PULL_A)
    crew.clock.pass_by(300 + 29)  # within the leeway
    assert (await crew.ask(PATH, token)).status == 200
    crew.clock.pass_by(2)
    await refused(crew, token, Cause.TOKEN_EXPIRED)
    crew.clock.set_back(86400)
    await refused(crew, token, Cause.TOKEN_EXPIRED)
    await crew.stop()
    await crew.start()  # a cold start with the clock wrong
    await refused(crew, token, Cause.TOKEN_EXPIRED)


async def test_a_token_from_the_future_is_refused(crew: Crew) -> None:
    now = crew.clock.now()
    await refused(crew, await crew.forged(nbf=int(now + 45), exp=int(now + 345)))
    soon = await crew.forged(nbf=int(now + 15), exp=int(now + 315))
    assert (await crew.ask(PATH, soon)).status == 200


@pytest.mark.parametrize("missing", ["exp", "nbf", "iat", "jti", "sub", "aud"])
async def test_a_token_that_leaves_a_claim_out_is_refused(crew: Crew, missing: str) -> None:
    await refused(crew, await crew.forged(**{missing: None}))


@pytest.mark.parametrize("odd", ["never", True, float("inf"), -1, [9e9]])
async def test_a_token_with_an_odd_end_is_refused(crew: Crew, odd: object) -> None:
    cause = Cause.TOKEN_EXPIRED if odd == -1 else Cause.TOKEN_INVALID
    await refused(crew, await crew.forged(exp=odd), cause)


async def test_an_unknown_kid_is_refused(crew: Crew) -> None:
    for kid in ("unknown", "../../token.keys", "", "' OR 1=1"):
        await refused(crew, await crew.forged(headers={"kid": kid}))


async def test_a_token_that_brings_its_own_key_is_refused(crew: Crew) -> None:
    key = Key.make("EdDSA")
    own = {**key.public_jwk(), "kid": key.name, "use": "sig"}
    for brought in (
        {"jwk": own},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://127.0.0.1:1/chain"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
    ):
        named = {"kid": key.name, **brought}
        await refused(crew, await crew.forged(key=key._private, headers=named))
        # Not even with the right key: nothing that this node makes has such a field.
        await refused(crew, await crew.forged(headers=brought))


async def test_a_token_of_another_type_is_refused(crew: Crew) -> None:
    await refused(crew, await crew.forged(headers={"typ": "at+jwt"}))


async def test_a_tampered_payload_is_refused(crew: Crew) -> None:
    head, body, signature = (await crew.token("bob", PULL_B)).split(".")
    claims = jwt.decode(f"{head}.{body}.{signature}", options={"verify_signature": False})
    claims["access"] = [{"type": "repository", "name": "local/a", "actions": ["pull"]}]
    await refused(crew, f"{head}.{part(claims)}.{signature}")
    await refused(crew, f"{head}.{body}.{signature[:-4]}AAAA")


@pytest.mark.parametrize("token", ["x", "a.b", "a.b.c", "a.b.c.d", "." * 500, "é.é.é", "A" * 9000])
async def test_what_is_no_token_is_refused(crew: Crew, token: str) -> None:
    await refused(crew, token)


async def test_the_token_of_one_repository_does_not_open_another(crew: Crew) -> None:
    token = await crew.token("ann", PULL_A)
    paths = (f"manifests/{B.digest}", "manifests/1", f"blobs/{B.blobs[1].digest}", "tags/list")
    for path in (*paths, f"referrers/{B.digest}"):
        got = await crew.ask(f"/v2/local/b/{path}", token)
        assert got.status == 401
        assert 'error="insufficient_scope"' in got.headers.joined("WWW-Authenticate")
        assert f'scope="{PULL_B}"' in got.headers.joined("WWW-Authenticate")
    assert crew.counted() == {Cause.SCOPE_EXCEEDED: len(paths) + 1}


async def test_asking_for_more_than_one_may_have_gives_what_one_may_have(crew: Crew) -> None:
    token = await crew.token("ann", f"{PULL_A},push", f"{PULL_B},push", "registry:catalog:*")
    access = jwt.decode(token, options={"verify_signature": False})["access"]
    assert access == [{"type": "repository", "name": "local/a", "actions": ["pull", "push"]}]


async def test_a_token_to_pull_does_not_push_or_delete(crew: Crew) -> None:
    token = await crew.token("ann", PULL_A)
    for method, path in (
        ("POST", "/v2/local/a/blobs/uploads/"),
        ("PUT", "/v2/local/a/manifests/2"),
        ("DELETE", PATH),
        ("DELETE", f"/v2/local/a/blobs/{A.blobs[1].digest}"),
    ):
        assert (await crew.ask(path, token, method=method)).status == 401
    assert crew.counted() == {Cause.SCOPE_EXCEEDED: 4}
    pushes = await crew.token("ann", f"{PULL_A},push")
    assert (await crew.ask("/v2/local/a/blobs/uploads/", pushes, method="POST")).status == 202
    assert (await crew.ask(PATH, pushes, method="DELETE")).status == 401
    deletes = await crew.token("ann", "repository:local/a:*")
    assert (await crew.ask(PATH, deletes, method="DELETE")).status == 202


async def test_the_token_of_one_node_is_refused_at_another(crew: Crew, tmp_path: Path) -> None:
    other = Crew(tmp_path / "two")  # of the same name, with the same people
    await other.start()
    try:
        await other.fill()
        await refused(other, await crew.token("ann", PULL_A))
        # Not even where a disk was copied: a node that was cloned is another one by its keys.
        forged = await crew.forged(key=other.key()._private, headers={"kid": other.key().name})
        await refused(other, forged)
    finally:
        await other.stop()


async def test_a_token_for_the_admin_door_opens_no_registry_and_the_reverse(crew: Crew) -> None:
    tokens = crew.node.known.tokens  # type: ignore[union-attr]
    identity = crew.node.known.identities.person("ann")  # type: ignore[union-attr]
    await refused(crew, tokens.issue(identity, audience=tokens.admin_service).text)


async def test_a_service_that_is_not_this_node_gets_no_token(crew: Crew) -> None:
    got = await crew.token_answer("ann", PULL_A, service="registry.example")
    assert got.status == 400
    assert b"token" not in json.dumps(list(json.loads(got.body))).encode()


# refresh tokens


async def refresh_of(crew: Crew) -> str:
    got = await crew.post(
        grant_type="password",
        username="ann",
        password=PEOPLE["ann"],
        access_type="offline",
        scope=PULL_A,
    )
    return str(json.loads(got.body)["refresh_token"])


async def test_a_replayed_refresh_token_is_refused_and_ends_its_family(crew: Crew) -> None:
    first = await refresh_of(crew)
    got = await crew.post(grant_type="refresh_token", refresh_token=first, scope=PULL_A)
    second = json.loads(got.body)["refresh_token"]
    assert (await crew.ask(PATH, json.loads(got.body)["access_token"])).status == 200
    assert crew.counted() == {}
    assert (await crew.post(grant_type="refresh_token", refresh_token=first)).status == 401
    assert crew.counted() == {Cause.TOKEN_REPLAYED: 1}
    assert (await crew.post(grant_type="refresh_token", refresh_token=second)).status == 401
    await crew.stop()
    await crew.start()  # and it stays so
    assert (await crew.post(grant_type="refresh_token", refresh_token=second)).status == 401


async def test_a_made_up_refresh_token_ends_nobodys_family(crew: Crew) -> None:
    good = await refresh_of(crew)
    family, _, mac = good.split(".")
    for made_up in (f"{family}.1.{mac}", f"{family}.0.{'A' * 43}", "x", f"{family}.-1.{mac}", ".."):
        got = await crew.post(grant_type="refresh_token", refresh_token=made_up)
        assert got.status == 401
    assert set(crew.counted()) == {Cause.TOKEN_INVALID}
    assert (await crew.post(grant_type="refresh_token", refresh_token=good)).status == 200


async def test_a_refresh_token_is_no_access_token_and_the_reverse(crew: Crew) -> None:
    await refused(crew, await refresh_of(crew))
    access = await crew.token("ann", PULL_A)
    assert (await crew.post(grant_type="refresh_token", refresh_token=access)).status == 401


async def test_an_expired_refresh_token_is_refused_as_expired(crew: Crew) -> None:
    good = await refresh_of(crew)
    crew.clock.pass_by(30 * 86400)
    assert (await crew.post(grant_type="refresh_token", refresh_token=good)).status == 401
    assert crew.counted() == {Cause.TOKEN_EXPIRED: 1}


async def test_a_refresh_token_gives_no_more_than_its_holder_may_have(crew: Crew) -> None:
    good = await refresh_of(crew)
    got = await crew.post(grant_type="refresh_token", refresh_token=good, scope=PULL_B)
    assert got.status == 200
    token = json.loads(got.body)["access_token"]
    assert (await crew.ask("/v2/local/b/manifests/1", token)).status == 401


async def test_wrong_passwords_get_no_token_on_either_way(crew: Crew) -> None:
    got = await crew.send("GET", f"/auth/token?scope={PULL_A}", basic("ann", "wrong"))
    assert got.status == 401
    got = await crew.post(grant_type="password", username="ann", password="wrong2")
    assert (got.status, json.loads(got.body)["error"]) == (401, "invalid_grant")
    got = await crew.post(grant_type="client_credentials")
    assert (got.status, json.loads(got.body)["error"]) == (400, "unsupported_grant_type")


async def test_nobody_gets_a_token_that_opens_what_everybody_may_pull(crew: Crew) -> None:
    token = await crew.token("", PULL_A)
    got = await crew.ask(PATH, token)
    assert got.status == 401
    assert 'error="insufficient_scope"' in got.headers.joined("WWW-Authenticate")
