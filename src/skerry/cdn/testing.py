"""The conformance suites of the edge's ports, and the values to try them with.

Owns the behaviour of `ports.Variants` and `ports.PurgeBook`: each check gets fresh, empty ones and
raises AssertionError. Never reaches behind the ports. The memory twins are the SQLite adapters over
a database in memory. What a purge finds is held to `core.purge.PurgeIndex`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from skerry.base.digest import digest_of
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import (
    Mode,
    Names,
    PurgeIndex,
    Target,
    by_group,
    by_host,
    by_prefix,
    by_surrogate_key,
    by_url,
)
from skerry.cdn.core.purge_log import Record
from skerry.cdn.core.receipt import issue
from skerry.cdn.ports import VARIANTS_MAX, Entry, PurgeBook, Stored, Variants
from skerry.wire.message import Headers

Check = Callable[[Variants], Awaitable[None]]
BookCheck = Callable[[PurgeBook], Awaitable[None]]


def some_entry(
    path: str = "/a",
    *,
    query: str = "",
    host: str = "www.example.org",
    body: str = "body",
    language: str = "",
    groups: tuple[str, ...] = (),
    keys: tuple[str, ...] = (),
    received_at: float = 100.0,
) -> Entry:
    """A stored response; with `language` one of several variants."""
    vary = (("Vary", "Accept-Language"),) if language else ()
    stored = Stored(
        200,
        Headers((("Content-Type", "text/plain"), ("X-\u00e9", "\u00e9"), *vary)),
        requested_at=received_at - 0.5,
        received_at=received_at,
        vary=(("accept-language", language),) if language else (),
        size_bytes=len(body),
        groups=frozenset(groups),
        surrogate_keys=frozenset(keys),
    )
    key = CacheKey("https", host, 443, path, query)
    return Entry(key, stored, digest_of(body.encode()), as_of=3, last_used=received_at)


def expect(truth: bool, what: str) -> None:
    """Raises AssertionError with a sentence."""
    if not truth:
        raise AssertionError(what)


async def entries_are_kept_with_all_they_say(variants: Variants) -> None:
    entry = some_entry(query="b=1", groups=("news", "a\nb"), keys=("item-1",))
    empty = replace(some_entry("/empty"), digest=None)
    for each in (entry, empty):
        await variants.put(each)
        expect(variants.find(each.key) == (each,), "an entry reads as it was written")
    expect(variants.find(some_entry("/other").key) == (), "what was not put is not there")
    expect(len(list(variants.all())) == 2, "all entries are listed")


async def a_variant_replaces_itself_and_no_other(variants: Variants) -> None:
    german, english = some_entry(language="de"), some_entry(language="en", body="english")
    await variants.put(german)
    await variants.put(english)
    expect(set(variants.find(german.key)) == {german, english}, "two variants stand side by side")
    newer = replace(some_entry(language="de", body="neu", received_at=200.0))
    await variants.put(newer)
    expect(set(variants.find(german.key)) == {newer, english}, "the same variant is replaced")
    gone = german.digest is not None and not variants.holds(german.digest)
    expect(gone, "the replaced body is nobody's")
    await variants.remove([newer])
    expect(variants.find(german.key) == (english,), "one variant can be removed")


async def variants_of_a_key_are_bounded(variants: Variants) -> None:
    for number in range(VARIANTS_MAX + 10):
        await variants.put(some_entry(language=f"l{number}", received_at=float(number)))
    found = variants.find(some_entry().key)
    expect(len(found) == VARIANTS_MAX, "no more than the most")
    expect(min(entry.stored.received_at for entry in found) == 10.0, "the oldest went")


async def a_purge_finds_exactly_what_bears_the_name(variants: Variants) -> None:
    entries = {
        str(number): entry
        for number, entry in enumerate((
            some_entry("/a"), some_entry("/a", query="x=1"), some_entry("/a/b"), some_entry("/ab"),
            some_entry("/a/b/c", host="other.example"), some_entry("/a0"), some_entry("/"),
            some_entry("/g", groups=("news",)), some_entry("/g2", groups=("new",)),
            some_entry("/g", host="other.example", groups=("news",)),
            some_entry("/k", keys=("item-1",)), some_entry("/k2", keys=("item-10", "item-1")),
            some_entry("/k", host="other.example", keys=("item-1",)),
        ))
    }  # fmt: skip
    index = PurgeIndex()
    for ident, entry in entries.items():
        names = Names(entry.key, entry.stored.groups, entry.stored.surrogate_keys)
        index.add(ident, names)
    place = {"scheme": "https", "authority": "www.example.org"}
    targets: tuple[Target, ...] = (
        by_url(entries["0"].key), by_url(entries["1"].key), by_prefix(**place, path="/a"),
        by_prefix(**place, path="/a/"), by_prefix(**place, path="/"), by_host("other.example"),
        by_group(**place, group="news"), by_surrogate_key("item-1"),
        by_surrogate_key("item-1", host="www.example.org"), by_surrogate_key("none"),
    )  # fmt: skip
    for target in targets:
        for mode in (Mode.SOFT, Mode.HARD):
            for entry in entries.values():
                await variants.put(entry)
                variants.find(entry.key)  # what was read before must not outlive the purge
            count = await variants.purge(target, mode)
            meant = index.find(target)
            expect(count == len(meant), f"{target} {mode}: {count}, not {len(meant)}")
            for ident, entry in entries.items():
                found = variants.find(entry.key)
                expect(_bears(found, entry, mode, meant=ident in meant), f"{target}: {entry.key}")


def _bears(found: tuple[Entry, ...], entry: Entry, mode: Mode, *, meant: bool) -> bool:
    if not meant:
        return found == (entry,)
    if mode is Mode.HARD:
        return found == ()
    return len(found) == 1 and found[0].stored == replace(entry.stored, invalidated=True)


async def a_use_is_noted_and_never_goes_back(variants: Variants) -> None:
    entry = some_entry()
    await variants.put(entry)
    await variants.touch([(entry.key, 500.0)])
    await variants.touch([(entry.key, 400.0)])
    expect([each.last_used for each in variants.all()] == [500.0], "the last use counts")


async def they_are_told_in_order_of_use(variants: Variants) -> None:
    for number in (3, 1, 2, 2):
        for path in (f"/{number}", f"/{number}/twin"):
            await variants.put(replace(some_entry(path), last_used=float(number)))
    told = [entry.last_used for entry in variants.oldest(4)]
    expect(told == [1.0, 1.0, 2.0, 2.0], "the oldest first, and no more than asked for")
    told = [entry.last_used for entry in variants.newest(3)]
    expect(told == [3.0, 3.0, 2.0], "the latest first, and no more than asked for")
    every = [entry.key for entry in variants.oldest(100)]
    expect(len(every) == len(set(every)) == 6, "each once")


async def what_is_cleared_is_gone_and_what_comes_later_stays(variants: Variants) -> None:
    entry = some_entry()
    await variants.put(entry)
    await variants.clear()
    expect(variants.find(entry.key) == () and not list(variants.all()), "nothing is left")
    await variants.put(entry)
    expect(variants.find(entry.key) == (entry,), "what comes later is kept")
    await variants.remove([entry])
    expect(not list(variants.all()), "and goes like any other")


async def slices_go_with_their_entry_and_stay_when_it_is_put_again(variants: Variants) -> None:
    whole = some_entry()
    sliced = replace(whole, digest=None, slice_bytes=100)
    for entry in (whole, sliced):
        await variants.put(entry)
    piece = digest_of(b"piece")
    await variants.put_slice(sliced, 7, piece, 5)
    fresher = replace(sliced, stored=replace(sliced.stored, received_at=900.0))
    await variants.put(fresher)
    expect(variants.slices(fresher) == {7: (piece, 5)}, "an update keeps the slices")
    expect(set(variants.find(whole.key)) == {whole, fresher}, "a whole stands beside the slices")
    expect(variants.holds(piece), "a slice is somebody's")
    await variants.remove([fresher])
    expect(not variants.holds(piece), "slices go with their entry")
    await variants.put_slice(fresher, 8, piece, 5)
    expect(variants.slices(fresher) == {}, "a slice that comes late finds no entry")


CHECKS: tuple[Check, ...] = (
    entries_are_kept_with_all_they_say,
    a_variant_replaces_itself_and_no_other,
    variants_of_a_key_are_bounded,
    a_purge_finds_exactly_what_bears_the_name,
    they_are_told_in_order_of_use,
    what_is_cleared_is_gone_and_what_comes_later_stays,
    a_use_is_noted_and_never_goes_back,
    slices_go_with_their_entry_and_stay_when_it_is_put_again,
)


def some_record(book: PurgeBook, sequence: int) -> Record:
    """A purge of a host by the book's own node."""
    return Record(book.node, sequence, by_host("www.example.org"), Mode.HARD, 5.0)


