"""The documentation as the docs tests see it: pages, their links, code and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    def fences(self, *languages: str) -> list[str]:
        """The fenced blocks of these languages."""
        return [body for language, body in FENCE.findall(self.text) if language in languages]

    def inline_code(self) -> list[str]:
        return INLINE.findall(FENCE.sub("", self.text))

    def links(self) -> list[str]:
        """Link targets that are ours: no scheme."""
        targets = LINK.findall(FENCE.sub("", self.text))
        return [target for target in targets if not re.match(r"[a-z]+:", target)]

    def anchors(self) -> set[str]:
        """What `#...` may point at, as GitHub makes it from headings."""
        headings = HEADING.findall(FENCE.sub("", self.text))
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def commands(self) -> list[str]:
        """Every line of shell in the page: fenced blocks and inline code."""
        blocks = "\n".join(self.fences("sh", "bash", "console", "")).splitlines()
        return [line.strip().removeprefix("$ ") for line in (*blocks, *self.inline_code())]


def pages() -> list[Page]:
    """README and its kin, everything under docs/, and the fragments."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")]
    return [Page(path, path.read_text()) for path in sorted(set(paths))]
