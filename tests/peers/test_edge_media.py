"""Players before the edge: ffmpeg looks at head, end and 90 % of a film, and little comes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.rig.pages import Visitor
from tests.rig.processes import Rig, need
from tests.rig.shelf import MIB, Shelf, edge, shelf

SECONDS = 240
MPEG4 = ["-c:v", "mpeg4", "-b:v", "1200k"]
VP8 = ["-c:v", "libvpx", "-b:v", "1200k", "-deadline", "realtime", "-cpu-used", "16"]
VP8_SECONDS = 40
"""It takes long to encode: the film is a scene that comes again and again."""
FORMS = ("mp4", "faststart.mp4", "mkv", "webm")


@pytest.fixture(scope="module")
def films(shared: Rig) -> dict[str, Path]:
    """Films of some dozens of MiB, by form."""
    folder = shared.place("films")
    films = {form: folder / f"film.{form}" for form in FORMS}
    scene = folder / "scene.webm"
    _ffmpeg(*_pictures(SECONDS), *MPEG4, str(films["mp4"]))
    # Other boxes around the same pictures.
    again = ["-i", str(films["mp4"]), "-c", "copy"]
    _ffmpeg(*again, "-movflags", "+faststart", str(films["faststart.mp4"]))
    _ffmpeg(*again, str(films["mkv"]))
    _ffmpeg(*_pictures(VP8_SECONDS), *VP8, str(scene))
    loops = SECONDS // VP8_SECONDS - 1
    _ffmpeg("-stream_loop", str(loops), "-i", str(scene), "-c", "copy", str(films["webm"]))
    return films


def _pictures(seconds: int) -> list[str]:
    picture = f"testsrc2=size=320x240:rate=12:duration={seconds},noise=alls=20:allf=t"
    return ["-f", "lavfi", "-i", picture, "-g", "24"]


def _ffmpeg(*arguments: str) -> None:
    argv = [need("ffmpeg"), "-v", "error", *arguments]
    subprocess.run(argv, check=True, timeout=120, capture_output=True)


@pytest.fixture(scope="module")
def stand(shared: Rig, films: dict[str, Path]) -> tuple[Shelf, Visitor]:
    origin = shelf(shared)
    for form, file in films.items():
        origin.put(f"/film.{form}", file.read_bytes())
    route = {"data_class": "public", "slice": "64KiB"}
    return origin, edge(shared, origin.url, route, hosts=["127.0.0.1"])


def frame(source: str, at_seconds: int) -> str:
    """The checksum of one decoded picture."""
    argv = [need("ffmpeg"), "-v", "error", "-ss", str(at_seconds), "-i", source]
    argv += ["-frames:v", "1", "-f", "framemd5", "-"]
    done = subprocess.run(argv, check=True, timeout=60, capture_output=True, text=True)
    return done.stdout.splitlines()[-1].split()[-1]


@pytest.mark.parametrize("form", FORMS)
def test_a_seek_to_nine_tenths_of_a_cold_film_shows_the_right_picture_and_fetches_little(
    stand: tuple[Shelf, Visitor], films: dict[str, Path], form: str
) -> None:
    origin, visitor = stand
    size = films[form].stat().st_size
    assert size > 4 * MIB
    url = f"http://{visitor.node.edge}/film.{form}"
    at = SECONDS * 9 // 10
    assert frame(url, at) == frame(str(films[form]), at)
    # It asks for all from where it looks, and leaves: of what was on its way little is used.
    assert origin.sent_bytes(f"/film.{form}") < size * 2 / 3
    visitor.node.wait_until_stored()
    assert frame(url, at) == frame(str(films[form]), at)
    assert origin.sent_bytes(f"/film.{form}") <= size


def test_the_length_of_a_film_whose_index_is_at_its_end(
    stand: tuple[Shelf, Visitor], films: dict[str, Path]
) -> None:
    origin, visitor = stand
    data = films["mp4"].read_bytes()
    assert data.index(b"moov") > len(data) // 2
    origin.put("/late.mp4", data)
    argv = [need("ffprobe"), "-v", "error", "-show_format", "-of", "json"]
    url = f"http://{visitor.node.edge}/late.mp4"
    done = subprocess.run([*argv, url], check=True, timeout=60, capture_output=True)
    found = json.loads(done.stdout)["format"]
    assert round(float(found["duration"])) == SECONDS
    assert int(found["size"]) == len(data)
    assert origin.sent_bytes("/late.mp4") < len(data) / 2
