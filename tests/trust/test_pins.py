"""Names that are kept where they were, over a book in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skerry.base.clock import ManualClock
from skerry.base.errors import BadInput
from skerry.telemetry.events import Events
from skerry.trust.core import pins as core
from skerry.trust.pins import KeptPins
from skerry.trust.ports import NameHold, NamePin, PinsState, PinsUnusable
from skerry.trust.testing_names import MemoryPinBook

PIN = NamePin("registry.example", ("192.0.2.1",), 100.0)


def kept(book: MemoryPinBook) -> tuple[KeptPins, Events]:
    clock = ManualClock()
    events = Events(clock.now)
    return KeptPins(book, clock=clock, events=events), events


async def test_a_hold_covers_the_name_and_all_below_it_and_nothing_beside() -> None:
    pins, events = kept(MemoryPinBook())
    await pins.hold("Example.", "its NS changed")
    for name in ("example", "EXAMPLE.", "registry.example", "a.b.example."):
        assert pins.hold_of(name) is not None, name
    for name in ("example.org", "notexample", "org"):
        assert pins.hold_of(name) is None, name
    (event,) = events.recent("name.held")
    assert (event.subject, event.cause) == ("example", "its NS changed")
    assert "skerry names release example" in event.next_step


async def test_while_a_name_is_held_its_last_good_addresses_stay() -> None:
    pins, events = kept(MemoryPinBook())
    await pins.keep(PIN)
    await pins.hold("example", "drift")
    await pins.keep(replace(PIN, addresses=("203.0.113.9",), at=200.0))
    assert pins.pin("Registry.Example.") == PIN
    await pins.release("example")
    assert events.counts() == {"name.held": 1, "name.released": 1}
    await pins.keep(replace(PIN, addresses=("203.0.113.9",), at=200.0))
    found = pins.pin("registry.example")
    assert found is not None
    assert found.addresses == ("203.0.113.9",)


async def test_a_hold_outlives_a_restart_and_is_told_of_again() -> None:
    book = MemoryPinBook()
    first, _ = kept(book)
    await first.hold("example", "drift")
    second, events = kept(book)
    assert second.hold_of("registry.example") is not None
    assert len(events.recent("name.held")) == 1


async def test_a_hold_that_cannot_be_written_down_holds_all_the_same() -> None:
    book = MemoryPinBook()
    pins, events = kept(book)
    book.full = True
    with pytest.raises(PinsUnusable):
        await pins.hold("example", "drift")
    assert pins.hold_of("example") is not None
    assert len(events.recent("name.held")) == 1


async def test_an_unchanged_pin_is_written_down_once_an_hour() -> None:
    book = MemoryPinBook()
    pins, _ = kept(book)
    for at, saves in ((100.0, 1), (3699.0, 1), (3700.0, 2), (50.0, 3)):
        await pins.keep(replace(PIN, at=at))
        assert book.saves == saves, at


def test_what_is_no_name_is_not_held() -> None:
    for name in ("", ".", "a..b", "-a", "a b", "x" * 64, ".".join(["a" * 60] * 5)):
        with pytest.raises(BadInput):
            core.hold(PinsState(), NameHold(name, "why", 0.0))


def test_there_is_an_end_to_what_is_remembered() -> None:
    state = PinsState()
    for number in range(core.PINS_MAX + 1):
        state = core.keep(state, replace(PIN, name=f"n{number}.example", at=float(number)))
    assert len(state.pins) == core.PINS_MAX
    assert core.pin_of(state, "n0.example") is None, "the oldest goes"
    many = core.keep(state, replace(PIN, addresses=tuple(f"192.0.2.{n}" for n in range(99))))
    assert len(many.pins[-1].addresses) == core.ADDRESSES_MAX
    for number in range(core.HOLDS_MAX):
        state = core.hold(state, NameHold(f"h{number}", "x" * 9999, 0.0))
    assert len(state.holds[0].reason) == core.REASON_CHARACTERS_MAX
    with pytest.raises(BadInput):
        core.hold(state, NameHold("one-more", "", 0.0))
