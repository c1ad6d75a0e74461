"""Tokens: what they are good for, how long, and what happens when their service fails."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from client_rig import ANONYMOUS, AUTH, FETCH, ORIGIN, URL, Rig
from hypothesis import given
from hypothesis import strategies as st

from skerry.upstream.ports import Denied, TransportError, Trouble, Unavailable
from skerry.upstream.testing_transport import Scripted, challenge, guarded_by, token
from skerry.upstream.tokens import parse_token

FINE = Scripted(body=b"fine")
OTHER = replace(FETCH, path="/v2/b/manifests/1", scope="repository:b:pull")
OTHER_URL = "https://registry.example/v2/b/manifests/1"


def asks(rig: Rig) -> list[str]:
    return [seen.url.partition("?")[2] for seen in rig.transport.sent_to("auth.example")]


def life(body: str, now: float = 0.0) -> float:
    return parse_token(body.encode(), now=now, monotonic=0.0).expires_at


async def test_a_challenge_is_answered_once_and_the_token_used_until_near_its_end() -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t1", AUTH, FINE))
    rig.transport.on(AUTH, token("t1", '"expires_in": 300'))
    for _ in range(3):
        await rig.ask()
    assert len(rig.transport.sent_to("registry.example")) == 4
    assert asks(rig) == ["service=registry&scope=repository%3Aa%3Apull&account=robot"]
    rig.clock.advance(291)
    await rig.ask()
    assert len(asks(rig)) == 2, "refreshed before its end"
    assert len(rig.transport.sent_to("registry.example")) == 5, "without another 401"


async def test_t09_a_token_serves_only_its_own_scope() -> None:
    rig = Rig()
    for url, value in ((URL, "a"), (OTHER_URL, "b")):
        rig.transport.answer(url, guarded_by(value, AUTH, FINE))
    rig.transport.on(AUTH, token("a"), token("b"))
    await rig.ask()
    await rig.ask(OTHER)
    await rig.ask()
    sent = [seen.headers.get("authorization") for seen in rig.transport.sent_to("registry.example")]
    assert sent == [None, "Bearer a", None, "Bearer b", "Bearer a"]
    assert rig.client.statistics().tokens[0].held == 2


async def test_t09_realm_service_and_identity_are_part_of_the_key() -> None:
    rig = Rig((replace(ORIGIN, realms=("https://auth.example",)),))
    rig.transport.on(
        URL, challenge(AUTH, service="one"), FINE, challenge(AUTH, service="two"), FINE
    )
    rig.transport.on(AUTH, token("one"), token("two"))
    await rig.ask()
    await rig.ask()
    assert [ask.partition("&")[0] for ask in asks(rig)] == ["service=one", "service=two"]


async def test_t09_many_askers_share_one_token_request() -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, token("t"))
    replies = await asyncio.gather(*(rig.ask() for _ in range(10)))
    assert {reply.body for reply in replies} == {b"fine"}
    assert len(asks(rig)) == 1


async def test_the_first_askers_leaving_does_not_end_the_token_request() -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, Scripted(hang=True))
    first, second = (asyncio.ensure_future(rig.ask()) for _ in range(2))
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert not second.done()
    assert len(asks(rig)) == 1
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await rig.client.close()


async def test_t09_bad_credentials_are_not_remembered() -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, Scripted(401), token("t"))
    with pytest.raises(Denied, match="password_file"):
        await rig.ask()
    assert (await rig.ask()).body == b"fine"


async def test_an_anonymous_denial_says_what_to_set() -> None:
    rig = Rig((ANONYMOUS,))
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, Scripted(403))
    with pytest.raises(Denied, match="set username"):
        await rig.ask()


async def test_t26_a_token_that_expires_in_mid_image_is_replaced_once() -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("old", AUTH, FINE))
    rig.transport.on(AUTH, token("old", '"expires_in": 3600'), token("new"))
    await rig.ask()
    rig.transport.answer(URL, guarded_by("new", AUTH, FINE))
    assert (await rig.ask()).body == b"fine"
    assert len(asks(rig)) == 2


async def test_t26_a_401_loop_ends_after_one_fresh_token() -> None:
    rig = Rig()
    rig.transport.on(URL, challenge(AUTH))
    rig.transport.on(AUTH, token("never-good-enough"))
    with pytest.raises(Denied):
        await rig.ask()
    assert (len(asks(rig)), len(rig.transport.sent_to("registry.example"))) == (1, 2)
    assert rig.client.statistics().sources[0].breaker == "closed"
    assert rig.client.statistics().tokens[0].held == 0


@pytest.mark.parametrize(
    "failure",
    [
        Scripted(trouble=Trouble.CONNECT_TIMEOUT),
        Scripted(503),
        Scripted(302, (("Location", "https://registry.example/elsewhere"),)),
        Scripted(body=b"<html>"),
        Scripted(body=b'{"token": ""}'),
        Scripted(body=b'{"token": "a\\nb"}'),
        Scripted(body=b"{}", cut_after=1),
        Scripted(404),
    ],
)
async def test_t26_the_token_service_down_alone_is_its_own_trouble(failure: Scripted) -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, failure)
    for _ in range(6):
        with pytest.raises(Unavailable) as caught:
            await rig.ask()
        assert caught.value.causes[0].trouble is Trouble.TOKEN_SERVICE
        assert "auth.example" in str(caught.value)
    found = rig.client.statistics()
    assert found.sources[0].breaker == "closed", "the registry itself is well"
    assert found.tokens[0].failed >= 3
    assert rig.transport.open_exchanges == 0


async def test_t26_a_dead_token_service_is_left_alone_after_three_failures() -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, Scripted(trouble=Trouble.REFUSED))
    for _ in range(6):
        with pytest.raises(Unavailable):
            await rig.ask()
    assert len(asks(rig)) == 3
    rig.transport.on(AUTH, token("t"))
    rig.clock.advance(30)
    assert (await rig.ask()).body == b"fine"
    assert [e.kind for e in rig.events.recent()] == ["breaker.opened", "breaker.closed"]


async def test_t26_an_old_token_serves_while_its_renewal_fails() -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, token("t", '"expires_in": 60'), Scripted(503))
    await rig.ask()
    rig.clock.advance(55)
    assert (await rig.ask()).body == b"fine"
    assert len(asks(rig)) == 2


async def test_t26_the_registry_down_while_the_token_service_is_up() -> None:
    rig = Rig()
    rig.transport.on(AUTH, token("t"))
    rig.transport.on(URL, challenge(AUTH), Scripted(502))
    with pytest.raises(Unavailable) as caught:
        await rig.ask()
    assert caught.value.causes[0].trouble is Trouble.SERVER_ERROR
    assert rig.client.statistics().tokens[0].breaker == "closed"


async def test_a_429_of_the_token_service_is_obeyed() -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, Scripted(429, (("Retry-After", "40"),)), token("t"))
    for _ in range(3):
        with pytest.raises(Unavailable):
            await rig.ask()
    assert len(asks(rig)) == 1
    rig.clock.advance(40)
    await rig.ask()


async def test_basic_is_answered_and_then_sent_at_once() -> None:
    rig = Rig()
    wanted = Scripted(401, (("WWW-Authenticate", 'Basic realm="x"'),))
    rig.transport.on(URL, wanted, FINE, FINE, wanted, wanted, FINE)
    await rig.ask()
    await rig.ask()
    sent = [seen.headers.get("authorization", "")[:6] for seen in rig.transport.seen]
    assert sent == ["", "Basic ", "Basic "]
    with pytest.raises(Denied, match="does not accept the configured"):
        await rig.ask()


async def test_basic_without_a_password_says_what_to_set() -> None:
    rig = Rig((ANONYMOUS,))
    rig.transport.on(URL, Scripted(401, (("WWW-Authenticate", "Basic"),)))
    with pytest.raises(Denied, match="password_file"):
        await rig.ask()


@pytest.mark.parametrize(
    "field", ["", "Bearer", "Bearer realm=", "Negotiate", '"', "Bearer realm=x"]
)
async def test_t09_a_malformed_challenge_is_a_denial(field: str) -> None:
    rig = Rig()
    rig.transport.on(URL, Scripted(401, (("WWW-Authenticate", field),)))
    with pytest.raises(Denied):
        await rig.ask()
    assert rig.client.statistics().sources[0].breaker == "closed"


def test_t09_expires_in_and_access_token_are_honoured() -> None:
    assert life('{"access_token": "x", "expires_in": 300}') == 300
    assert life('{"token": "x"}') == 60
    assert life('{"token": "x", "expires_in": 5}') == 60
    assert life('{"token": "x", "expires_in": 1e300}') == 86_400
    assert life('{"token": "x", "expires_in": "soon"}') == 60


def test_t09_issued_at_shortens_the_life_unless_the_clocks_disagree() -> None:
    body = '{"token": "x", "expires_in": 300, "issued_at": "2023-11-14T22:13:20.123456789Z"}'
    assert life(body, 1_700_000_100.0) == pytest.approx(200, abs=1)
    assert life(body, 1_700_000_000.0 - 500) == 300
    assert life(body, 1_700_000_000.0 + 900) == 300
    assert life('{"token": "x", "issued_at": "yesterday"}', 5.0) == 60


@given(st.binary(max_size=200))
def test_t09_no_answer_makes_it_crash(body: bytes) -> None:
    with suppress(TransportError):
        parse_token(body, now=0, monotonic=0)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
"""What JSON has; the other floats it has not, and an answer with one is refused whole."""


@given(
    st.fixed_dictionaries(
        {"token": st.just("x")},
        optional={
            "expires_in": st.one_of(st.integers(), NUMBERS, st.text(), st.booleans()),
            "issued_at": st.one_of(st.datetimes().map(str), st.text(), st.integers()),
        },
    )
)
def test_t09_a_token_lives_from_a_moment_to_a_day(document: dict[str, object]) -> None:
    import json

    assert 0 < life(json.dumps(document), 1_700_000_000.0) <= 86_400
