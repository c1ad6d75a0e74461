"""Disks that are small, full, read-only or about to break, for one node.

Owns the mounts. They promise what real ones do: ENOSPC to the last byte, EROFS for every write.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.rig.processes import need_root

BLOCK_BYTES = 64 * 1024


class SmallDisk:
    """A tmpfs over a folder; gone with `ends`."""

    def __init__(self, folder: Path, size: str, ends: ExitStack) -> None:
        need_root()
        folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
        ends.callback(_run, "umount", "-l", str(folder))
        self.folder = folder
        self._filler = folder / "somebody-elses-file"

    def fill(self) -> None:
        """Somebody else takes every byte that is left."""
        with suppress(OSError), self._filler.open("ab", buffering=0) as file:
            for size in (BLOCK_BYTES, 512, 1):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        assert os.statvfs(self.folder).f_bavail == 0

    def free(self) -> None:
        """And gives it back."""
        self._filler.unlink()

    def remount(self, how: str) -> None:
        """`ro` or `rw`. Read-only works only while nobody has a file open for writing."""
        _run("mount", "-o", f"remount,{how}", str(self.folder))


class FragileDisk:
    """An ext4 in a file, over a folder. When it breaks the kernel makes it read-only at once,
    whoever writes to it just then (`errors=remount-ro`), as it does with a disk that fails."""

    def __init__(self, folder: Path, mebibytes: int, ends: ExitStack) -> None:
        need_root()
        folder.mkdir(parents=True, exist_ok=True)
        image = folder.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(mebibytes << 20)
        _run("mkfs.ext4", "-q", "-O", "^has_journal", str(image))
        try:
            _run("mount", "-o", "loop,errors=remount-ro", str(image), str(folder))
        except AssertionError as error:
            pytest.skip(f"no loop devices here: {error}")
        ends.callback(_run, "umount", "-l", str(folder))
        mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
        device = next(entry[0] for entry in mounts if entry[1] == str(folder))
        self._trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
        if not self._trigger.exists():
            pytest.skip("this kernel breaks no file system on demand")

    def break_down(self) -> None:
        """From now on every write fails."""
        self._trigger.write_text("1")


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr.strip()}"
