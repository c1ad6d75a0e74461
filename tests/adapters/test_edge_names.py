"""Names that overlap, by the hundred thousand: the index purges exactly what the rule names."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_variants import SqliteVariants
from skerry.cdn.core.purge import Mode, Names, by_surrogate_key, names_it
from skerry.cdn.testing import some_entry
from tests.cdn.core.test_purge import TARGETS

KEYS = 100_000
PATHS = ("/", "/a", "/a/", "/a/b", "/ab", "/a//", "/a%20b", "/A", "/a/b/c")
WORDS = ("item", "item-1", "item-10", "item-1 ", "Item-1", "k", "news", "NEWS")


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(PATHS),
            st.sampled_from(("", "q=1", "q=10")),
            st.sampled_from(("a.org", "b.org", "ba.org")),
            st.sets(st.sampled_from(WORDS), max_size=3),
            st.sets(st.sampled_from(WORDS), max_size=2),
        ),
        max_size=12,
    ),
    TARGETS,
)
async def test_the_index_purges_what_the_rule_names_and_nothing_else(
    made: list[tuple[str, str, str, set[str], set[str]]], target: object
) -> None:
    file = EdgeFile(None)
    variants = SqliteVariants(file)
    entries = {}
    for path, query, host, keys, groups in made:
        entry = some_entry(path, query=query, host=host, keys=(*keys,), groups=(*groups,))
        entries[entry.key] = entry
        await variants.put(entry)
    named = {
        key
        for key, entry in entries.items()
        if names_it(target, Names(key, entry.stored.groups, entry.stored.surrogate_keys))  # type: ignore[arg-type]
    }
    assert await variants.purge(target, Mode.HARD) == len(named)  # type: ignore[arg-type]
    assert {entry.key for entry in variants.all()} == entries.keys() - named
    await file.close()


async def test_a_hundred_thousand_keys_stay_apart_in_the_index(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    file = EdgeFile(path)
    variants = SqliteVariants(file)
    await variants.put(some_entry("/0", keys=("item-0",)))
    with sqlite3.connect(path) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(entry)")][2:]
        names = ", ".join(columns)
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            f"INSERT INTO entry (key, {names}) SELECT 'key-' || i, {names} FROM entry, n",
            (KEYS - 1,),
        )
        db.execute("INSERT INTO name SELECT 'key', 'item-' || (id - 1), id FROM entry WHERE id > 1")
        db.commit()
    db.close()
    for number in (1, 9, 10, 99_999, 12_345):
        assert await variants.purge(by_surrogate_key(f"item-{number}"), Mode.HARD) == 1
    assert await variants.purge(by_surrogate_key("item-"), Mode.HARD) == 0
    assert file.read("SELECT count(*) FROM entry") == [(KEYS - 5,)]
    assert file.read("SELECT count(*) FROM name") == [(KEYS - 5,)]
    await file.close()
