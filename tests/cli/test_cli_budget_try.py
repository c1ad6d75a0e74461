"""`skerry budget try`: files alone, and an exit code that a CI job can stand on."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from skerry.app.settings import load
from skerry.budget.core.usage import Amounts, Dimension, Hour, Meter
from skerry.budget.ports import LedgerStatistics
from skerry.budget.recorded import VERSION, LedgerHours, rows_of
from skerry.cli.main import make_app

START = 1_767_225_600  # 2026-01-01T00:00:00Z
PRICE = """[[price]]
meter = "egress"
price = "{}"
currency = "{}"
unit = "GB"
period = "use"
valid_from = {}
"""
SETTINGS = """[budget]
prices_file = "{}"
amount = "30.00"
shed_low = 0.95

[[budget.tenant]]
name = "clinic"
amount = "10.00"
"""


class Desk:
    """A repository with a day's usage, two sheets and a budget, where no node is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.usage = folder / "usage.json"
        self.prices = folder / "prices.toml"
        self.dearer = folder / "dearer.toml"
        self.prices.write_text(PRICE.format("1.00", "EUR", "2026-01-01"))
        self.dearer.write_text(PRICE.format("1.50", "EUR", "2026-01-01"))
        gigabyte = Amounts.of({Meter.EGRESS_BYTES: 10**9})
        owners = (Dimension("clinic"), Dimension("shop"))
        self.write([Hour(START + at * 3600, who, gigabyte) for at in range(12) for who in owners])

    def write(self, rows: list[Hour], **other: object) -> None:
        said = LedgerHours(
            VERSION, "rock", START + 12 * 3600, "EUR", (), LedgerStatistics(0, 0, "", 0, 0),
            rows_of(rows),
        )  # fmt: skip
        document = json.loads(msgspec.json.encode(said)) | other
        self.usage.write_text(json.dumps(document))

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> Result:
        everything = ["budget", "try", str(self.usage), *words]
        return CliRunner().invoke(make_app(), everything, env=dict(env or {}))

    def json(self, *words: str, code: int = 0) -> dict[str, object]:
        done = self.run(*words, "--json")
        assert done.exit_code == code, done.output
        found: dict[str, object] = json.loads(done.stdout)
        return found


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("it asked the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.delenv("SKERRY_CONFIG", raising=False)
    monkeypatch.setattr(load, "SYSTEM_FILE", tmp_path / "of-no-node.toml")
    return Desk(tmp_path)


def test_it_tells_what_it_would_have_cost_and_the_difference(desk: Desk) -> None:
    done = desk.run("--prices", str(desk.dearer), "--against", str(desk.prices))
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    assert "rock 2026-01-01T00:00:00Z to 2026-01-01T12:00:00Z" in text
    assert "would have cost 36.0000 EUR" in text
    assert "by the other sheet 24.0000 EUR: a difference of 12.0000 EUR" in text
    assert "clinic 18.0000 EUR 12.0000 EUR 6.0000 EUR" in text
    assert "egress 36.0000 EUR 24.0000 EUR 12.0000 EUR" in text


def test_a_settings_file_gives_the_budget_and_the_exit_code_says_what_is_allowed(
    desk: Desk,
) -> None:
    config = desk.folder / "skerry.toml"
    config.write_text(SETTINGS.format(desk.prices))
    given = ("--config", str(config))
    found = desk.json(*given, "--at-most", "cached_only")
    assert [(each["scope"], each["rung"]) for each in found["courses"]] == [  # type: ignore[attr-defined]
        ("node", "no_warming"),
        ("clinic", "cached_only"),
    ]
    stays = {(each["scope"], each["rung"]): each for each in found["stays"]}  # type: ignore[attr-defined]
    assert stays["node", "notice"]["entered_at"] == START + 7 * 3600
    assert stays["clinic", "cached_only"]["entered_at"] == START + 9 * 3600
    found = desk.json(*given, "--at-most", "shed_low", code=1)
    assert found["broken"] == [
        "clinic enters cached_only in 2026-01, and shed_low is the highest that is allowed"
    ]
    done = desk.run(*given, "--at-most", "shed_low")
    assert done.exit_code == 1
    text = " ".join(done.stdout.split())
    assert "cached_only clinic 2026-01-01T09:00:00Z not by the end" in text
    assert "note: usage is taken as it was" in text
    assert "not allowed: clinic enters cached_only" in done.stderr


def test_a_budget_may_come_from_options_and_money_has_its_own_term(desk: Desk) -> None:
    given = ("--prices", str(desk.prices), "--set", "budget.amount=48.00")
    assert desk.run(*given, "--at-most", "notice", "--cost-max", "24.00").exit_code == 0
    assert desk.run(*given, "--at-most", "none").exit_code == 1
    assert desk.run(*given, "--cost-max", "23.99").exit_code == 1
    assert desk.run(*given, "--set", "budget.notice=0.6", "--at-most", "none").exit_code == 0


def test_keys_and_certificates_that_are_elsewhere_are_not_missed(desk: Desk) -> None:
    config = desk.folder / "skerry.toml"
    text = f'[budget]\nprices_file = "{desk.prices}"\namount = "30.00"\n'
    config.write_text(text + '[doors]\ncert_file = "/nowhere/a.pem"\nkey_file = "/nowhere/k"\n')
    assert desk.run("--config", str(config)).exit_code == 0
    config.write_text(text.replace("30.00", "much"))
    done = desk.run("--config", str(config))
    assert done.exit_code == 2
    assert 'budget.amount = "much"' in done.stderr


@pytest.mark.parametrize(
    ("words", "why", "step"),
    [
        ((), "no price sheet to try", "--prices prices.toml"),
        (("--prices", "{}/none.toml"), "none.toml cannot be read: no such file", "another file"),
        (("--prices", "{}/usage.json"), "usage.json is not TOML", "correct that line"),
        (("--prices", "{}/bad.toml"), "bad.toml line 4: price[0].currency 'EURO'", "ISO 4217"),
        (("--prices", "{}/prices.toml", "--against", "{}/usd.toml"), "are in EUR and USD", "one"),
        (("--prices", "{}/usd.toml", "--cost-max", "1"), "are meant in EUR", "--currency"),
        (("--prices", "{}/prices.toml", "--at-most", "shed"), "'shed' is no rung", "shed_low"),
        (("--prices", "{}/prices.toml", "--at-most", "none"), "there is no budget", "amount"),
        (("--prices", "{}/prices.toml", "--as-of", "May"), "'May' is no day", "2027-01-01"),
        (("--prices", "{}/prices.toml", "--as-of", "2020-01-01"), "no price of", "--as-of"),
        (("--prices", "{}/prices.toml", "--cost-max", "1,5"), "not an amount of money", "0.08"),
        (("--prices", "{}/prices.toml", "--set", "budget.period=week"), "is no period", "month"),
    ],
)  # fmt: skip
def test_what_cannot_be_tried_is_said_once_with_the_next_step(
    desk: Desk, words: tuple[str, ...], why: str, step: str
) -> None:
    (desk.folder / "bad.toml").write_text(PRICE.format("1", "EURO", "2026-01-01"))
    (desk.folder / "usd.toml").write_text(PRICE.format("1", "USD", "2026-01-01"))
    done = desk.run(*(word.format(desk.folder) for word in words))
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    said = " ".join(done.stderr.split())
    assert why in said
    assert step in said


ROW = {
    "start": START, "tenant": "a", "site": "", "route": "", "upstream": "", "data_class": "",
    "workflow": "", "used": {"egress_bytes": 1},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"version": 2}, "usage of form 2, and this program reads 1"),
        ({"version": None}, "is no recorded usage"),
        ({"hours": []}, "holds no hour in which anything was used"),
        ({"hours": [ROW, {**ROW, "used": {"leases": 3}}]}, "hours[1].used counts 'leases'"),
        ({"hours": [ROW, ROW]}, "hours[1] is there twice"),
        ({"hours": [{**ROW, "start": START + 60}]}, "hours[0].start is no full hour"),
        ({"hours": [{**ROW, "used": {"pulls": -1}}]}, "used is less than nothing"),
        ({"hours": [{**ROW, "start": 1 << 60}]}, "hours[0].start is no full hour"),
        (
            {"held": [{"scope": "node", "period": "2026-01", "rung": "all"}]},
            "rung is 'all', which is no rung",
        ),
    ],
)
def test_usage_that_cannot_be_read_is_refused(
    desk: Desk, changed: Mapping[str, object], why: str
) -> None:
    desk.write([], hours=[ROW])
    assert desk.run("--prices", str(desk.prices)).exit_code == 0
    desk.write([], **{"hours": [ROW], **changed})
    done = desk.run("--prices", str(desk.prices), "--json")
    assert done.exit_code == 2, done.output
    assert why in json.loads(done.stdout)["error"]["what"]
    assert json.loads(done.stdout)["error"]["next_step"]


@pytest.mark.parametrize("text", ["", "BilledCost,Tags\r\n1,2\r\n", "[]", '{"hours": []}', "\xff"])
def test_another_file_than_usage_is_refused(desk: Desk, text: str) -> None:
    desk.usage.write_text(text, encoding="latin-1")
    done = desk.run("--prices", str(desk.prices))
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert "skerry ledger export --format usage" in " ".join(done.stderr.split())
