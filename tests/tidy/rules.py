"""The house rules, one function each: a file goes in, complaints come out.

Owns the judgement. Each complaint says where, what, and what to do about it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator

from tests.tidy.sources import Source

Rule = Callable[[Source], Iterator[str]]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
IMPURE = {"asyncio", "os", "random", "secrets", "socket", "sqlite3", "subprocess", "threading"} | {
    "pathlib", "shutil", "tempfile", "time", "uuid", "httptools", "uvicorn", "logging", "select",
}  # fmt: skip
PURE_PATHS = {"pathlib.PurePath", "pathlib.PurePosixPath"}
SPAWNERS = {"create_task", "ensure_future"}
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers"}
WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
# Bracketed letters keep this file from complaining of itself.
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b")
MACHINE = re.compile(
    r"/wor[k]/|/roo[t]/|/tmp/contrac[t]|bash_job[s]|[.]librar[y]/|far[m]-|sub-?agen[t]"
)


def definitions(source: Source) -> Iterator[Definition]:
    """Public functions and classes at the top of a module."""
    for node in source.tree.body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_"):
            yield node


def at(source: Source, node: ast.AST) -> str:
    return f"{source.path}:{getattr(node, 'lineno', 1)}"


def called_name(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def a_core_has_no_io(source: Source) -> Iterator[str]:
    if not source.in_core:
        return
    names = source.imports()
    roots = {name.partition(".")[0] for name in names}
    paths = {name for name in names if name.startswith("pathlib.")}
    if paths and paths <= PURE_PATHS:
        roots.discard("pathlib")
    for name in sorted(IMPURE & roots):
        yield f"{source.path}: a core imports {name}; take the value as an argument instead"


def a_core_knows_values_and_ports_only(source: Source) -> Iterator[str]:
    if not source.in_core:
        return
    domain = ".".join(source.parts[1 : source.parts.index("core")])
    allowed = (
        "skerry.base",
        "skerry.wire",
        f"{domain}.core",
        "skerry.store.ports",
        "skerry.upstream.ports",
        f"{domain}.ports",
    )
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("skerry"):
            continue
        name = node.module or ""
        if not any(name == root or name.startswith(f"{root}.") for root in allowed):
            yield f"{at(source, node)}: a core imports {name}; a shell should call the core instead"


def tasks_have_parents(source: Source) -> Iterator[str]:
    if not source.in_package or source.module.startswith("skerry.aio") or source.for_tests:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and called_name(node) in SPAWNERS:
            yield f"{at(source, node)}: {called_name(node)}; start it in a skerry.aio Nursery"


def files_are_short(source: Source) -> Iterator[str]:
    count = len(source.text.splitlines())
    if count > FILE_LINES_MAX:
        yield f"{source.path}: {count} lines of {FILE_LINES_MAX}; find the second thing it owns"


def functions_are_short(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, FUNCTIONS):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > FUNCTION_LINES_MAX:
                yield (
                    f"{at(source, node)}: {node.name} has {count} lines of {FUNCTION_LINES_MAX}; "
                    "name its steps"
                )


def modules_say_what_they_own(source: Source) -> Iterator[str]:
    if source.parts[0] != "tests" and not ast.get_docstring(source.tree):
        yield f"{source.path}: no module docstring; say what it owns and what it never does"


def public_things_have_docstrings(source: Source) -> Iterator[str]:
    if not source.in_package or source.for_tests:
        return
    for node in definitions(source):
        bases = [base.id for base in getattr(node, "bases", []) if isinstance(base, ast.Name)]
        if any(base.endswith("Enum") for base in bases):
            continue  # its members speak
        if not ast.get_docstring(node):
            yield f"{at(source, node)}: {node.name} has no docstring; say units, shapes, errors"


def no_any_in_public_signatures(source: Source) -> Iterator[str]:
    # aio wraps coroutines of every shape; their send and throw types are nobody's business.
    if not source.in_package or source.module.startswith("skerry.aio"):
        return
    for top in definitions(source):
        inner = top.body if isinstance(top, ast.ClassDef) else [top]
        for node in inner:
            if not isinstance(node, FUNCTIONS):
                continue
            if node.name.startswith("_") and node.name != "__init__":
                continue
            notes = [arg.annotation for arg in ast.walk(node.args) if isinstance(arg, ast.arg)]
            for note in (*notes, node.returns):
                if note and any(
                    isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(note)
                ):
                    yield f"{at(source, node)}: Any in {node.name}; name the shape, or say object"


def names_say_something(source: Source) -> Iterator[str]:
    names = [(source.path, source.parts[-1])]
    for node in ast.walk(source.tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names.append((at(source, node), node.name))
    for where, name in names:
        if empty := EMPTY_NAMES & {word.lower() for word in WORD.findall(name)}:
            yield f"{where}: {name} says {empty.pop()}; say what it does"


def nobody_prints(source: Source) -> Iterator[str]:
    if not source.in_package or source.module.startswith("skerry.cli"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name) and node.id == "print":
            yield f"{at(source, node)}: print; emit an event, or leave it to skerry.cli"


def nobody_rebinds_a_global(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Global):
            yield f"{at(source, node)}: global {', '.join(node.names)}; let an object own it"


def packages_re_export_nothing(source: Source) -> Iterator[str]:
    if not source.in_package or source.parts[-1] != "__init__" or source.module == "skerry":
        return
    if len(source.tree.body) != 1 or not ast.get_docstring(source.tree):
        yield f"{source.path}: an __init__ is one docstring; import from where a thing lives"


KEPT = {"OrderedDict", "SingleFlight", "HotTable"}
"""What an object has that remembers, or lets others share its work."""


def long_lived_things_have_statistics(source: Source) -> Iterator[str]:
    """A cache or a shared flight that nobody can look into is found out when it is too large."""
    if not source.in_package or source.in_core or source.for_tests:
        return
    for node in source.tree.body:
        if not isinstance(node, ast.ClassDef) or source.module.startswith("skerry.aio"):
            continue
        methods = {each.name: each for each in node.body if isinstance(each, FUNCTIONS)}
        made = {
            called_name(call)
            for call in ast.walk(methods.get("__init__", ast.Pass()))
            if isinstance(call, ast.Call)
        }
        if made & KEPT and "statistics" not in methods:
            yield f"{at(source, node)}: {node.name} remembers; give it a statistics()"


def a_test_file_can_fail(source: Source) -> Iterator[str]:
    if not source.is_test:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assert) or (
            isinstance(node, ast.Call) and called_name(node) == "raises"
        ):
            return
    yield f"{source.path}: neither assert nor raises; a test must be able to fail"


def test_names_are_sentences(source: Source) -> Iterator[str]:
    if not source.is_test:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, FUNCTIONS) and re.match(r"test_[^_]+(_[^_]+)?$", node.name):
            yield f"{at(source, node)}: {node.name}; say what holds, as a sentence"


def tests_do_not_sleep(source: Source) -> Iterator[str]:
    # The real programs of tests/peers have no clock that a test could move.
    if source.parts[0] != "tests" or "peers" in source.parts:
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(args=[ast.Constant(value=0)]):
                continue  # gives the others a turn
            case ast.Call(func=ast.Attribute(value=ast.Name(id="time" | "asyncio"), attr="sleep")):
                yield f"{at(source, node)}: a test sleeps; move a ManualClock, or await the event"


RULES: tuple[Rule, ...] = (
    a_core_has_no_io,
    a_core_knows_values_and_ports_only,
    tasks_have_parents,
    files_are_short,
    functions_are_short,
    modules_say_what_they_own,
    public_things_have_docstrings,
    no_any_in_public_signatures,
    names_say_something,
    nobody_prints,
    nobody_rebinds_a_global,
    packages_re_export_nothing,
    long_lived_things_have_statistics,
    a_test_file_can_fail,
    test_names_are_sentences,
    tests_do_not_sleep,
)


def modules_nobody_imports(sources: list[Source], started: set[str]) -> list[str]:
    """Modules of the package that no other one imports, tests' twins aside.

    `started` are the modules that something outside Python starts: entry points, `python -m`.
    A module for tests counts as used when a test, the simulator or a bench imports it.
    """
    used_by_us: set[str] = set(started)
    used_by_all: set[str] = set(started)
    for source in sources:
        names = source.imports() - {source.module}
        used_by_all |= names
        if source.in_package:
            used_by_us |= names
    dead = []
    for source in sources:
        if not source.in_package or source.parts[-1] in {"__init__", "__main__"}:
            continue
        used = used_by_all if source.for_tests else used_by_us
        if source.module not in used:
            dead.append(f"{source.path}: nobody imports it; wire it in or remove it")
    return dead


def things_nobody_uses(sources: list[Source]) -> list[str]:
    """Functions, classes and constants of the package whose name stands nowhere else in it.

    That only a test uses a thing does not make it used. Twins for tests are told by their name.
    """
    counts: Counter[str] = Counter()
    for source in sources:
        if source.in_package:
            counts.update(re.findall(r"\w+", source.text))
    unused = []
    for source in sources:
        if not source.in_package or source.for_tests:
            continue
        for node in source.tree.body:
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    pass
                case ast.ClassDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                    pass
                case _:
                    continue
            if counts[name] == 1 and not name.startswith(("__", "Manual")):
                unused.append(f"{at(source, node)}: nobody uses {name}; use it or remove it")
    return unused


def unfinished_or_foreign(path: str, text: str) -> Iterator[str]:
    """Notes to self, and words that belong to the machine it was written on."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := UNFINISHED.search(line):
            yield f"{path}:{number}: {found[0]}; do it, or say in docs that it is not done"
        if not path.endswith(".lock") and (found := MACHINE.search(line)):
            yield f"{path}:{number}: {found[0]!r} speaks of one machine; say it without"
