"""Each rule against a file that breaks it: a rule that cannot complain protects nothing."""

from __future__ import annotations

import pytest

from tests.tidy import rules
from tests.tidy.sources import Source

CORE = "src/skerry/store/core/plan.py"
SHELL = "src/skerry/store/disk.py"
TEST = "tests/store/test_disk.py"
DOC = '"""Owns it."""\n'

BREAKERS = [
    (rules.a_core_has_no_io, CORE, "import time"),
    (rules.a_core_has_no_io, CORE, "from os import path"),
    (rules.a_core_has_no_io, CORE, "import asyncio.events"),
    (rules.a_core_has_no_io, CORE, "import pathlib"),
    (rules.a_core_has_no_io, CORE, "from pathlib import Path, PurePosixPath"),
    (rules.a_core_knows_values_and_ports_only, CORE, "from skerry.telemetry.events import Events"),
    (rules.a_core_knows_values_and_ports_only, CORE, "from skerry.store.disk import Disk"),
    (rules.tasks_have_parents, SHELL, "asyncio.create_task(work())"),
    (rules.tasks_have_parents, SHELL, "loop.create_task(work())"),
    (rules.files_are_short, SHELL, "\n" * 401),
    (rules.functions_are_short, SHELL, "def long():\n" + "    pass\n" * 60),
    (rules.modules_say_what_they_own, SHELL, "import os"),
    (rules.public_things_have_docstrings, SHELL, "class Disk: ..."),
    (rules.public_things_have_docstrings, SHELL, "async def sync(): ..."),
    (rules.no_any_in_public_signatures, SHELL, "def f(x: dict[str, Any]) -> int: ..."),
    (rules.no_any_in_public_signatures, SHELL, "class C:\n    def f(self) -> Any: ..."),
    (rules.names_say_something, SHELL, "class DiskManager: ..."),
    (rules.names_say_something, "src/skerry/store/utils.py", ""),
    (rules.nobody_prints, SHELL, "print('hello')"),
    (rules.nobody_rebinds_a_global, SHELL, "def f():\n    global seen"),
    (rules.packages_re_export_nothing, "src/skerry/store/__init__.py", DOC + "import os"),
    (
        rules.long_lived_things_have_statistics,
        SHELL,
        "class A:\n    def __init__(self):\n        self._seen = OrderedDict()",
    ),
    (rules.a_test_file_can_fail, TEST, "def test_it_is_all_right(): pass"),
    (rules.test_names_are_sentences, TEST, "def test_disk(): ..."),
    (rules.tests_do_not_sleep, TEST, "time.sleep(1)"),
    (rules.tests_do_not_sleep, TEST, "async def test_a(): await asyncio.sleep(0.1)"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BREAKERS)
def test_the_rule_complains_of_what_breaks_it(rule: rules.Rule, path: str, text: str) -> None:
    complaints = list(rule(Source(path, text)))
    assert len(complaints) == 1, complaints
    assert path in complaints[0]


def test_every_rule_has_a_breaker() -> None:
    assert {rule for rule, _, _ in BREAKERS} == set(rules.RULES)


CLEAN = [
    (CORE, DOC + "from pathlib import PurePosixPath"),
    (CORE, DOC + "from skerry.base.digest import Digest\nfrom skerry.store.ports import Group"),
    ("src/skerry/aio/tasks.py", DOC + "loop.create_task(x)"),
    (SHELL, DOC + "from contextlib import contextmanager\nclass _Inner: ..."),
    (TEST, "async def test_it_is_all_right():\n    await asyncio.sleep(0)\n    assert True"),
    ("tests/peers/test_real.py", "def test_it_is_all_right():\n    time.sleep(1)\n    assert True"),
]


@pytest.mark.parametrize(("path", "text"), CLEAN)
def test_no_rule_complains_of_clean_code(path: str, text: str) -> None:
    source = Source(path, text)
    assert [complaint for rule in rules.RULES for complaint in rule(source)] == []


def test_a_module_that_only_its_test_imports_is_dead() -> None:
    disk = Source("src/skerry/store/disk.py", "")
    twin = Source("src/skerry/store/testing.py", "")
    main = Source("src/skerry/cli/main.py", "")
    test = Source(TEST, "from skerry.store.disk import Disk\nimport skerry.store.testing")
    dead = rules.modules_nobody_imports([disk, twin, main, test], {"skerry.cli.main"})
    assert [complaint.partition(":")[0] for complaint in dead] == [disk.path]

    user = Source("src/skerry/app/node.py", "from skerry.store.disk import Disk")
    dead = rules.modules_nobody_imports([disk, user, test], {"skerry.app.node"})
    assert dead == []


def test_a_function_that_only_its_test_calls_is_unused() -> None:
    disk = Source("src/skerry/store/disk.py", "LIMIT = 3\ndef size(): return LIMIT\nclass Old: ...")
    test = Source(TEST, "size()\nOld()")
    unused = rules.things_nobody_uses([disk, test])
    assert [line.partition(": ")[2].split(";")[0] for line in unused] == [
        "nobody uses size",
        "nobody uses Old",
    ]


def test_notes_to_self_and_words_of_one_machine_are_found() -> None:
    text = "\n".join(("# TO" + "DO later", "fine", "see /wor" + "k/notes"))
    found = list(rules.unfinished_or_foreign("a.py", text))
    assert [line.split(" ")[0] for line in found] == ["a.py:1:", "a.py:3:"]
