"""The files of an OCI image layout: a folder, or a plain tar archive of one.

Owns reading and writing them; blocks, so it runs in threads. Never follows a link out of a layout
(known failures T18) and never says what is in one.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path
from typing import IO, Protocol

from skerry.registry.core.layouts import LayoutError, member_name

PIECE_BYTES = 4 << 20
MEMBERS_MAX = 200_000


class Sink(Protocol):
    """A layout being written."""

    def add(self, name: str, size: int, data: IO[bytes]) -> None: ...
    def finish(self) -> None:
        """Makes it durable."""

    def abandon(self) -> None:
        """Lets its files go."""


class FolderSink:
    """A layout written as a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, name: str, size: int, data: IO[bytes]) -> None:
        target = self._path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(data, file, PIECE_BYTES)
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> None:
        for folder in (self._path, *(p for p in self._path.rglob("*") if p.is_dir())):
            _sync(folder)

    def abandon(self) -> None:
        return


class TarSink:
    """Plain tar with no times and no owners: the same images give the same bytes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("xb")
        self._tar = tarfile.open(  # noqa: SIM115
            fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT
        )

    def add(self, name: str, size: int, data: IO[bytes]) -> None:
        info = tarfile.TarInfo(name)
        info.size = size
        self._tar.addfile(info, data)

    def finish(self) -> None:
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        self._file.close()


class Source(Protocol):
    """A layout being read; names are `oci-layout`, `index.json` and `blob_name`s."""

    def size(self, name: str) -> int | None: ...
    def open(self, name: str) -> IO[bytes]: ...
    def read(self, name: str, bytes_max: int) -> bytes: ...
    def close(self) -> None: ...


class FolderSource:
    """A layout read from a folder; a blob that is a link is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def size(self, name: str) -> int | None:
        path = self._path / name
        return path.stat().st_size if path.is_file() and not path.is_symlink() else None

    def open(self, name: str) -> IO[bytes]:
        if self.size(name) is None:
            raise LayoutError(f"{self._path} has no file {name}")
        return os.fdopen(os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW), "rb")

    def read(self, name: str, bytes_max: int) -> bytes:
        return _read(self, name, bytes_max)

    def close(self) -> None:
        return


class TarSource:
    """A layout read from an archive. Raises LayoutError when one of its names is a trick."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "r:")  # noqa: SIM115
        self._members: dict[str, tarfile.TarInfo] = {}
        for count, member in enumerate(self._tar, 1):
            name = member_name(member.name, is_file=member.isreg(), is_folder=member.isdir())
            if count > MEMBERS_MAX or (name is not None and name in self._members):
                raise LayoutError(f"the archive has too many members, or {name} twice")
            if name is not None:
                self._members[name] = member

    def size(self, name: str) -> int | None:
        member = self._members.get(name)
        return None if member is None else member.size

    def open(self, name: str) -> IO[bytes]:
        member = self._members.get(name)
        file = None if member is None else self._tar.extractfile(member)
        if file is None:
            raise LayoutError(f"the archive has no file {name}")
        return file

    def read(self, name: str, bytes_max: int) -> bytes:
        return _read(self, name, bytes_max)

    def close(self) -> None:
        self._tar.close()


def open_source(path: Path) -> Source:
    """The layout at a path. Raises LayoutError."""
    if path.is_dir():
        return FolderSource(path)
    try:
        return TarSource(path)
    except (OSError, tarfile.TarError) as error:
        raise LayoutError(
            f"{path} cannot be read as an OCI layout ({getattr(error, 'strerror', None) or error})",
            next_step="name a layout's folder or an uncompressed .tar of it",
        ) from error


def _read(source: Source, name: str, bytes_max: int) -> bytes:
    size = source.size(name)
    if size is not None and size > bytes_max:
        raise LayoutError(f"{name} is {size} bytes long, {bytes_max} are allowed")
    with source.open(name) as file:
        return file.read(bytes_max + 1)


class FileSlice(io.RawIOBase):
    """Part of an open file as a file of its own; shares no position with other readers."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd = os.dup(fd)
        self._position = offset
        self._stop = offset + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer)[: self._stop - self._position]
        count = os.preadv(self._fd, [view], self._position) if view else 0
        self._position += count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


def publish(part: Path, path: Path) -> None:
    """Gives a finished layout its name. Raises LayoutError when that is taken."""
    if path.exists():
        raise LayoutError(f"{path} exists already", next_step="name another path")
    os.replace(part, path)
    _sync(path.parent)


def open_sink(path: Path, *, archive: bool) -> Sink:
    """A new layout at a path that must not exist."""
    return TarSink(path) if archive else FolderSink(path)


def remove(path: Path) -> None:
    """Removes what a layout that was not finished left behind."""
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
