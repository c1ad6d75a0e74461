"""A night with an outage, as its operator sees it on a phone: a real browser at a real node."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from tests.peers.test_pages import PHONE, browser, live, opened, token, usable
from tests.rig import images
from tests.rig.desk import NAME, open_desk
from tests.rig.nodes import HOST as HUB
from tests.rig.processes import Rig

__all__ = ["browser"]  # the fixture


def _asked_for(page: Page, name: str, reference: str) -> None:
    """Has an action done, as an operator does it."""
    page.goto(f"/actions/{name}")
    page.locator("#f-reference").fill(reference)
    page.get_by_role("main").get_by_role("button").click()
    page.wait_for_url("**/jobs")


HIDDEN = """[...document.querySelectorAll(".scroll:not(.plot)")]
  .filter(each => each.scrollWidth > each.clientWidth).map(each => each.ariaLabel)"""


def test_an_outage_night_on_a_phone(browser: Browser, rig: Rig) -> None:
    desk = open_desk(rig, window="1s")
    image = images.small(7)
    desk.push(image, "1")
    desk.serves(image, "1")
    page = opened(browser, desk, "/", viewport=PHONE)
    desk.cut()
    _asked_for(page, "warm", f"{NAME}:never")
    row = page.get_by_role("region", name="Jobs")
    expect(row).to_contain_text(f"{HUB} cannot be reached now", timeout=20_000)
    expect(row).to_contain_text("failed")
    expect(row).to_contain_text(f"fetch it again once skerry status shows {HUB} as reached")
    _asked_for(page, "pin", f"{NAME}:1")
    for path in ("/", "/images", "/upstreams", "/events", "/incidents", "/jobs"):
        page.goto(path)
        assert page.evaluate(HIDDEN) == [], f"{path} hides a part of a table"
        usable(page)
    page.goto("/upstreams")
    live(page)
    # An upgrade in the middle of it: the page goes on, and is told how it is now.
    desk.node.restart()
    page.evaluate("document.querySelector('footer time').textContent = 'before'")
    expect(page.locator("footer time")).to_contain_text("UTC", timeout=30_000)
    live(page)
    assert page.url.endswith("/upstreams")
    page.get_by_role("link", name="Images").click()
    expect(page.get_by_role("table")).to_contain_text("pinned")
    # Whoever is out all the same is told so, and is back on the page after the login.
    page.goto("/events?kind=breaker.opened")
    (desk.node.folder / "data" / "sessions.kept").unlink()
    page.route("**/live/*", lambda route: route.abort())
    desk.node.child.kill()
    (desk.node.folder / "data" / "sessions.kept").unlink(missing_ok=True)
    desk.node.restart()
    page.reload()
    expect(page.get_by_role("status").filter(has_text="Your login is over")).to_be_visible()
    usable(page)
    page.get_by_label("Password or admin token").fill(token(desk))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/events?kind=breaker.opened")
    page.context.close()
