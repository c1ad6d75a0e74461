"""Firmware under test: a signed SWUpdate image made here, `swupdate` as the device, and its server.

Owns the image's form (cpio with checksums, CMS signature), the device's command lines and the
answers of a deployment server (hawkBit's DDI). Everything stays in the rig's folders: the device
runs dry, and gets a temporary folder of its own for its sockets.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from skerry.app.drill.processes import Child
from tests.rig.http import Asked, Reply
from tests.rig.processes import Rig, need

BASE = "/default/controller/v1/"
IMAGE = "/files/firmware.swu"


class Firmware:
    """One image, and the key that a device trusts."""

    def __init__(self, rig: Rig, payload: bytes) -> None:
        self.folder = rig.place("firmware")
        self.certificate, key = self.folder / "cert.pem", self.folder / "key.pem"
        argv = [need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        argv += ["-subj", "/CN=tide", "-keyout", str(key), "-out", str(self.certificate)]
        argv += ["-addext", "extendedKeyUsage=emailProtection"]
        argv += ["-addext", "keyUsage=digitalSignature"]
        subprocess.run(argv, check=True, capture_output=True)
        description = self.folder / "sw-description"
        description.write_text(
            'software = { version = "1.0.1"; hardware-compatibility: [ "1.0" ];\n'
            f'  files: ( {{ filename = "payload"; path = "{self.folder}/installed";\n'
            f'    sha256 = "{hashlib.sha256(payload).hexdigest()}"; }} ); }};\n'
        )
        signature = self.folder / "signature"
        argv = [need("openssl"), "cms", "-sign", "-in", str(description), "-out", str(signature)]
        argv += ["-signer", str(self.certificate), "-inkey", str(key), "-outform", "DER"]
        subprocess.run([*argv, "-nosmimecap", "-binary"], check=True, capture_output=True)
        files = {
            "sw-description": description.read_bytes(),
            "sw-description.sig": signature.read_bytes(),
            "payload": payload,
            "TRAILER!!!": b"",
        }
        self.data = b"".join(
            _entry(name, data, at) for at, (name, data) in enumerate(files.items())
        )


class Deployments:
    """The server that devices poll: each device has one deployment, until it says how it went.

    `said` has what each device has reported, by its name.
    """

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self.said: dict[str, list[str]] = {}

    async def answer(self, asked: Asked) -> Reply | None:
        if not asked.path.startswith(BASE):
            return None
        device, _, rest = asked.path.removeprefix(BASE).partition("/")
        here = f"http://{asked.value('Host')}{BASE}{device}"
        if asked.method in ("POST", "PUT"):
            if rest.endswith("feedback"):
                status = json.loads(asked.body)["status"]
                finished = f"{status['execution']} {status['result']['finished']}"
                self.said.setdefault(device, []).append(finished)
            return _private({})
        if rest.startswith("deploymentBase"):
            return _private(self._deployment(asked.value("Host")))
        links = {"deploymentBase": {"href": f"{here}/deploymentBase/1"}}
        if "closed success" in self.said.get(device, []):
            links = {}
        return _private({"config": {"polling": {"sleep": "00:00:01"}}, "_links": links})

    def _deployment(self, host: str) -> dict[str, object]:
        data = self._firmware.data
        artifact = {
            "filename": "firmware.swu",
            "hashes": {"sha1": hashlib.sha1(data, usedforsecurity=False).hexdigest()},
            "size": len(data),
            "_links": {"download-http": {"href": f"http://{host}{IMAGE}"}},
        }
        chunk = {"part": "os", "version": "1.0.1", "name": "firmware", "artifacts": [artifact]}
        deployment = {"download": "forced", "update": "forced", "chunks": [chunk]}
        return {"id": "1", "deployment": deployment}


def device(rig: Rig, firmware: Firmware, *options: str) -> tuple[Child, Path]:
    """A running `swupdate` and where it puts the stream that it gets."""
    folder = rig.place("device")
    stream = folder / "stream"
    argv = ["env", f"TMPDIR={folder}", need("swupdate"), "-v", "-n", "-k",
            str(firmware.certificate), "-H", "tide:1.0", "-o", str(stream), *options]  # fmt: skip
    return rig.child(argv, folder), stream


def _private(value: object) -> Reply:
    fields = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Reply(200, fields, json.dumps(value).encode())


def _entry(name: str, data: bytes, number: int) -> bytes:
    """One file of a cpio archive in the form `crc`: its check is the sum of its bytes."""
    numbers = (number, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, sum(data))
    head = "070702" + "".join(f"{value & 0xFFFFFFFF:08X}" for value in numbers)
    framed = head.encode() + name.encode() + b"\0"
    return framed + b"\0" * (-len(framed) % 4) + data + b"\0" * (-len(data) % 4)
