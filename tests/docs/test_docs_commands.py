"""What the documentation tells people to type exists."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT, Page, pages

TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def make_targets() -> set[str]:
    return set(TARGET.findall((ROOT / "Makefile").read_text()))


def unknown_targets(page: Page) -> list[str]:
    wanted = [m[1] for line in page.commands() if (m := re.match(r"make ([a-z][a-z-]*)", line))]
    return sorted(set(wanted) - make_targets())


def test_every_make_target_of_the_docs_exists() -> None:
    unknown = {page.name: missing for page in pages() if (missing := unknown_targets(page))}
    assert not unknown, f"{unknown}: not in the Makefile; mend the page or add the target"


def test_an_unknown_make_target_is_found() -> None:
    assert unknown_targets(Page(ROOT / "README.md", "`make run`, `make coffee`")) == ["coffee"]


def test_the_two_commands_stand_in_the_readme() -> None:
    commands = Page(ROOT / "README.md", (ROOT / "README.md").read_text()).commands()
    assert {"make run", "make test"} <= {line.partition("#")[0].strip() for line in commands}
