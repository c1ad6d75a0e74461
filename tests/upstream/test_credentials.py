"""Where credentials go, and where they never do: known failures T1 to T8, through the client."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from client_rig import AUTH, FETCH, HUB, ORIGIN, REGION, SECRET, URL, Rig

from skerry.upstream.ports import Absent, Denied, Trouble, Unavailable
from skerry.upstream.sources import Source
from skerry.upstream.testing_transport import Scripted, challenge, guarded_by, token

FINE = Scripted(body=b"fine")
EVIL = "https://evil.example/token"


def to(location: str, status: int = 307) -> Scripted:
    return Scripted(status, (("Location", location),))


async def test_t01_a_realm_on_another_host_is_not_asked_at_all() -> None:
    rig = Rig()
    rig.transport.on(URL, challenge(EVIL))
    rig.transport.on(EVIL, token("t"))
    with pytest.raises(Denied, match="realms") as caught:
        await rig.ask()
    assert "https://evil.example" in caught.value.what
    assert rig.transport.sent_to("evil.example") == []
    assert rig.secrets_sent_to("registry.example") == []
    assert [event.kind for event in rig.events.recent()] == ["credentials.withheld"]


@pytest.mark.parametrize(
    "realm",
    [
        "http://registry.example/token",
        "https://robot@registry.example/token",
        "https://169.254.169.254/token",
        "https://[::ffff:169.254.169.254]/token",
        "https://203.0.113.9/token",
        "https://127.1/token",
    ],
)
async def test_t02_a_downgraded_or_numeric_realm_is_not_asked(realm: str) -> None:
    rig = Rig()
    rig.transport.on(URL, challenge(realm))
    with pytest.raises(Denied):
        await rig.ask()
    assert {seen.url for seen in rig.transport.seen} == {URL}


async def test_t02_a_configured_realm_that_resolves_inside_is_dialled_for_tokens_only() -> None:
    rig = Rig()
    rig.transport.names["auth.example"] = "10.0.0.9"
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, token("t"))
    assert (await rig.ask()).body == b"fine"
    rig.transport.answer(URL, lambda seen: to("https://auth.example/steal"))
    with pytest.raises(Unavailable) as caught:
        await rig.ask()
    assert caught.value.causes[0].trouble is Trouble.FORBIDDEN_ADDRESS


async def test_t03_the_guard_stands_on_the_second_challenge_too() -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, token("t"))
    await rig.ask()
    rig.transport.answer(URL, lambda seen: challenge(EVIL))
    for _ in range(2):
        with pytest.raises(Denied):
            await rig.ask()
    assert rig.transport.sent_to("evil.example") == []


async def test_t03_the_guard_stands_on_places_as_on_questions() -> None:
    rig = Rig()
    rig.transport.on(URL, challenge(EVIL))
    for offset in (0, 5):
        with pytest.raises(Denied):
            await rig.place().open(offset)
    assert rig.transport.sent_to("evil.example") == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "location",
    ["https://cdn.example/x", "https://registry.example:8443/x", "//cdn.example/x"],
)
async def test_t04_a_redirect_to_another_host_drops_the_credentials(
    method: str, location: str
) -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t", AUTH, to(location)))
    rig.transport.on(AUTH, token("t"))
    target = location if "://" in location else f"https:{location}"
    rig.transport.on(target, FINE)
    await rig.ask(replace(FETCH, method=method))
    last = rig.transport.seen[-1]
    assert (last.url, last.method) == (target, method)
    assert "authorization" not in last.headers
    assert last.headers.get("cdn-loop") == "skerry;id=rock-1"


async def test_t04_a_redirect_on_the_own_origin_keeps_them() -> None:
    rig = Rig()
    rig.transport.answer(URL, guarded_by("t", AUTH, to("/v2/moved")))
    rig.transport.on(AUTH, token("t"))
    rig.transport.on(f"{HUB}/v2/moved", FINE)
    await rig.ask()
    assert rig.transport.seen[-1].headers.get("authorization") == "Bearer t"


async def test_t04_t06_a_challenge_of_another_host_is_not_answered() -> None:
    rig = Rig()
    rig.transport.on(URL, to("https://cdn.example/x"))
    rig.transport.on("https://cdn.example/x", challenge(AUTH))
    rig.transport.on(AUTH, token("t"))
    with pytest.raises(Denied):
        await rig.ask()
    assert rig.transport.sent_to("auth.example") == []
    assert rig.secrets_sent_to("cdn.example") == []


async def test_t04_credentials_a_caller_slips_in_are_not_sent() -> None:
    rig = Rig()
    rig.transport.on(URL, FINE)
    await rig.ask(replace(FETCH, headers=FETCH.headers.with_fields(("Authorization", "x"))))
    assert rig.secrets_sent_to("registry.example") == []


async def test_t05_a_redirect_of_the_token_request_is_not_followed() -> None:
    rig = Rig()
    rig.transport.on(URL, challenge(AUTH))
    rig.transport.on(AUTH, to("https://evil.example/x"))
    with pytest.raises(Unavailable, match="not followed"):
        await rig.ask()
    assert rig.transport.sent_to("evil.example") == []


async def test_t05_a_redirect_chain_ends() -> None:
    rig = Rig()
    rig.transport.on(URL, to(URL))
    with pytest.raises(Unavailable, match="more than 5 times"):
        await rig.ask()
    assert len(rig.transport.seen) == 6


@pytest.mark.parametrize(
    "location", ["https://169.254.169.254/x", "https://127.0.0.1/x", "https://rebound.example/x"]
)
async def test_t05_a_redirect_inside_is_refused_by_number_and_by_name(location: str) -> None:
    rig = Rig()
    rig.transport.names["rebound.example"] = "10.0.0.1"
    rig.transport.on(URL, to(location))
    with pytest.raises(Unavailable) as caught:
        await rig.ask()
    assert caught.value.causes[0].trouble is Trouble.FORBIDDEN_ADDRESS
    assert {seen.url for seen in rig.transport.seen} == {URL}
    assert rig.client.statistics().sources[0].breaker == "closed"


async def test_t05_redirect_hosts_are_let_in_by_configuration() -> None:
    rig = Rig((replace(ORIGIN, redirect_hosts=("blobs.example:9000",)),))
    rig.transport.names["blobs.example"] = "10.0.0.1"
    rig.transport.on(URL, to("https://blobs.example:9000/x"))
    rig.transport.on("https://blobs.example:9000/x", FINE)
    assert (await rig.ask()).body == b"fine"


async def test_t05_https_never_leads_to_plain_http() -> None:
    rig = Rig()
    rig.transport.on(URL, to("http://registry.example/x"))
    with pytest.raises(Unavailable, match="plain http"):
        await rig.ask()


async def test_t07_the_sources_own_host_is_the_configured_one_whatever_the_path_says() -> None:
    rig = Rig()
    for path in ("/@evil.example/x", "//evil.example/x", "/\\evil.example", "/..//evil.example"):
        with pytest.raises((Unavailable, Absent)):
            await rig.ask(replace(FETCH, path=path))
    assert {seen.host for seen in rig.transport.seen} == {"registry.example"}


async def test_t08_token_calls_dial_with_the_sources_own_ca_and_proxy() -> None:
    dial = replace(ORIGIN.dial, ca_file="/etc/ca.pem", proxy="http://proxy.example:3128")
    rig = Rig((replace(ORIGIN, dial=dial),))
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, token("t"))
    await rig.ask()
    assert {(seen.dial.ca_file, seen.dial.proxy) for seen in rig.transport.seen} == {
        ("/etc/ca.pem", "http://proxy.example:3128")
    }


async def test_one_sources_credentials_never_go_to_another() -> None:
    rig = Rig((REGION, ORIGIN))
    mirror = "https://mirror.example/v2/a/manifests/1"
    rig.transport.answer(URL, guarded_by("t", AUTH, FINE))
    rig.transport.on(AUTH, token("t"))
    rig.transport.on(mirror, Scripted(404), challenge("https://mirror.example/token"))
    rig.transport.on("https://mirror.example/token", token("m"))
    await rig.ask()
    await rig.ask()
    assert rig.secrets_sent_to("mirror.example") == ["Bearer m"]


async def test_t08_logs_events_errors_and_reprs_never_hold_a_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    rig = Rig()
    signed = "https://cdn.example/x?signature=sig-9f8e"
    rig.transport.answer(URL, guarded_by("tok-1a2b", AUTH, to(signed)))
    rig.transport.on(AUTH, token("tok-1a2b"), Scripted(500), Scripted(401), challenge(EVIL))
    rig.transport.on("https://cdn.example/x", FINE, Scripted(503), Scripted(trouble=Trouble.CUT))
    said: list[str] = []
    for _ in range(4):
        for work in (rig.ask, lambda: rig.place().open(3)):
            try:
                said.append(repr(await work()))
            except (Denied, Unavailable) as error:
                said.append(f"{error!r} {error}")
            except Exception as error:
                said.append(f"{error!r} {error}")
        rig.clock.advance(70)
    said += [caplog.text, repr(rig.events.recent()), repr(rig.client.statistics())]
    said += [repr(ORIGIN), repr(rig.client.upstream), rig.registry.expose()]
    assert any("tok-1a2b" in value for value in rig.secrets_sent_to("registry.example"))
    assert any("sig-9f8e" in seen.url for seen in rig.transport.seen)
    for secret in ("tok-1a2b", "sig-9f8e", SECRET, "Basic "):
        assert not [text for text in said if secret in text], secret


def test_a_sources_password_is_not_in_its_repr() -> None:
    assert SECRET not in repr(Source("x", HUB, username="u", password=SECRET))
