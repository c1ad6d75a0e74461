"""Links of the documentation lead somewhere, and every page can be reached."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT, Page, pages


def broken_links(page: Page) -> list[str]:
    broken = []
    for link in page.links():
        target, _, anchor = link.partition("#")
        path = (page.path.parent / target).resolve()
        if not path.exists():
            broken.append(f"{page.name}: {link} is not there; mend the link")
            continue
        there = Page(path, path.read_text()) if target and anchor else page
        if anchor and anchor not in there.anchors():
            broken.append(f"{page.name}: {link} has no such heading; mend the anchor")
    return broken


def test_every_link_resolves() -> None:
    broken = [complaint for page in pages() for complaint in broken_links(page)]
    assert not broken, "\n" + "\n".join(broken)


def test_a_broken_link_and_a_broken_anchor_are_found() -> None:
    page = Page(ROOT / "README.md", "# One\n[a](nowhere.md) [b](#two) [c](#one) [d](LICENSE)")
    assert [line.split(" ")[1] for line in broken_links(page)] == ["nowhere.md", "#two"]


def test_every_page_that_the_code_names_is_there() -> None:
    parts = "(?:concepts|operating|reference|internals|adr)"
    lost = [
        f"{path.relative_to(ROOT)} names {name}; write it or mend the name"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for name in re.findall(rf"docs/{parts}/[\w./-]+?\.md", path.read_text())
        if not (ROOT / name).exists()
    ]
    assert not lost, "\n" + "\n".join(lost)


def test_every_page_of_docs_can_be_reached_from_the_map() -> None:
    seen = set()
    waiting = [ROOT / "docs" / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in seen or path.suffix != ".md" or not path.exists():
            continue
        seen.add(path)
        for link in Page(path, path.read_text()).links():
            waiting.append((path.parent / link.partition("#")[0]).resolve())
    lost = [
        page.name for page in pages() if page.name.startswith("docs/") and page.path not in seen
    ]
    assert not lost, f"nothing leads from docs/README.md to {lost}; link them from their index"


def test_decisions_are_numbered_and_say_what_they_cost() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        headings = re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE)
        assert headings[:3] == ["Context", "Decision", "Consequences"], path.name
        assert "**Worse:**" in path.read_text(), f"{path.name}: say what it costs"
