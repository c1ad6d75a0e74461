"""A settings file for this machine, made of what is found on it.

Owns the looking and the text. Asks nobody, sends nothing: files are read, a socket is pointed at an
address without a packet. What it writes is taken by a node as it is.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry.app.clients.configuration import CERTS_DIR, DOCKER_FILE
from skerry.app.settings.load import Machine, default_data_dir
from skerry.app.settings.render import write_size
from skerry.base.errors import Party, SkerryError
from skerry.base.units import format_bytes

GIB = 2**30
CLIENTS: Mapping[str, tuple[str, ...]] = {
    "containerd": (CERTS_DIR, "usr/bin/containerd"),
    "podman": ("usr/bin/podman", "etc/containers/registries.conf"),
    "docker": (DOCKER_FILE, "usr/bin/dockerd"),
}
"""Below the root of the file system: one of these, and the client is there."""


class InitFailed(SkerryError):
    """The file is not written."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class Found:
    """What a machine has.

    Attributes:
        address: where others reach it, "" when it has no way out.
        resolvers: the name servers of `/etc/resolv.conf`.
        clients: container clients that are installed.
        free_bytes: of the disk that the data directory will be on.
    """

    name: str
    data_dir: str
    address: str
    resolvers: tuple[str, ...]
    clients: tuple[str, ...]
    disk_bytes: int
    free_bytes: int
    cores: int


def look(env: Mapping[str, str], *, root: Path = Path("/")) -> Found:
    """What is here. `root` is the file system's."""
    machine = Machine.here()
    data_dir = default_data_dir(env, machine)
    usage = shutil.disk_usage(_nearest(data_dir))
    return Found(
        name=machine.host_name,
        data_dir=str(data_dir),
        address=_address(),
        resolvers=_resolvers(root / "etc" / "resolv.conf"),
        clients=tuple(
            name for name, paths in CLIENTS.items() if any((root / path).exists() for path in paths)
        ),
        disk_bytes=usage.total,
        free_bytes=usage.free,
        cores=os.cpu_count() or 1,
    )


def text_of(found: Found) -> str:
    """The settings file: what was found, and why each line is there."""
    budget = max(GIB, found.free_bytes * 8 // 10 // GIB * GIB)
    resolvers = ", ".join(found.resolvers) or "none"
    clients = ", ".join(found.clients) or "none"
    lines = [
        "# Settings of this node, made by `skerry init`. docs/reference/settings.md has them all.",
        f"# Found: {found.cores} cores; {format_bytes(found.free_bytes)} free of "
        f"{format_bytes(found.disk_bytes)}; name servers: {resolvers};",
        f"# container clients: {clients}.",
        "",
        "[node]",
        f'name = "{found.name}"',
        f'data_dir = "{found.data_dir}"',
        "",
        "[doors]",
        "# Only this machine may pull. To let others pull, write the address they know it by:",
        f'# registry = "{found.address or "192.0.2.10"}:5000"',
        'registry = "127.0.0.1:5000"',
        "",
        "[store]",
        "# Four fifths of what is free now.",
        f'budget = "{write_size(budget)}"',
        "",
        "# What things cost, and what a month may cost: docs/operating/budget.md.",
        "# [budget]",
        '# prices_file = "/etc/skerry/prices.toml"',
        '# amount = "120.00"',
        "",
        "# Something whose cost and hit ratio you want to watch: skerry baseline images",
        "[[budget.workflow]]",
        'name = "images"',
        'repositories = ["*"]',
    ]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str, *, force: bool) -> None:
    """Writes it; over another file only with `force`. Raises InitFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InitFailed(
            f"{path} is there already", next_step="name another with --file, or say --force"
        ) from error
    except OSError as error:
        raise InitFailed(
            f"{path} cannot be written: {error.strerror}",
            next_step="name another with --file, or run it as root",
        ) from error


def _nearest(path: Path) -> Path:
    """The folder that is there, of a path that may not be."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _address() -> str:
    """The address that packets to the outside would leave from; none is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nobody's
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _resolvers(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    words = [line.split() for line in lines]
    return tuple(each[1] for each in words if len(each) > 1 and each[0] == "nameserver")[:3]
