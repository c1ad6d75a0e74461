"""podman and containerd with every file of theirs in one folder, but for what podman runs by.

Owns their configuration and one call of each. Debian 12 as root: rlimits must be given, crun
refuses hybrid cgroups, so runc runs everything.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

Ran = subprocess.CompletedProcess[str]


class Podman:
    """One podman storage."""

    def __init__(
        self, program: str, runtime: str, folder: Path, mirrors: Mapping[str, str]
    ) -> None:
        self._program = program
        self._folder = folder
        # Its clean-up behind a container refuses a path of more than 50 characters here, and what
        # waits for the container's end learns of none for twenty seconds.
        self._run_root = tempfile.TemporaryDirectory(prefix="podman-", ignore_cleanup_errors=True)
        self.registries = folder / "registries.conf"
        (folder / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=2048:2048"]\n'
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            f'[engine.runtimes]\nrunc = ["{runtime}"]\n'
            '[network]\nnetwork_backend = "netavark"\n'
        )
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\n'
            f'runroot = "{self._run_root.name}"\n'
        )
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.registries.write_text(
            "".join(
                f'[[registry]]\nprefix = "{host}"\nlocation = "{host}"\n'
                f'[[registry.mirror]]\nlocation = "{mirror}"\ninsecure = true\n'
                for host, mirror in mirrors.items()
            )
        )

    def run(self, *arguments: str, seconds_max: float = 90, check: bool = True) -> Ran:
        """One podman call. Raises AssertionError with what it said when it fails."""
        environment = {
            **os.environ,
            "CONTAINERS_CONF": f"{self._folder}/containers.conf",
            "CONTAINERS_REGISTRIES_CONF": str(self.registries),
            "CONTAINERS_STORAGE_CONF": f"{self._folder}/storage.conf",
            "TMPDIR": str(self._folder),
        }
        return _call([self._program, *arguments], environment, seconds_max, check)

    def pull(self, reference: str, *arguments: str) -> Ran:
        policy = f"--signature-policy={self._folder}/policy.json"
        return self.run("pull", "-q", policy, *arguments, reference)

    def start(self, reference: str, *command: str) -> str:
        """Runs a container without a network and returns what it printed."""
        argv = ("run", "--rm", "--pull=never", "--network=none", reference, *command)
        return self.run(*argv).stdout

    def forget(self) -> None:
        """Removes every image."""
        self.run("rmi", "--all", "--force", check=False)

    def close(self) -> None:
        self.forget()
        _unmount_below(self._folder)
        _unmount_below(Path(self._run_root.name))
        self._run_root.cleanup()


class Containerd:
    """One containerd on a socket of its own, spoken to with `ctr`."""

    def __init__(self, ctr: str, folder: Path, certs: Path) -> None:
        self._ctr = ctr
        self._folder = folder
        self._socket = folder / "c.sock"
        self.certs = certs
        self.config = folder / "containerd.toml"
        off = ("grpc.v1.cri", "snapshotter.v1.btrfs", "snapshotter.v1.zfs")
        off += ("snapshotter.v1.devmapper", "snapshotter.v1.aufs")
        disabled = ", ".join(f'"io.containerd.{name}"' for name in off)
        self.config.write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
            f"disabled_plugins = [{disabled}]\n"
            f'[grpc]\naddress = "{self._socket}"\n[ttrpc]\naddress = "{folder}/t.sock"\n'
        )

    def mirror(self, host: str, mirror: str, *, server: str = "") -> None:
        """Writes a `hosts.toml` that sends a registry's pulls to a mirror first."""
        place = self.certs / host
        place.mkdir(parents=True, exist_ok=True)
        (place / "hosts.toml").write_text(
            f'server = "{server or f"http://{host}"}"\n'
            f'[host."http://{mirror}"]\ncapabilities = ["pull", "resolve"]\n'
        )

    def ready(self) -> bool:
        return self._socket.exists() and self.run("version", check=False).returncode == 0

    def run(self, *arguments: str, seconds_max: float = 90, check: bool = True) -> Ran:
        """One ctr call. Raises AssertionError with what it said when it fails."""
        argv = [self._ctr, "-a", str(self._socket), *arguments]
        return _call(argv, dict(os.environ), seconds_max, check)

    def pull(self, reference: str, *arguments: str, check: bool = True) -> Ran:
        hosts = ("--hosts-dir", str(self.certs))
        return self.run("image", "pull", *hosts, *arguments, reference, check=check)

    def digest_of(self, reference: str) -> str:
        """What the image store says the name means."""
        for line in self.run("image", "ls", f"name=={reference}").stdout.splitlines()[1:]:
            return line.split()[2]
        return ""

    def close(self) -> None:
        _unmount_below(self._folder)


def _call(argv: list[str], environment: dict[str, str], seconds_max: float, check: bool) -> Ran:
    ran = subprocess.run(
        argv,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds_max,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if check and ran.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
    return ran


def _unmount_below(folder: Path) -> None:
    """Lets go of what a storage driver left mounted below a folder of ours."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)
