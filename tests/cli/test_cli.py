"""The commands, run in-process and against a real admin door over a socket."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from skerry import __version__
from skerry.app.admin.access import Access
from skerry.app.admin.door import AdminDoor
from skerry.app.admin.replies import json_answer
from skerry.base.clock import ManualClock
from skerry.cli.main import make_app
from skerry.dashboard.overview import look
from skerry.telemetry.metrics import Registry
from skerry.wire.message import Answer, Headers, Request
from tests.app.edge_twin import Twin
from tests.app.operations_twin import DIGEST, RememberingOperations
from tests.dashboard.scene import NOW, full_facts

TOKEN = "s" * 43


class Served:
    """An AdminDoor behind the standard library's server: another server than the node's own."""

    def __init__(self) -> None:
        self.operations = RememberingOperations()
        self.edge = Twin()
        door = AdminDoor(
            self.operations,
            metrics=Registry(),
            access=Access(TOKEN),
            not_ready=lambda: "",
            edge=self.edge.desk,
            more=({"/api/v1/overview": {"GET": self._overview}},),
        )
        self.door = door

        class Relay(BaseHTTPRequestHandler):
            def relay(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, _, query = self.path.partition("?")

                async def body() -> object:
                    yield data

                async def exchange() -> tuple[Answer, bytes]:
                    request = Request(
                        self.command, path, Headers(self.headers.items()), query, body=body()
                    )
                    answer = await door(request)
                    if isinstance(answer.body, bytes):
                        return answer, answer.body
                    return answer, b"".join([chunk async for chunk in answer.body])

                answer, text = asyncio.run(exchange())
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = relay

            def log_message(self, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    async def _overview(self, request: Request) -> Answer:
        """What the pages would say: the door is without them here."""
        facts = replace(full_facts(ManualClock(NOW)), stands=await self.door.status())
        return json_answer(await look(facts))


@contextmanager
def serving() -> Iterator[Served]:
    served = Served()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        served.server.shutdown()
        thread.join()
        served.server.server_close()


@pytest.fixture
def node() -> Iterator[Served]:
    with serving() as served:
        yield served


def run(*args: str, node: Served | None = None, **env: str) -> Result:
    base = {"SKERRY_ADMIN": node.url, "SKERRY_ADMIN_TOKEN": TOKEN} if node else {}
    clear = {"SKERRY_ADMIN": None, "SKERRY_ADMIN_TOKEN": None, "SKERRY_CONFIG": None}
    return CliRunner().invoke(make_app(), list(args), env={**clear, **base, **env})


def test_help_lists_every_command_under_its_heading() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for word in ("up", "drill", "status", "warm", "import", "evict", "clients", "Exit codes"):
        assert word in result.stdout


def test_the_version_comes_as_text_and_as_json() -> None:
    assert run("version").stdout == f"skerry {__version__}\n"
    assert json.loads(run("version", "--json").stdout)["skerry"] == __version__


def test_ls_tells_whole_from_half_images(node: Served) -> None:
    result = run("ls", node=node)
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()[1:]
    assert first.split()[:2] == ["docker.io/library/nginx:1.27", "aaaaaaaaaaaa"]
    assert "whole" in first
    assert "stale" in first
    assert "half: 1 layer (5.0 MiB) missing" in second
    assert "nginx" not in run("ls", "--missing", node=node).stdout


def test_every_command_prints_one_json_document_and_nothing_else(node: Served) -> None:
    commands: list[tuple[str, ...]] = [
        ("status",), ("events",), ("ls",), ("warm", "nginx"), ("pin", "nginx"),
        ("unpin", "nginx"), ("rm", "nginx"), ("export", "nginx", "x"), ("import", "x"),
        ("scrub",), ("evict",), ("version",), ("config", "show"), ("config", "check"),
        ("clients", "podman"), ("purge", "--key", "k"), ("receipt", "list"), ("receipt", "key"),
    ]  # fmt: skip
    for command in commands:
        result = run(*command, "--json", node=node)
        assert result.exit_code == 0, (command, result.output)
        json.loads(result.stdout)


def test_warm_says_what_became_of_each_image_and_fails_when_one_did(node: Served) -> None:
    result = run("warm", "nginx", "bad", "--platform", "linux/arm64", "--bytes-max", "1KiB",
                 node=node)  # fmt: skip
    assert result.exit_code == 1
    assert result.stdout == "nginx: whole, 10 B fetched\n"
    assert "bad: wrong digest" in result.stderr
    assert node.operations.asked == [("warm", ("nginx", "bad"), ("linux/arm64",), False, 1024)]


def test_warm_as_json_counts_what_was_fetched(node: Served) -> None:
    found = json.loads(run("warm", "nginx", "bad", "--json", node=node).stdout)
    assert found["fetched_bytes"] == 15
    assert [image["ok"] for image in found["images"]] == [True, False]


def test_an_error_in_mid_stream_is_an_error_of_the_command(node: Served) -> None:
    result = run("warm", "cut", "--json", node=node)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["what"] == "the link died"
    assert "the link died" in result.stderr


def test_scrub_reports_what_was_wrong_and_healed(node: Served) -> None:
    result = run("scrub", node=node)
    assert result.exit_code == 0
    assert "1 were wrong, 1 healed, 0 lost" in result.stdout
    assert f"{DIGEST}: corrupt" in result.stderr


def test_the_small_commands_send_what_was_typed(node: Served, tmp_path: Path) -> None:
    for command in (
        ("pin", "a.io/b:1"),
        ("unpin", "a.io/b:1"),
        ("rm", "a.io/b@" + DIGEST),
        ("evict", "--bytes", "2KiB"),
        ("evict", "--image", "nginx"),
        ("export", "nginx", str(tmp_path / "o")),
        ("import", str(tmp_path / "o"), "--as", "local/x:1"),
    ):
        result = run(*command, node=node)
        assert result.exit_code == 0, result.output
    assert node.operations.asked == [
        ("pin", "a.io/b:1"),
        ("unpin", "a.io/b:1"),
        ("remove", "a.io/b@" + DIGEST),
        ("evict", 2048, None),
        ("evict", None, "nginx"),
        ("export", "nginx", str(tmp_path / "o")),
        ("import", str(tmp_path / "o"), "local/x:1"),
    ]


def test_a_relative_path_is_made_whole_before_the_node_sees_it(node: Served) -> None:
    run("export", "nginx", "out", node=node)
    assert node.operations.asked == [("export", "nginx", str(Path.cwd() / "out"))]


def test_status_says_what_the_first_screen_says_from_the_same_numbers(node: Served) -> None:
    status = run("status", node=node).stdout
    for told in (
        "upstream  No: No registry can be reached",
        "service   Yes, but: docker.io cannot be reached",
        "alone     2h00m: Then ends: tls certificate www.example.org",
        "cost      1.23 EUR so far: At the month's end 2.50 EUR (2.00 EUR to 3.00 EUR)",
        "Held back by the budget: stop prefetch; Until 2023-12-01 00:00:00 UTC, or until",
        "answered  images: 70.0 % of 1000 requests",
        "answered  public: 33.3 % of 9 requests, 33.3 % of bytes, 1 stale, 0 joined",
        "needs you",
    ):
        assert told in status, told
    told = json.loads(run("status", "--json", node=node).stdout)
    seen = json.loads(run("top", "--json", node=node).stdout)
    assert {name: told[name] for name in ("tiles", "needs", "at")} == {
        name: seen[name] for name in ("tiles", "needs", "at")
    }
    assert {name: told[name] for name in seen["status"]} == seen["status"]


def test_status_and_events_are_readable(node: Served) -> None:
    status = run("status", node=node)
    assert "cut off" in status.stdout
    assert "docker.io via origin: breaker open after dns" in status.stdout
    assert "www.example.org via 10.0.0.9: breaker open after refused" in status.stdout
    assert "docker.io cannot be reached" in status.stderr
    assert "tag.moved x: y; z" in run("events", "--since", "15m", node=node).stdout


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("rm", "gone"), 1),
        (("pin", "../x"), 2),
        (("evict", "--bytes", "lots"), 2),
        (("ls", "--nonsense"), 2),
        (("warm",), 2),
        (("clients", "podman", "--write", "--remove"), 2),
    ],
)
def test_failures_end_with_the_documented_code(
    node: Served, command: tuple[str, ...], code: int
) -> None:
    result = run(*command, node=node)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr


def test_a_wrong_token_is_wrong_input(node: Served) -> None:
    result = run("ls", node=node, SKERRY_ADMIN_TOKEN="x" * 43)
    assert result.exit_code == 2
    assert "admin.token" in result.stderr


def test_no_node_there_is_code_3_and_names_the_address_and_the_way_out() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        result = run("ls", "--node", url, SKERRY_ADMIN_TOKEN=TOKEN)
    assert result.exit_code == 3
    assert url in result.stderr
    assert "skerry up" in result.stderr


def test_the_token_of_this_machine_is_not_sent_to_another(tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_text(TOKEN)
    (tmp_path / "admin.token").chmod(0o600)
    result = run("ls", "--node", "http://192.0.2.1:9090", "--data-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "another machine" in result.stderr


def test_the_token_is_found_in_the_data_directory(node: Served, tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_text(TOKEN + "\n")
    (tmp_path / "admin.token").chmod(0o600)
    result = run("ls", "--node", node.url, "--data-dir", str(tmp_path))
    assert result.exit_code == 0, result.output


def test_a_taken_port_is_one_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("up", "--registry", address, "--admin", "127.0.0.1:0")
    assert result.exit_code == 1, "the port may be free soon: a supervisor tries again"
    assert f"doors.registry = {address}: the port is taken" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_bad_setting_stops_up_before_anything_is_touched(tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = run("up", "--data-dir", str(data), "--set", "store.budget=lots")
    assert result.exit_code == 2
    assert "store.budget" in result.stderr
    assert not data.exists()


def test_text_of_others_cannot_style_or_move_the_terminal(node: Served) -> None:
    result = run("pin", "nginx[red]x", node=node)
    assert "[red]x" in result.stderr
    result = run("pin", "\x1b[2Jx", node=node)
    assert "\x1b" not in result.stderr


def test_clients_print_and_write_what_the_settings_say(tmp_path: Path) -> None:
    printed = run("clients", "containerd", "--address", "node1:5000")
    assert '[host."http://node1:5000"]' in printed.stdout
    written = run("clients", "podman", "--write", "--root", str(tmp_path))
    assert written.exit_code == 0
    path = tmp_path / "etc/containers/registries.conf.d/50-skerry.conf"
    assert 'location = "127.0.0.1:5000/docker.io"' in path.read_text()
    again = run("clients", "podman", "--write", "--root", str(tmp_path))
    assert again.stdout.startswith("unchanged")
