"""What the documentation tells people to type exists."""

from __future__ import annotations

import re

import typer

from skerry.cli.main import make_app
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


def complaint(line: str) -> str | None:
    """Why this command line would not be understood, as far as its words and options go."""
    found, words = typer.main.get_command(make_app()), line.split()[1:]
    path = ["skerry"]
    while (commands := getattr(found, "commands", None)) and words and words[0].islower():
        path.append(words.pop(0))
        if path[-1] not in commands:
            return f"{' '.join(path)} is no command"
        found = commands[path[-1]]
    known = {name for parameter in found.params for name in parameter.opts} | {"--help"}
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    wrong = [option for option in options if option not in known]
    return f"{' '.join(path)} has no {wrong[0]}" if wrong else None


def skerry_lines(page: Page) -> list[str]:
    lines = (line.partition("  #")[0] for line in page.commands())
    return [line for line in lines if re.match(r"skerry( |$)", line)]


def test_every_skerry_command_of_the_docs_exists() -> None:
    wrong = [
        f"{page.name}: {line}: {why}; mend the page"
        for page in pages()
        for line in skerry_lines(page)
        if (why := complaint(line))
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_an_unknown_command_and_an_unknown_option_are_found() -> None:
    assert complaint("skerry coffee") == "skerry coffee is no command"
    assert complaint("skerry config brew") == "skerry config brew is no command"
    assert complaint("skerry up --sugar") == "skerry up has no --sugar"
    assert complaint("skerry up --registry 0.0.0.0:5000") is None