async def records_are_kept_in_order(book: PurgeBook) -> None:
    records = [some_record(book, number) for number in (1, 2, 3)]
    await book.note(records[:2])
    await book.note(records[2:])
    expect(book.records() == records, "records read as they were written, in order")
    expect(book.base() == (0, {}), "nothing is folded yet")


async def a_base_that_moves_leaves_the_later_records(book: PurgeBook) -> None:
    await book.note([some_record(book, number) for number in (1, 2, 3)])
    await book.fold(2, {book.node: 2})
    expect(book.base() == (2, {book.node: 2}), "the base is where it was moved to")
    expect([record.sequence for record in book.records()] == [3], "later records stay")
    await book.fold(4, {book.node: 3, "other": 9})
    expect(book.records() == [], "an adopted number takes every record with it")
    await book.note([some_record(book, 4)])
    await book.fold(4, {book.node: 3, "other": 9})
    expect([record.sequence for record in book.records()] == [4], "the same base takes nothing")


async def receipts_are_kept_as_a_chain(book: PurgeBook) -> None:
    expect(book.last_receipt() is None, "a new book has no receipt")
    lines = []
    for number in range(3):
        receipt = issue(
            book.last_receipt(),
            node=book.node,
            target=by_surrogate_key(f"item-{number}"),
            mode=Mode.SOFT,
            object_count=number,
            at_milliseconds=number,
            sign=lambda message: b"s",
        )
        await book.keep([receipt])
        lines.append(receipt.line)
    expect(book.receipts() == lines, "lines read as they were written")
    expect(book.receipts(after=2) == lines[2:], "later ones can be had alone")


BOOK_CHECKS: tuple[BookCheck, ...] = (
    records_are_kept_in_order,
    a_base_that_moves_leaves_the_later_records,
    receipts_are_kept_as_a_chain,
)
