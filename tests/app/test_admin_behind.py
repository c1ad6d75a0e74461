"""The admin door behind a proxy that ends TLS: who is slowed down, and what a browser is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.trust.tokens.core.throttle import HERE
from tests.rig.crew import PEOPLE, Crew

PROXY, STRANGER = "127.0.0.1", "10.9.9.9"
"""Who asks in these tests is 127.0.0.1."""


@pytest.fixture(params=[PROXY, STRANGER])
async def crew(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Crew]:
    made = Crew(tmp_path / "one", roles={"viewers": ["ann", "cat"]})
    made.doors = {"trusted_proxies": [str(request.param)]}
    await made.start()
    yield made
    await made.stop()


def is_trusted(crew: Crew) -> bool:
    return crew.doors["trusted_proxies"] == [PROXY]


async def log_in(crew: Crew, client: str, name: str, password: str) -> tuple[int, str]:
    said = (("X-Forwarded-For", f"198.51.100.1, {client}"), ("X-Forwarded-Proto", "https"))
    body = {"name": name, "password": password}
    got = await crew.admin("POST", "/api/v1/session", *said, body=body)
    return got.status, got.headers.get("Set-Cookie") or ""


async def test_guesses_count_for_the_client_that_a_trusted_proxy_names(crew: Crew) -> None:
    for number in range(HERE.burst):
        assert (await log_in(crew, "192.0.2.66", "cat", f"guess{number}"))[0] == 401
    assert (await log_in(crew, "192.0.2.66", "cat", "another"))[0] == 429
    other = (await log_in(crew, "192.0.2.7", "cat", PEOPLE["cat"]))[0]
    # What anybody else says of whom it asks for gives no new guesses.
    assert other == (200 if is_trusted(crew) else 429)


async def test_a_cookie_is_for_https_alone_where_a_trusted_proxy_was_asked_by_it(
    crew: Crew,
) -> None:
    status, cookie = await log_in(crew, "192.0.2.7", "ann", PEOPLE["ann"])
    assert (status, "; Secure" in cookie) == (200, is_trusted(crew))


async def test_a_form_of_a_page_that_was_got_through_https_is_of_this_door(crew: Crew) -> None:
    port = crew.node.admin_port
    fields = (*await crew.login("ann"), ("X-Forwarded-Proto", "https"),
              ("Origin", f"https://127.0.0.1:{port}"))  # fmt: skip
    ended = await crew.admin("DELETE", "/api/v1/session", *fields)
    assert (ended.status == 200) == is_trusted(crew)
