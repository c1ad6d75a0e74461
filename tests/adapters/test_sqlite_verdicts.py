"""What a node remembers of whom it believed, in memory and in a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from skerry.adapters.sqlite_verdicts import SqliteVerdicts
from skerry.base.digest import Digest
from skerry.trust.ports import Admitted, VerdictsUnusable

IMAGE, OTHER = Digest("sha256", "1" * 64), Digest("sha256", "2" * 64)
FIRST = Admitted("prod", "v1", IMAGE, ("ann", "bob"), 100.0)


@pytest.fixture(params=["memory", "file"])
async def book(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteVerdicts]:
    opened = SqliteVerdicts(None if request.param == "memory" else tmp_path / "trust.sqlite")
    yield opened
    await opened.close()


async def test_what_was_admitted_is_known_under_its_version_and_digest(
    book: SqliteVerdicts,
) -> None:
    assert book.admitted("v1", IMAGE) is None
    await book.admit(FIRST)
    assert book.admitted("v1", IMAGE) == FIRST
    assert book.admitted("v2", IMAGE) is None
    assert book.admitted("v1", OTHER) is None


async def test_the_latest_verdict_of_a_policy_is_found_whatever_its_version(
    book: SqliteVerdicts,
) -> None:
    later = replace(FIRST, version="v2", signers=("bob",), at=200.0)
    for each in (later, FIRST, replace(FIRST, policy="other", version="v3", at=300.0)):
        await book.admit(each)
    assert book.ever_admitted("prod", IMAGE) == later
    assert book.ever_admitted("prod", OTHER) is None


async def test_a_tag_has_left_what_it_meant_and_nothing_else(book: SqliteVerdicts) -> None:
    await book.left("docker.io/library/nginx", "1", IMAGE, 5.0)
    await book.left("docker.io/library/nginx", "1", IMAGE, 6.0)
    assert book.has_left("docker.io/library/nginx", "1", IMAGE)
    assert not book.has_left("docker.io/library/nginx", "1", OTHER)
    assert not book.has_left("docker.io/library/nginx", "2", IMAGE)
    assert not book.has_left("docker.io/library/redis", "1", IMAGE)


async def test_what_was_admitted_outlives_the_process(tmp_path: Path) -> None:
    first = SqliteVerdicts(tmp_path / "trust.sqlite")
    await first.admit(FIRST)
    await first.left("a", "1", IMAGE, 1.0)
    second = SqliteVerdicts(tmp_path / "trust.sqlite")
    assert second.admitted("v1", IMAGE) == FIRST
    assert second.has_left("a", "1", IMAGE)
    await second.close()
    await first.close()


async def test_another_programs_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "trust.sqlite"
    path.write_bytes(b"something else" * 100)
    with pytest.raises(VerdictsUnusable, match="judged anew"):
        SqliteVerdicts(path)
    assert path.read_bytes() == b"something else" * 100
