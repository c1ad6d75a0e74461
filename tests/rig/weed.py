"""SeaweedFS as the S3 behind a vault: one process, on loopback, in a folder of the test.

Owns its configuration, its identities and when it is believed to be ready: it says 403 long before
it can store.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from skerry.adapters.obstore_vault import ObstoreVault, Place, open_vault
from skerry.app.drill.processes import Child, free_port
from skerry.base.errors import SkerryError
from skerry.cdn.vault.testing import offer
from tests.rig.processes import Rig, need

KEY, SECRET = "AKTESTKEY", "SKTESTSECRET"
LIMITED_KEY, LIMITED_SECRET = "AKLIMITED", "SKLIMITED"
"""May read and write, and make no bucket."""
READY_SECONDS_MAX = 60.0
_PARTS = ("master", "volume", "filer", "s3")


class Weed:
    """One SeaweedFS. It makes a bucket when something is first written to it."""

    def __init__(self, rig: Rig) -> None:
        self.folder = rig.place("weed")
        (self.folder / "data").mkdir()
        limited = ["Read", "Write", "List"]
        whole = ["Admin", *limited, "Tagging"]
        identities = [_identity("whole", KEY, SECRET, whole)]
        identities.append(_identity("limited", LIMITED_KEY, LIMITED_SECRET, limited))
        (self.folder / "s3.json").write_text(json.dumps({"identities": identities}))
        ports = {part: (free_port(), free_port()) for part in _PARTS}
        self.authority = f"127.0.0.1:{ports['s3'][0]}"
        self._argv = [
            need("weed"), "server", f"-dir={self.folder}/data", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=64", "-volume.max=200", "-filer",
            "-s3", f"-s3.config={self.folder}/s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-debug.port={free_port()}",
        ]  # fmt: skip
        for part, (port, grpc) in ports.items():
            self._argv += [f"-{part}.port={port}", f"-{part}.port.grpc={grpc}"]
        self._log = self.folder / "log"
        rig.logs.append(self._log)
        self.start()

    def start(self) -> None:
        """Until it has stored something. Raises NotReady."""
        self.child = Child(self._argv, log=self._log)
        self.child.wait_until(self._stores, seconds_max=READY_SECONDS_MAX)

    def kill(self) -> None:
        self.child.kill()

    def place(self, bucket: str = "vault", prefix: str = "", **more: str) -> Place:
        """Where a vault in it is."""
        key, secret = more.get("key", KEY), more.get("secret", SECRET)
        return Place(
            f"s3://{bucket}/{prefix}",
            endpoint=f"http://{more.get('authority', self.authority)}",
            plain_http=True,
            credentials={"access_key_id": key, "secret_access_key": secret},
        )

    def open(self, bucket: str = "vault", prefix: str = "", **more: str) -> ObstoreVault:
        return open_vault(self.place(bucket, prefix, **more))

    def credentials(self, folder: Path) -> Path:
        """A credentials file as a node reads it."""
        path = folder / "vault-credentials.toml"
        path.write_text(f'access_key_id = "{KEY}"\nsecret_access_key = "{SECRET}"\n')
        path.chmod(0o600)
        return path

    def _stores(self) -> bool:
        async def ask() -> bool:
            try:
                await self.open(prefix="ready").put(offer("probe"), replace=True)
            except SkerryError:
                return False
            return True

        return asyncio.run(ask())


def _identity(name: str, key: str, secret: str, actions: list[str]) -> dict[str, object]:
    credentials = [{"accessKey": key, "secretKey": secret}]
    return {"name": name, "credentials": credentials, "actions": actions}
