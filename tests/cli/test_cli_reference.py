"""The pages and the shipped files against the program: nothing undocumented, nothing invented."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec
import typer

from skerry.app.admin.operations import OPERATIONS
from skerry.app.settings.load import load
from skerry.app.telemetry.alarms import AlarmRow
from skerry.app.telemetry.horizon_desk import Listed
from skerry.app.trust.shapes import GlassBroken, GlassTerms, RootReport
from skerry.app.vault.desk import VaultStatus
from skerry.budget.core.forecast import Forecast
from skerry.budget.core.report import Figures
from skerry.budget.core.summary import CostLine, Costs
from skerry.budget.desk import BudgetState
from skerry.budget.ports import LedgerStatistics, Proof
from skerry.cdn.vault.told import Told
from skerry.cli.main import make_app
from skerry.registry.operations import ImageRow, ScrubEvent, Status, WarmEvent

ROOT = Path(__file__).parents[2]
COSTS = (Costs, CostLine, LedgerStatistics, Proof, Figures, Forecast, AlarmRow, BudgetState)
SHARED = {"--node", "--config", "--data-dir", "--json", "--set"}


def commands(command: object, name: str) -> Iterator[tuple[str, set[str]]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        params = getattr(command, "params", [])
        yield name, {p.opts[0] for p in params if p.param_type_name == "option"}
        return
    for key, child in inner.items():
        yield from commands(child, f"{name} {key}")


def test_every_command_and_option_is_in_the_reference_and_no_other() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text()
    documented: dict[str, set[str]] = {}
    current = ""
    for line in page.splitlines():
        if heading := re.match(r"### `(skerry [a-z -]+)`", line):
            current = heading[1]
            documented[current] = set()
        elif line.startswith("## "):
            current = ""
        elif current and (option := re.match(r"\| `(--[a-z-]+)", line)):
            documented[current].add(option[1])
    real = dict(commands(typer.main.get_command(make_app()), "skerry"))
    assert set(documented) == set(real)
    # The three clients share the table below the last of them.
    together = documented["skerry clients docker"]
    for name, options in real.items():
        wanted = together if name.startswith("skerry clients") else documented[name]
        assert options - SHARED == wanted - SHARED, name
    assert set(re.findall(r"`(--[a-z-]+)", page)) >= SHARED


def test_every_route_and_field_of_the_api_is_in_its_page() -> None:
    page = (ROOT / "docs/reference/admin-api.md").read_text()
    # That these are the routes of a node is for tests/app/test_openapi.py.
    routes = {f"{method} {path}" for method, path in OPERATIONS}
    routes |= {"GET /healthz", "GET /readyz", "GET /metrics"}
    told = re.findall(r"^\| `((?:GET|POST|DELETE|PUT) /[a-z0-9/.-]+)`", page, re.MULTILINE)
    assert routes == set(told)
    kinds = (Listed, GlassBroken, GlassTerms, RootReport)
    for kind in (ImageRow, WarmEvent, ScrubEvent, Status, VaultStatus, Told, *kinds, *COSTS):
        for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[union-attr]
            assert f"`{field.name}`" in page, f"{kind.__name__}.{field.name}"


def test_the_unit_starts_a_command_that_exists_with_settings_that_exist() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    text = (ROOT / "deploy/skerry.service").read_text()
    unit.read_string(text)
    assert shlex.split(unit["Service"]["ExecStart"])[1:] == ["up"]
    assert unit["Service"]["RestartPreventExitStatus"] == "2"
    env = dict(re.findall(r"^Environment=(\w+)=(.+)$", text, re.MULTILINE))
    assert env.pop("SKERRY_CONFIG") == "/etc/skerry/skerry.toml"
    assert load(None, env, {}).node.data_dir == f"/var/lib/{unit['Service']['StateDirectory']}"


def test_the_container_has_settings_that_exist_and_copies_files_that_exist() -> None:
    text = (ROOT / "deploy/Containerfile").read_text().replace("\\\n", " ")
    env = dict(re.findall(r"(SKERRY_\w+)=(\S+)", text))
    settings = load(None, env, {})
    assert settings.node.data_dir == "/var/lib/skerry"
    assert settings.doors.registry == "0.0.0.0:5000"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert names
    assert all((ROOT / name).exists() for name in names)
