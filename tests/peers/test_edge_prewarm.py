"""`skerry prewarm` against a real node: what it brings is there when the origin is not."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from skerry.cli.main import make_app
from tests.rig.pages import Visitor
from tests.rig.processes import Rig
from tests.rig.shelf import MIB, Stream, edge, shelf

FILM = Stream(20 * MIB + 77, seed=11)


def prewarm(visitor: Visitor, *arguments: str) -> Result:
    config = str(visitor.node.config)
    return CliRunner().invoke(make_app(), ["prewarm", *arguments, "--config", config])


def test_a_list_is_here_when_the_origin_is_gone(rig: Rig, tmp_path: Path) -> None:
    origin = shelf(rig)
    visitor = edge(rig, origin.url)
    origin.put("/film", FILM)
    origin.put("/page", b"page" * 100)
    urls = tmp_path / "urls"
    urls.write_text(f"{visitor.url}/film\n{visitor.url}/page\nhttp://127.0.0.1:1/x\n")
    assert visitor.curl("/film", "-r", f"0-{3 * MIB - 1}").status == 206
    done = prewarm(visitor, str(urls), "--price-per-gb", "0.10")
    assert done.exit_code == 0, done.output
    assert "refused" in done.stdout
    assert origin.sent_bytes("/film") == FILM.size_bytes
    assert prewarm(visitor, str(urls), "--plan").stdout.count("here  ") == 2
    visitor.node.wait_until_stored()
    rig.run(origin.server.close())
    visitor.node.restart()
    seen = visitor.curl("/film")
    assert (seen.status, seen.body) == (200, FILM.read(0, FILM.size_bytes))
    assert "hit" in visitor.curl("/page").cache


def test_a_manifest_and_a_cap(rig: Rig) -> None:
    origin = shelf(rig)
    visitor = edge(rig, origin.url)
    origin.put("/films/a", FILM)
    origin.put("/films/thumb", b"t" * 5000)
    objects = [{"url": "a"}, {"url": "/films/thumb", "weight": 2}]
    origin.put("/films/m.json", json.dumps({"objects": objects}).encode())
    url = f"{visitor.url}/films/m.json"
    done = prewarm(visitor, "--manifest", url, "--bytes-max", "10MiB", "--json")
    assert done.exit_code == 0, done.output
    events = json.loads(done.stdout)["events"]
    verdicts = [(each["url"], each["verdict"]) for each in events if each["step"] == "item"]
    folder = f"{visitor.url}/films"
    assert verdicts == [(f"{folder}/thumb", "fetch"), (f"{folder}/a", "beyond")]
    assert origin.sent_bytes("/films/a") == 0
    assert origin.sent_bytes("/films/thumb") == 5000
