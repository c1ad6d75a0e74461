"""A node's vault is dialled by the guard, and by nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from skerry.adapters.obstore_vault import ObstoreVault, Place, open_vault
from skerry.app.drill.processes import toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from skerry.app.vault import room
from skerry.cdn.vault.ports import VaultUnavailable
from skerry.telemetry.validation import Cause
from tests.rig.hostile import Trap
from tests.rig.http import Asked, Reply, TinyServer


async def test_t05_what_a_vaults_store_redirects_to_is_refused_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[ObstoreVault] = []

    def opening(place: Place) -> ObstoreVault:
        opened.append(open_vault(place))
        return opened[-1]

    async def astray(asked: Asked, _: asyncio.StreamWriter) -> Reply:
        return Reply(307, (("Location", f"http://127.0.0.1:{trap.port}/latest"),))

    monkeypatch.setattr(room, "open_vault", opening)
    trap, store = Trap(), TinyServer(astray)
    await trap.start()
    await store.start()
    keys = tmp_path / "keys"
    keys.write_text('access_key_id = "a"\nsecret_access_key = "b"\n')
    doors = dict.fromkeys(("registry", "admin", "edge"), "127.0.0.1:0")
    config = tmp_path / "skerry.toml"
    config.write_text(
        toml_text({
            "node": {"name": "rock", "data_dir": str(tmp_path / "data")},
            "doors": doors,
            "site": [{"hosts": ["a.example"], "origins": ["https://origin.example"]}],
            "vault": {
                "url": "s3://bucket",
                "endpoint": store.url,
                "plain_http": True,
                "credentials_file": str(keys),
            },
        })
    )  # fmt: skip
    node = Node(load(config, {}, {}))
    await node.start()
    before = len(store.log.asked)
    with pytest.raises(VaultUnavailable):
        await opened[0].head("one")
    assert len(store.log.asked) == before + 1
    assert node.failures.statistics()[Cause.ADDRESS_REFUSED] >= 1
    assert trap.caught == 0
    await node.stop()
    await store.close()
    await trap.close()
