"""What another user of the same machine may see of a node: nothing of its images."""

from __future__ import annotations

import stat
from pathlib import Path

from skerry.adapters.disk_store import DiskStore
from skerry.app.admin.access import ensure_token
from skerry.base.clock import SystemClock


def others(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO


async def test_a_data_directory_the_node_makes_is_closed_to_others(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "made" / "data", clock=SystemClock())
    assert others(tmp_path / "made" / "data") == 0
    await store.close()


def test_the_token_is_its_owners_alone(tmp_path: Path) -> None:
    ensure_token(tmp_path / "data")
    assert others(tmp_path / "data") == 0
    assert stat.S_IMODE((tmp_path / "data" / "admin.token").stat().st_mode) == 0o600
