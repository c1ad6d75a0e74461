"""Connections must not take the descriptors the node needs for its own files."""

from __future__ import annotations

import subprocess
import sys

import pytest

from skerry.app.doors.descriptors import OWN, PER_CONNECTION, door_limits

ASK = """
import resource
from skerry.app.doors.descriptors import raise_limit
print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize("descriptors", [300, 1024, 4096, 20_000, 1 << 20])
def test_a_full_door_leaves_the_node_its_own(descriptors: int) -> None:
    limits = door_limits(descriptors)
    assert limits.connections_max * PER_CONNECTION <= max(descriptors - OWN, 64)
    assert limits.client_connections_max <= limits.connections_max


@pytest.mark.parametrize(("soft", "hard", "found"), [(256, 800, 800), (512, 512, 512)])
def test_the_soft_limit_is_raised_to_the_hard_one(soft: int, hard: int, found: int) -> None:
    shell = f"ulimit -Sn {soft}; ulimit -Hn {hard}; exec {sys.executable} -c '{ASK}'"
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(found), str(found)]
