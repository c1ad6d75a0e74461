"""What commands say at night: whose token is wrong, that there is nothing, and every unit."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from skerry.cli.main import make_app

HOUR = {"tenant": "node", "site": "", "route": "", "upstream": "up.test", "data_class": "",
        "workflow": "", "used": {"requests": 3}, "micro": 1_230_000}  # fmt: skip
COSTS = {"period": "2026-11", "start": 0, "end": 1, "currency": "EUR", "spent_micro": 1_230_000,
         "tenants": {}, "prices": {}, "lines": [HOUR],
         "warmth": [{"tenant": "node", "what": "up.test", "requests": 3, "missed": 1,
                     "answer_micro": 1600, "cold_micro": 4200, "kept_month_micro": 210_000,
                     "breaks_even": 50}]}  # fmt: skip
LADDER = {"scope": "node", "period": "2026-11", "spent_micro": 1_230_000,
          "amount_micro": 30_000_000, "rung": 0, "name": "none",
          "means": "nothing is held back", "blind": True}  # fmt: skip
BUDGET = {"at": 0.0, "currency": "EUR", "period": "2026-11", "start": 0, "end": 1,
          "spent_micro": 1_230_000, "amount_micro": 30_000_000, "burn": 400_000,
          "forecast": {"low_micro": 2_000_000, "middle_micro": 2_500_000, "high_micro": 3_000_000,
                       "days": 7}, "ladders": [LADDER]}  # fmt: skip
EVENT = {"at": 1_700_000_000.0, "kind": "tag.moved", "subject": "up.test/app:1"}
ALARM = {"id": "1", "kind": "alarm.test", "subject": "rock", "level": "info", "what": "a test",
         "next_step": "", "at": 0.0, "sent": [], "waiting": ["mail"]}  # fmt: skip


@contextmanager
def door(status: int, answers: dict[str, object]) -> Iterator[str]:
    """What a node would answer, by path; its address."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path.partition("?")[0], answers)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(make_app(), list(arguments), env=env)


def said(answers: dict[str, object], *arguments: str) -> str:
    with door(200, answers) as url:
        done = run(*arguments, "--node", url, SKERRY_ADMIN_TOKEN="t" * 43)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_node_that_never_ran_is_not_a_matter_of_rights(tmp_path: Path) -> None:
    done = run("status", "--data-dir", str(tmp_path / "nowhere"))
    assert done.exit_code == 2
    assert "no node has run here" in done.stderr
    assert "skerry up" in done.stderr


REFUSED = {"error": {"party": "client", "what": "the admin token is missing or wrong",
                     "next_step": "send Authorization: Bearer"}}  # fmt: skip


@pytest.mark.parametrize("command", ["status", "top", "events", "costs", "report", "incidents"])
def test_a_token_that_is_not_taken_is_named_by_where_it_came_from(
    tmp_path: Path, command: str
) -> None:
    with door(401, REFUSED) as url:
        of_the_shell = run(command, "--node", url, SKERRY_ADMIN_TOKEN="wrong")
        file = tmp_path / "admin.token"
        file.touch(0o600)
        file.write_text("s" * 43)
        of_the_file = run(command, "--node", url, "--data-dir", str(tmp_path))
    assert "does not take the token from SKERRY_ADMIN_TOKEN" in of_the_shell.stderr
    assert f"does not take the token from {file}" in of_the_file.stderr
    for done in (of_the_shell, of_the_file):
        assert "--data-dir" in done.stderr
        assert "Bearer" not in done.stderr, "that is for programs"
        assert done.exit_code == 2


def test_that_nothing_happened_is_said() -> None:
    assert said({"events": []}, "events", "--since", "2h") == "nothing on record in the last 2h\n"
    assert said({"alarms": []}, "alarms", "ls") == "none on record\n"


def test_a_table_of_the_settings_is_named_in_full() -> None:
    assert "[[dns.watch]]" in said({"domains": []}, "domain", "list")


def test_moments_are_in_utc_and_say_so() -> None:
    assert said({"events": [EVENT]}, "events").startswith("2023-11-14 22:13:20 UTC tag.moved")


def test_an_alarm_that_waits_says_where_the_reason_is() -> None:
    assert "skerry events --kind alarm" in said({"alarms": [ALARM]}, "alarms", "ls")
    sent = {**ALARM, "sent": ["mail"], "waiting": []}
    assert "skerry events" not in said({"alarms": [sent]}, "alarms", "ls")


def test_every_amount_of_money_has_its_currency() -> None:
    text = said({"/api/v1/costs": COSTS, "/api/v1/budget": BUDGET}, "costs")
    for amount in ("1.23 EUR of 30.00 EUR", "at its end 2.50 EUR, between 2.00 EUR and 3.00 EUR",
                   "1.2300 EUR", "0.001600 EUR", "0.004200 EUR", "0.2100 EUR"):  # fmt: skip
        assert amount in text, amount
    assert "cannot be read: see `skerry events`" in text
