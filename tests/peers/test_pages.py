"""The pages in a real browser over a real node: read, watched through an outage, and acted on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from typer.testing import CliRunner

from skerry.cli.main import make_app
from tests.rig.pages import HOST, Pages, build
from tests.rig.processes import Rig, need

READ = ("/", "/images", "/objects", "/upstreams", "/fills", "/events", "/incidents", "/horizon",
        "/costs", "/settings", "/jobs", "/actions/purge")  # fmt: skip
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


def token(pages: Pages) -> str:
    return (pages.node.folder / "data" / "admin.token").read_text().strip()


def opened(browser: Browser, pages: Pages, path: str, **options: object) -> Page:
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_usable_by_everybody(browser: Browser, pages: Pages, scheme: str) -> None:
    page = opened(browser, pages, "/", color_scheme=scheme)
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
    page = opened(browser, pages, path, viewport={"width": 360, "height": 740})
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


def _shot(page: Page, name: str) -> None:
    """A picture for the docs, where somebody asks for new ones."""
    taken = Path(os.environ["PYTEST_SHOTS"]) if "PYTEST_SHOTS" in os.environ else None
    data = page.screenshot(full_page=True)
    assert data.startswith(b"\x89PNG")
    if taken is not None:
        taken.mkdir(parents=True, exist_ok=True)
        (taken / name).write_bytes(data)
