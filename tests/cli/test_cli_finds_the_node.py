"""Which node a command asks, also while its settings are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.app.settings.errors import SettingsError
from skerry.cli.admin_client import find_node

BROKEN_PAIR = """
[doors]
admin = "127.0.0.1:19191"
edge_tls = "127.0.0.1:0"
[[site]]
hosts = ["www.example.org"]
origins = ["https://10.0.0.9"]
cert_file = "gone.pem"
key_file = "gone.key"
"""


def written(folder: Path, text: str) -> Path:
    (folder / "admin.token").write_text("t" * 43 + "\n")
    (folder / "admin.token").chmod(0o600)
    file = folder / "skerry.toml"
    file.write_text(text)
    return file


def test_a_broken_certificate_does_not_keep_anybody_from_asking_the_node(tmp_path: Path) -> None:
    found = find_node(None, written(tmp_path, BROKEN_PAIR), tmp_path, {})
    assert (found.url, found.token) == ("http://127.0.0.1:19191", "t" * 43)


def test_a_wrong_admin_door_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, BROKEN_PAIR.replace("127.0.0.1:19191", "nowhere"))
    with pytest.raises(SettingsError, match=r"doors\.admin"):
        find_node(None, file, tmp_path, {})
