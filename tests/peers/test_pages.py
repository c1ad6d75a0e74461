"""The pages in a real browser over a real node: read, watched through an outage, and acted on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from typer.testing import CliRunner

from skerry.app.drill.processes import Setting
from skerry.cli.main import make_app
from skerry.dashboard.words import money
from tests.rig import images
from tests.rig.desk import NAME, TEAM, Desk, open_desk
from tests.rig.nodes import HOST as HUB
from tests.rig.pages import HOST, Pages, build
from tests.rig.processes import Rig, need

READ = ("/", "/images", "/objects", "/upstreams", "/fills", "/events", "/incidents", "/horizon",
        "/costs", "/settings", "/jobs", "/actions/purge", "/images?q=x&show=half",
        "/events?q=x")  # fmt: skip
GRAVE = {"serious", "critical"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = need("chromium")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def pages(shared: Rig) -> Pages:
    pages = build(shared)
    pages.random("/film", 3000)
    for _ in range(3):
        pages.curl("/film")
    return pages


def token(pages: Pages | Desk) -> str:
    return (pages.node.folder / "data" / "admin.token").read_text().strip()


def opened(browser: Browser, pages: Pages | Desk, path: str, **options: object) -> Page:
    """A browser that has logged in and looks at a page."""
    base = f"http://{pages.node.admin}"
    page = browser.new_context(base_url=base, **options).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(20_000)
    page.goto(path)
    page.get_by_label("Password or admin token").fill(token(pages))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login" not in url)
    return page


def live(page: Page) -> None:
    expect(page.locator("#live-state")).to_have_text("live", timeout=20_000)


PHONE = {"width": 375, "height": 740}
LOOKS = {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"},
         "phone": {"viewport": PHONE}}  # fmt: skip


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_isusable_by_everybody(browser: Browser, pages: Pages, look: str) -> None:
    page = opened(browser, pages, "/", **LOOKS[look])
    for path in READ:
        page.goto(path)
        found = Axe().run(page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in GRAVE] == [], path
    page.context.close()


def test_nothing_is_asked_of_other_hosts_and_nothing_fails(browser: Browser, pages: Pages) -> None:
    page = opened(browser, pages, "/")
    asked, said = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    for path in READ:
        page.goto(path)
    here = f"http://{pages.node.admin}/"
    assert [url for url in asked if not url.startswith(here)] == []
    assert said == []
    page.context.close()


@pytest.mark.parametrize("path", READ)
def test_a_phone_shows_it_without_scrolling_sideways(
    browser: Browser, pages: Pages, path: str
) -> None:
    page = opened(browser, pages, path, viewport=PHONE)
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    page.context.close()


def test_the_keyboard_alone_is_enough(browser: Browser, pages: Pages) -> None:
    page = opened(browser, pages, "/")
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_url("**/#main")
    page.goto("/actions/purge")
    page.locator("#f-url").focus()
    page.keyboard.type("https://www.example.org/none")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs")
    page.context.close()


def test_a_wrong_token_is_turned_away_and_logging_out_closes_the_door(
    browser: Browser, pages: Pages
) -> None:
    page = opened(browser, pages, "/images?q=x")
    assert page.url.endswith("/images?q=x"), "one comes where one wanted to go"
    page.get_by_role("button", name="Log out").click()
    page.goto("/images")
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in GRAVE] == []
    page.get_by_label("Password or admin token").fill("not it")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("is wrong")
    page.context.close()


def test_it_is_whole_without_scripts(browser: Browser, pages: Pages) -> None:
    page = opened(browser, pages, "/", java_script_enabled=False)
    expect(page.get_by_role("heading", name="Is local service good?")).to_be_visible()
    page.get_by_role("link", name="Objects").click()
    row = page.get_by_role("row").filter(has_text="/film")
    row.get_by_role("button", name="Purge").click()
    page.get_by_role("button", name="Purge").click()
    expect(page.get_by_role("table")).to_contain_text("/film")
    page.context.close()


def test_an_outage_shows_while_the_page_is_open_and_so_does_its_end(
    browser: Browser, rig: Rig
) -> None:
    pages = build(rig)
    pages.random("/film", 3000)
    pages.curl("/film")
    page = opened(browser, pages, "/")
    live(page)
    tile = page.locator("article").filter(has_text="Is the upstream there?")
    expect(tile).to_contain_text("Yes")
    _shot(page, "pages-overview.png")
    pages.origin.child.kill()
    for number in range(8):
        pages.curl(f"/never-{number}")
    expect(tile).to_contain_text(f"{HOST} has trouble", timeout=20_000)
    assert "hit" in pages.curl("/film").cache
    expect(page.get_by_role("table")).to_contain_text("public")
    _shot(page, "pages-outage.png")
    pages.origin.restart()
    pages.node.child.wait_until(lambda: pages.curl("/film-again").status in (200, 404))
    expect(tile).to_contain_text("Yes", timeout=20_000)
    page.context.close()


def test_a_purge_by_clicking_is_in_force_and_on_record(browser: Browser, rig: Rig) -> None:
    pages = build(rig)
    pages.random("/film", 3000)
    assert "stored" in pages.curl("/film").cache
    pages.node.wait_until_stored()
    assert "hit" in pages.curl("/film").cache
    page = opened(browser, pages, "/objects?q=/film")
    page.get_by_role("row").filter(has_text="/film").get_by_role("button").click()
    assert pages.curl("/film").cache.count("hit") == 1, "looking at the form does nothing"
    _shot(page, "pages-purge.png")
    page.get_by_role("button", name="Purge").click()
    page.wait_for_url("**/jobs")
    expect(page.get_by_role("table")).to_contain_text("purged 1 object", timeout=20_000)
    assert "uri-miss" in pages.curl("/film").cache
    page.context.close()


def test_the_numbers_are_those_of_the_metrics_and_the_command(
    browser: Browser, pages: Pages
) -> None:
    page = opened(browser, pages, "/")
    row = page.get_by_role("row").filter(has_text="public").inner_text().split()
    assert row[0] == "public"
    counted = {"requests": int(row[1]), "hits": int(row[2])}
    metrics = page.request.get("/metrics").text().splitlines()
    by_outcome = {
        line.partition('outcome="')[2].partition('"')[0]: int(line.rpartition(" ")[2])
        for line in metrics
        if line.startswith('skerry_edge_requests_total{class="public"')
    }
    asked = ("hit", "stale", "revalidated", "miss", "nearer", "collapsed", "pass")
    assert counted["requests"] == sum(by_outcome.get(each, 0) for each in asked)
    assert counted["hits"] == by_outcome["hit"]
    config = ["--config", str(pages.node.config)]
    said = CliRunner().invoke(make_app(), ["top", "--json", *config])
    [told] = [each for each in json.loads(said.stdout)["ratios"] if each["what"] == "public"]
    assert {name: told[name] for name in counted} == counted
    page.context.close()


PRICES = "".join(
    f'[[price]]\nmeter = "{meter}"\nprice = "{price}"\nunit = "{unit}"\nperiod = "use"\n'
    'currency = "EUR"\nvalid_from = 2020-01-01\n'
    for meter, price, unit in (("egress", "0.09", "MB"), ("ingress", "0.04", "MB"),
                               ("pulls", "0.05", "pull"))
)  # fmt: skip


def _priced(rig: Rig) -> Desk:
    """A node whose traffic has a price, and two images that were pulled through it."""
    prices = rig.place("prices") / "prices.toml"
    prices.write_text(PRICES)
    flow: Setting = {"name": "deploy", "repositories": [f"{NAME}*"]}
    desk = open_desk(
        rig, budget={"prices_file": str(prices), "amount": "30.00", "workflow": [flow]}
    )
    for number in (1, 2):
        image = images.big(20 << 20, number)
        desk.push(image, str(number))
        for _ in range(3):
            desk.serves(image, str(number))
    desk.done("pin", f"{NAME}:1")
    return desk


def usable(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in GRAVE] == []
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_the_ledger_is_drawn_and_says_what_the_command_says(browser: Browser, rig: Rig) -> None:
    desk = _priced(rig)
    desk.node.child.wait_until(lambda: desk.done("costs")["spent_micro"] > 0)
    page = opened(browser, desk, "/costs", viewport={"width": 1280, "height": 820})

    def same() -> bool:
        spent = money(desk.done("costs")["spent_micro"], "EUR")
        page.goto("/costs")
        return page.locator("article").filter(has_text="Spent so far").inner_text().count(spent) > 0

    desk.node.child.wait_until(same)
    plot = page.get_by_role("img", name="up to each day")
    expect(plot).to_be_visible()
    said = plot.locator("title").first.text_content() or ""
    assert "at the end probably" in said
    assert "budget 30.00 EUR" in said
    expect(page.get_by_role("region", name="Workflows")).to_contain_text("deploy")
    usable(page)
    _shot(page, "pages-costs.png", full=False)
    used = [each["used"] for each in desk.done("costs")["lines"] if each["upstream"] == HUB]
    asked, hits = (sum(each.get(name, 0) for each in used) for name in ("requests", "hits"))
    page.goto("/upstreams")
    row = page.get_by_role("region", name="Hit ratios").get_by_role("row").filter(has_text=HUB)
    assert row.inner_text().split()[:3] == [HUB, str(asked), str(hits)]
    page.goto("/costs")
    for look in LOOKS.values():
        other = opened(browser, desk, "/costs", **look)
        other.locator("summary").click()
        usable(other)
        other.context.close()
    page.locator("a[rel=prev]").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Costs of")
    page.get_by_role("link", name="This month").click()
    page.context.close()


def test_what_was_evicted_says_what_became_of_it_also_after_a_restart(
    browser: Browser, rig: Rig
) -> None:
    desk = _priced(rig)
    page = opened(browser, desk, "/images", viewport={"width": 1280, "height": 620})
    expect(page.get_by_role("table")).to_contain_text(f"{NAME}:2")
    assert desk.skerry("evict", "--bytes", "1GiB").code == 0
    page.goto(f"/images?q={TEAM}")
    gone = page.get_by_role("region", name="No longer here")
    expect(gone).to_contain_text(f"{NAME}:2")
    expect(gone).to_contain_text("asked for by the operator")
    assert f"{NAME}:1" not in gone.inner_text(), "it is pinned"
    usable(page)
    _shot(page, "pages-images.png", full=False)
    assert f"{NAME}:2" in desk.skerry("events", "--about", f"{NAME}:2").out
    desk.node.restart()
    still = opened(browser, desk, "/images", java_script_enabled=False, viewport=PHONE)
    still.get_by_label("Name, tag or digest").fill(":2")
    still.get_by_label("Show").select_option("every image")
    still.get_by_role("button", name="Search").click()
    expect(still.get_by_role("region", name="No longer here")).to_contain_text(f"{NAME}:2")
    still.goto("/images?show=pinned")
    expect(still.get_by_role("table")).to_contain_text(f"{NAME}:1")
    for each in (page, still):
        each.context.close()


def test_a_page_whose_connection_dropped_says_so_and_comes_back(
    browser: Browser, pages: Pages
) -> None:
    page = opened(browser, pages, "/upstreams")
    live(page)
    page.route("**/live/*", lambda route: route.fulfill(status=503))
    page.reload()
    expect(page.locator("#live-state")).to_contain_text("Not live")
    expect(page.locator("[data-live]")).to_have_class("old")
    page.unroute("**/live/*")
    live(page)
    expect(page.locator("[data-live]")).not_to_have_class("old")
    page.evaluate("document.querySelector('footer time').textContent = 'long ago'")
    expect(page.locator("footer time")).to_contain_text("UTC", timeout=20_000)
    page.context.clear_cookies()
    page.reload()
    assert "/login" in page.url
    page.context.close()


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "x" * 1500, "\u202egpj.exe"])
def test_hostile_names_leave_a_page_whole(browser: Browser, pages: Pages, name: str) -> None:
    page = opened(browser, pages, "/", viewport=PHONE)
    said = list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    for path in ("/images", "/objects", "/events"):
        page.goto(f"{path}?{urlencode({'q': name})}")
        assert page.locator("input[type=search]").input_value() == name
        usable(page)
    assert said == []
    page.context.close()


def _shot(page: Page, name: str, *, full: bool = True) -> None:
    """A picture for the docs, where somebody asks for new ones."""
    taken = Path(os.environ["PYTEST_SHOTS"]) if "PYTEST_SHOTS" in os.environ else None
    data = page.screenshot(full_page=full)
    assert data.startswith(b"\x89PNG")
    if taken is not None:
        taken.mkdir(parents=True, exist_ok=True)
        (taken / name).write_bytes(data)
