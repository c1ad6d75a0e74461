"""Devices that poll for firmware: the real `swupdate`, as hawkBit's client and as a downloader."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

import pytest

from skerry.app.drill import wan as link
from skerry.app.drill.processes import Child
from tests.rig.firmware import BASE, IMAGE, Deployments, Firmware, device
from tests.rig.pages import HOST, Visitor
from tests.rig.processes import Rig
from tests.rig.shelf import MIB, Shelf, edge, shelf

ROUTES = (
    {"methods": ["GET", "HEAD", "POST", "PUT"]},
    {"prefix": "/files/", "data_class": "public", "stale_if_error": "30d"},
)


@pytest.fixture
def firmware(rig: Rig) -> Firmware:
    return Firmware(rig, Random(71).randbytes(9 * MIB + 3))


def stand(rig: Rig, firmware: Firmware) -> tuple[Shelf, Deployments, Visitor]:
    server = Deployments(firmware)
    origin = shelf(rig, server.answer)
    origin.put(IMAGE, firmware.data)
    return origin, server, edge(rig, origin.url, *ROUTES, hosts=[HOST, "127.0.0.1"])


def is_updated(server: Deployments, name: str, stream: Path, firmware: Firmware) -> bool:
    """Whether a device has the image and has said something of it."""
    whole = stream.exists() and stream.stat().st_size == len(firmware.data)
    return whole and bool(server.said.get(name))


def is_successful(child: Child) -> bool:
    return "SWUPDATE successful" in child.log_tail()


def test_devices_poll_through_and_get_the_image_from_here(rig: Rig, firmware: Firmware) -> None:
    origin, server, visitor = stand(rig, firmware)
    for name in ("buoy-1", "buoy-2"):
        options = f"-t default -i {name} -u http://{visitor.node.edge} -p 1"
        child, stream = device(rig, firmware, "-u", options)
        child.wait_until(partial(is_updated, server, name, stream, firmware), seconds_max=40)
        assert stream.read_bytes() == firmware.data
        child.stop()
    assert origin.sent_bytes(IMAGE) == len(firmware.data)
    polled = {each.path for each in origin.asked if each.path.startswith(BASE)}
    assert {f"{BASE}buoy-1", f"{BASE}buoy-2"} <= polled
    kept = [each for each in (visitor.node.folder / "data").rglob("*") if each.is_file()]
    assert not any(b"buoy-" in each.read_bytes() for each in kept)


def test_a_device_gets_the_image_when_the_server_is_gone(rig: Rig, firmware: Firmware) -> None:
    origin, _, visitor = stand(rig, firmware)
    url = f"http://{visitor.node.edge}{IMAGE}"
    for gone in (False, True):
        if gone:
            visitor.node.wait_until_stored()
            again = visitor.curl(IMAGE, "-H", f"Host: {visitor.node.edge}")
            assert "hit" in again.cache  # the index has it too
            rig.run(origin.server.close())
            visitor.node.restart()
        child, stream = device(rig, firmware, "-d", f"-u {url} -t 5")
        child.wait_until(partial(is_successful, child), seconds_max=40)
        assert stream.read_bytes() == firmware.data
        child.stop()
    poll = visitor.curl(f"{BASE}buoy-1")
    assert poll.status in (502, 503, 504)


def test_a_download_over_a_link_that_breaks_is_resumed(rig: Rig, firmware: Firmware) -> None:
    origin, _, visitor = stand(rig, firmware)
    wan = rig.wan(visitor.node.edge)
    rig.run(wan.switch(link.cut_after(4 * MIB, then_heal=True)))
    url = f"http://127.0.0.1:{wan.port}{IMAGE}"
    child, stream = device(rig, firmware, "-d", f"-u {url} -t 5 -r 5")
    child.wait_until(partial(is_successful, child), seconds_max=60)
    assert stream.read_bytes() == firmware.data
    assert wan.statistics().connections > 1
    assert origin.sent_bytes(IMAGE) == len(firmware.data)
