"""The tree as the tidy rules see it: parsed Python files and the text files beside them."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE_FOLDERS = ("src", "tests", "sim", "bench", "tools")
TEXT_ENDINGS = {".py", ".md", ".toml", ".sh", ".in", ".svg", ".service", ".yaml", ".yml", ""}


@dataclass(frozen=True)
class Source:
    """One Python file. `path` is relative to the root, with forward slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.path.removesuffix(".py").split("/"))

    @property
    def in_package(self) -> bool:
        return self.parts[0] == "src"

    @property
    def in_core(self) -> bool:
        return self.in_package and "core" in self.parts

    @property
    def for_tests(self) -> bool:
        """A port's twins and conformance suite: they live beside it and are used by tests."""
        return self.in_package and self.parts[-1].startswith(("testing", "conformance"))

    @property
    def is_test(self) -> bool:
        return self.parts[0] == "tests" and self.parts[-1].startswith("test_")

    @property
    def module(self) -> str:
        """The dotted name it is imported by, e.g. `skerry.base.digest`."""
        parts = self.parts[1:] if self.in_package else self.parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def imports(self) -> set[str]:
        """Every dotted name an import statement of this file could mean."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
        return found


def python_files() -> list[Source]:
    """Every Python file of the tree."""
    return [
        Source(path.relative_to(ROOT).as_posix(), path.read_text())
        for folder in CODE_FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def text_files() -> dict[str, str]:
    """Path -> text of every file git knows, as far as it is text that people write."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for path in paths
        if path.suffix in TEXT_ENDINGS and path.is_file()
    }
