"""The book of tokens, in a file and in memory; and the keys' file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from skerry.adapters.file_keys import FileKeys
from skerry.adapters.sqlite_tokens import FAMILIES_MAX, SqliteTokens
from skerry.trust.tokens.core.claims import Claims
from skerry.trust.tokens.core.refresh import Family, Outcome, used
from skerry.trust.tokens.core.ring import Phase, RingKey
from skerry.trust.tokens.core.rules import Grant
from skerry.trust.tokens.core.scopes import EVERY
from skerry.trust.tokens.ports import (
    TOKEN_SECONDS_MAX,
    KeyFile,
    KeyStore,
    KeysUnusable,
    Robot,
    TokenBook,
)
from skerry.trust.tokens.testing import MemoryKeys

CLAIMS = Claims("i", "ann", "a", 100.0, 100.0, 400.0, "t1", "k", ("crew", "all"))
FAMILY = Family("f1", "ann", "user", ("crew",), "rock-1", 0, True, 0.0, 1000.0)
ROBOT = Robot("ci", b"h" * 32, (Grant(("local/*", "x/*"), EVERY),), 1.0, 2.0, "ann")
Open = Callable[[], TokenBook]


@pytest.fixture(params=["memory", "file"])
async def reopened(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[[], TokenBook]]:
    """The book as it is after a crash; the memory one stays the same."""
    one = SqliteTokens(None)
    opened: list[SqliteTokens] = []

    def again() -> TokenBook:
        if request.param == "memory":
            return one
        opened.append(SqliteTokens(tmp_path / "tokens.sqlite"))
        return opened[-1]

    yield again
    for book in opened:
        await book.close()


async def test_what_is_revoked_stays_so_over_a_restart(reopened: Open) -> None:
    book = reopened()
    assert not book.is_revoked(CLAIMS)
    await book.revoke_token("t1", until=400.0)
    assert reopened().is_revoked(CLAIMS)
    assert not reopened().is_revoked(replace(CLAIMS, token_id="t2"))


@pytest.mark.parametrize("kind", ["subject", "group"])
async def test_an_identity_or_group_loses_what_was_made_up_to_then(
    reopened: Open, kind: str
) -> None:
    book = reopened()
    if kind == "subject":
        await book.revoke_subject("ann", at=100.0)
        await book.revoke_subject("ann", at=50.0)  # an earlier one takes nothing back
    else:
        await book.revoke_group("crew", at=100.0)
    for each in (book, reopened()):
        assert each.is_revoked(CLAIMS)
        assert not each.is_revoked(replace(CLAIMS, issued_at=100.001))
        assert not each.is_revoked(replace(CLAIMS, subject="bob", groups=("all",)))


async def use(book: TokenBook, generation: int) -> Outcome:
    outcome, _ = await book.use_family(
        "f1", lambda found: used(found, generation, service="rock-1", now=1.0)
    )
    return outcome


async def test_a_family_goes_on_and_ends_durably(reopened: Open) -> None:
    await reopened().put_family(FAMILY)
    assert await use(reopened(), 0) is Outcome.GOOD
    assert await use(reopened(), 1) is Outcome.GOOD
    assert await use(reopened(), 0) is Outcome.REPLAYED
    assert await use(reopened(), 2) is Outcome.REVOKED


@pytest.mark.parametrize("kind", ["subject", "group"])
async def test_revoking_ends_families_too(reopened: Open, kind: str) -> None:
    book = reopened()
    await book.put_family(FAMILY)
    await (
        book.revoke_subject("ann", at=5.0)
        if kind == "subject"
        else book.revoke_group("crew", at=5.0)
    )
    assert await use(reopened(), 0) is Outcome.REVOKED


async def test_others_families_go_on(reopened: Open) -> None:
    book = reopened()
    await book.put_family(FAMILY)
    await book.revoke_subject("bob", at=5.0)
    await book.revoke_group("cre", at=5.0)
    assert await use(reopened(), 0) is Outcome.GOOD


async def test_robots_are_kept_listed_and_deleted(reopened: Open) -> None:
    book = reopened()
    assert await book.put_robot(ROBOT)
    assert not await book.put_robot(replace(ROBOT, secret_hash=b"x" * 32))
    assert await book.put_robot(replace(ROBOT, name="a", expires_at=None))
    assert [robot.name for robot in reopened().robots()] == ["a", "ci"]
    assert reopened().robot("ci") == ROBOT
    assert await book.delete_robot("ci")
    assert not await book.delete_robot("ci")
    assert reopened().robot("ci") is None


async def test_what_has_ended_by_itself_is_forgotten(reopened: Open) -> None:
    book = reopened()
    await book.revoke_token("t1", until=400.0)
    await book.put_family(FAMILY)
    await book.sweep(399.0)
    assert book.is_revoked(CLAIMS)
    await book.sweep(1001.0)
    assert not book.is_revoked(CLAIMS)
    assert await use(book, 0) is Outcome.UNKNOWN


async def test_a_revoked_identity_is_forgotten_once_all_its_tokens_have_ended(
    reopened: Open,
) -> None:
    book = reopened()
    await book.revoke_subject("ann", at=100.0)
    await book.sweep(100.0 + TOKEN_SECONDS_MAX)
    assert reopened().is_revoked(CLAIMS)
    await book.sweep(101.0 + TOKEN_SECONDS_MAX)
    assert not book.is_revoked(CLAIMS)
    assert not reopened().is_revoked(CLAIMS)


def test_the_number_of_families_is_bounded() -> None:
    assert FAMILIES_MAX <= 100_000


KEYS = KeyFile(
    "id",
    b"r" * 32,
    (RingKey("k", "EdDSA", Phase.BELIEVED, 1.5, 2.5),),
    (("k", b"-----pem-----\n"),),
)


@pytest.fixture(params=["memory", "file"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    return MemoryKeys() if request.param == "memory" else FileKeys(tmp_path / "data")


def test_keys_read_as_they_were_written_last(keys: KeyStore) -> None:
    assert keys.read() is None
    keys.write(KEYS)
    assert keys.read() == KEYS
    keys.write(replace(KEYS, node="other"))
    assert keys.read() == replace(KEYS, node="other")
    assert "pem" not in repr(KEYS)
    assert "r" * 32 not in repr(KEYS)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "node": "x", "keys": 1}']
)
def test_a_file_of_something_else_is_refused_with_the_way_out(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "token.keys").write_bytes(content)
    (tmp_path / "token.keys").chmod(0o600)
    with pytest.raises(KeysUnusable, match="move it away"):
        FileKeys(tmp_path).read()
