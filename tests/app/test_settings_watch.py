"""[[dns.watch]]: what is refused before a node starts, and with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.app.drill.processes import Setting, toml_text
from skerry.app.settings.checks.watch import policy_of
from skerry.app.settings.errors import SettingsError
from skerry.app.settings.load import load
from skerry.app.trust.signing_keys import Kind, make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "anna.key", Kind.ED25519, b"")
    make(tmp_path / "ben.key", Kind.ECDSA, b"")
    return tmp_path


def watched(**changes: Setting) -> dict[str, Setting]:
    keys = [{"file": f"{name}.pub", "owner": name} for name in ("anna", "ben")]
    return {"domain": "example.org", "state_file": "state.json", "key": keys, **changes}


def loaded(folder: Path, *watches: dict[str, Setting], **dns: Setting) -> object:
    file = folder / "skerry.toml"
    file.write_text(toml_text({"dns": {**dns, "watch": list(watches)}}))
    return load(file, {}, {})


def test_a_watch_is_taken_though_its_state_is_not_there_yet(folder: Path) -> None:
    settings = loaded(folder, watched(threshold=2))
    (watch,) = settings.dns.watch  # type: ignore[attr-defined]
    assert watch.state_file == str(folder / "state.json")
    assert {key.owner for key in policy_of(watch).keys} == {"anna", "ben"}


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"domain": "Example.org"}, r"dns\.watch\[0\]\.domain"),
        ({"domain": "org"}, r"dns\.watch\[0\]\.domain"),
        ({"threshold": 3}, r"dns\.watch\[0\]"),
        ({"threshold": 0}, r"dns\.watch\[0\]"),
        ({"key": [{"file": "none.pub", "owner": "anna"}]}, r"dns\.watch\[0\]\.key\[0\]\.file"),
        ({"key": [{"file": "skerry.toml", "owner": "anna"}]}, r"dns\.watch\[0\]\.key\[0\]\.file"),
        ({"parents": ["ns.example"]}, r"dns\.watch\[0\]\.parents\[0\]"),
        ({"servers": ["tls://192.0.2.1"]}, r"dns\.watch\[0\]\.servers\[0\]"),
        ({"rdap": "http://rdap.example/"}, r"dns\.watch\[0\]\.rdap"),
    ],
)
def test_a_watch_that_cannot_work_is_refused(
    folder: Path, changes: dict[str, Setting], where: str
) -> None:
    with pytest.raises(SettingsError, match=where):
        loaded(folder, watched(**changes))


def test_a_domain_watched_twice_and_intervals_out_of_bounds_are_refused(folder: Path) -> None:
    with pytest.raises(SettingsError, match="twice"):
        loaded(folder, watched(), watched())
    with pytest.raises(SettingsError, match=r"dns\.watch_every"):
        loaded(folder, watched(), watch_every="2m")
    with pytest.raises(SettingsError, match=r"dns\.registrar_every"):
        loaded(folder, watched(), registrar_every="1m")
