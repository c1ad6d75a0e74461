"""A month beside the one before: figures, the dearest misses, and what to change."""

from __future__ import annotations

from skerry.budget.core.prices import read_sheet
from skerry.budget.core.rating import cost, rate
from skerry.budget.core.report import Report, compare, dearest_misses, figures, workflow_of
from skerry.budget.core.report_html import page
from skerry.budget.core.usage import Amounts, Dimension, Hour, Meter, total, totals

HEAD = '[[price]]\ncurrency = "EUR"\nvalid_from = 2026-01-01\n'
SHEET = read_sheet(
    f'{HEAD}meter = "ingress"\nprice = "0.10"\nunit = "GB"\nperiod = "use"\n'
    f'{HEAD}meter = "pulls"\nprice = "1.00"\nunit = "1000 pulls"\nperiod = "use"\n'
    f'{HEAD}meter = "requests"\nprice = "0.01"\nunit = "1000 requests"\nperiod = "use"\n',
    "prices.toml",
)
JUNE, MAY = 1_780_272_000, 1_777_593_600
GB = 10**9
FILM = Dimension("ann", site="film.example", route="/<film>", data_class="public", workflow="film")
SHOP = Dimension("bob", site="shop.example", route="/basket", data_class="sensitive")
HUB = Dimension("node", upstream="docker.io")


def month(start: int, film_hits: int) -> list[Hour]:
    def used(requests: int, **more: int) -> Amounts:
        named = {Meter[name.upper()]: value for name, value in more.items()}
        return Amounts.of({Meter.REQUESTS: requests, **named})

    film = used(1000, hits=film_hits, misses=1000 - film_hits, saved_bytes=film_hits * GB,
                ingress_bytes=20 * GB, pulls=200)  # fmt: skip
    shop = used(500, passes=500, ingress_bytes=5 * GB, pulls=500)
    hub = used(300, hits=200, stale=50, shared=40, misses=10, saved_bytes=29 * GB,
               ingress_bytes=90 * GB, pulls=10)  # fmt: skip
    return [Hour(start, FILM, film), Hour(start, SHOP, shop), Hour(start, HUB, hub)]


def made(now: int, then: int) -> Report:
    parts = []
    for name, start, hits in (("2026-06", JUNE, now), ("2026-05", MAY, then)):
        hours = month(start, hits) if hits >= 0 else []
        parts.append((name, totals(hours), rate(hours, SHEET)))
    return compare("rock", "EUR", parts[0], parts[1])


def test_figures_are_those_of_the_ledger() -> None:
    hours = month(JUNE, 800)
    charges = rate(hours, SHEET)
    found = figures(total(totals(hours).values()), charges)
    assert found.cost_micro == cost(charges)
    assert found.requests == 1800
    assert found.hit_ratio == (800 + 200) * 1_000_000 // 1800
    assert (found.stale, found.joined) == (50, 40), "told apart"
    assert found.per_thousand_micro == round(cost(charges) * 1000 / 1800)
    assert found.per_saved_gb_micro == round(cost(charges) / 829)
    here = 800 + 290
    assert found.avoided_micro == (829 * 100_000) + here * 1_000, "0.10 a GB, 1.00 a thousand"


def test_what_failed_or_was_refused_is_no_answer_that_could_have_been_a_hit() -> None:
    """As `status`, the pages and Grafana have it: in an outage the ratio falls for misses alone."""
    used = {Meter.REQUESTS: 100, Meter.HITS: 30, Meter.STALE: 10, Meter.MISSES: 20}
    assert figures(Amounts.of(used), ()).hit_ratio == 500_000
    assert figures(Amounts.of({Meter.REQUESTS: 100}), ()).hit_ratio == -1


def test_checks_that_a_tag_has_not_moved_do_not_make_bytes_dear() -> None:
    used = Amounts.of({Meter.REQUESTS: 30, Meter.HITS: 30, Meter.SAVED_BYTES: GB,
                       Meter.PULLS: 25, Meter.INGRESS_BYTES: 47})  # fmt: skip
    found = figures(used, rate([Hour(JUNE, HUB, used)], SHEET))
    assert found.avoided_micro == 30 * 1_000, "47 bytes cost nothing; each answer saved a pull"


def test_the_dearest_misses_come_first_with_what_to_do() -> None:
    hours = month(JUNE, 800)
    found = dearest_misses(totals(hours), rate(hours, SHEET))
    assert [(each.what, each.kind, each.count) for each in found] == [
        ("docker.io", "miss", 10),
        ("film.example/<film>", "miss", 200),
        ("shop.example/basket", "pass", 500),
    ]
    assert [each.micro for each in found] == [9_010_000, 2_200_000, 1_000_000]
    assert "skerry warm" in found[0].advice
    assert "longer fresh" in found[1].advice
    assert "data_class" in found[2].advice


def test_what_got_worse_is_said_first() -> None:
    worse = made(600, 900)
    assert "hit ratio fell" in worse.advice[0]
    assert all("fell" not in each for each in made(900, 600).advice)
    assert "nothing to compare" in made(900, -1).advice[0]


def test_a_workflow_has_figures_of_its_own() -> None:
    hours = month(JUNE, 800)
    used, charges = workflow_of(totals(hours), rate(hours, SHEET), "film")
    found = figures(used, charges)
    assert (found.requests, found.hit_ratio) == (1000, 800_000)
    assert found.cost_micro == 2_000_000 + 200_000 + 10_000
    assert figures(*workflow_of(totals(hours), charges, "none")).per_thousand_micro == -1


def test_the_page_says_the_same_and_needs_nothing_else() -> None:
    text = page(made(600, 900))
    assert "film.example/&lt;film&gt;" in text
    assert "<film>" not in text
    assert "2026-06" in text
    assert "2026-05" in text
    assert "<script" not in text
    assert "http" not in text
