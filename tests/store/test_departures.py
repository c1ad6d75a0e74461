"""What was evicted is told by its name: when, why, and when it was last used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from skerry.store.departures import IMAGE, OBJECT, REMEMBERED_MAX, Departure, Departures
from skerry.store.housekeeping import EvictedFor

NGINX = Departure(
    10.0, IMAGE, "docker.io/library/nginx:1", EvictedFor.ROOM, "room for 1 MiB", 4.0, 99
)
PAGE = Departure(
    11.0, OBJECT, "https://www.example.org/a?user=doe", EvictedFor.ROOM, "room for 9 B", 5.0, 7
)


class Book:
    """A DepartureBook that is a list."""

    def __init__(self) -> None:
        self.rows: list[Departure] = []

    def keep(self, departures: Sequence[Departure]) -> None:
        self.rows += departures

    def kept(self) -> list[Departure]:
        return self.rows


def test_a_name_or_a_part_of_it_finds_what_left_the_latest_first() -> None:
    trail = Departures()
    trail.note([NGINX, replace(NGINX, at=20.0), PAGE])
    assert [each.at for each in trail.find("NGINX")] == [20.0, 10.0]
    assert trail.find("nginx", kind=OBJECT) == []
    assert "skerry pin" in trail.find("nginx")[0].next_step


def test_a_flood_of_pages_pushes_out_no_image_and_is_bounded() -> None:
    trail, book = Departures(), Book()
    trail.keep_in(book, veil=lambda name: name)
    trail.note([NGINX])
    flood = [replace(PAGE, name=f"https://a/{number}") for number in range(3 * REMEMBERED_MAX)]
    trail.note(flood)
    assert trail.find("nginx") == [NGINX]
    assert len(trail.find("", kind=OBJECT, count_max=10**9)) == REMEMBERED_MAX
    assert trail.find(f"/{3 * REMEMBERED_MAX - 1}"), "the latest are those that are remembered"
    assert len(book.rows) == 1 + REMEMBERED_MAX, "no more is written down than is remembered"


def test_what_is_written_down_went_through_the_veil_and_has_no_query() -> None:
    trail, book = Departures(), Book()
    trail.keep_in(book, veil=lambda name: name.replace("nginx", "(private)"))
    trail.note([NGINX, PAGE])
    assert trail.find("nginx") == [NGINX], "whoever has the token is told"
    written = {each.name for each in book.rows}
    assert written == {
        "docker.io/library/(private):1",
        "https://www.example.org/a?(a query)",
    }
    again = Departures()
    again.keep_in(book, veil=lambda name: name)
    assert again.find("www.example.org/a")[0].why == "room for 9 B"
