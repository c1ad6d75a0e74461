"""The users file as people change it: a line for each, the others kept as they are.

Owns the writing: whole or not at all, readable for those who could read it before. Never shows a
password or a hash.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from skerry.app.settings.load import load, settings_file
from skerry.base.errors import BadInput, Party
from skerry.registry.core.users import PASSWORD_BYTES_MAX, parse_htpasswd

NAME_CHARS_MAX = 128
PASSWORD_CHARS_MIN = 8


class UsersFileError(BadInput):
    """The users file cannot be read or written, or would hold something wrong."""

    party = Party.OPERATOR


def configured(config: Path | None, environment: Mapping[str, str]) -> Path:
    """The file that the settings name. Raises SettingsError, UsersFileError."""
    settings = load(settings_file(config, environment), environment, {})
    if not settings.registry.users_file:
        raise UsersFileError(
            "the settings name no users file",
            next_step="set registry.users_file, or name it with --file",
        )
    return Path(settings.registry.users_file)


def names(path: Path) -> tuple[str, ...]:
    """Who is in it. Raises UsersFileError, BadInput."""
    return tuple(sorted(parse_htpasswd(_read(path))))


def added(path: Path, name: str, password: str) -> bool:
    """Adds somebody, or changes their password; whether they were there. Raises UsersFileError."""
    _check(name, password)
    import bcrypt

    text = _read(path) if path.exists() else ""
    line = f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()}"
    parse_htpasswd(line)  # its name may be one that nobody may have
    lines, known = text.splitlines(), name in parse_htpasswd(text)
    kept = [line if _is(each, name) else each for each in lines]
    _write(path, kept if known else [*kept, line])
    return known


def removed(path: Path, name: str) -> None:
    """Takes somebody out. Raises UsersFileError when they are not there."""
    text = _read(path)
    if name not in parse_htpasswd(text):
        raise UsersFileError(
            f"{name!r} is not in {path}", next_step="see who is with `skerry users list`"
        )
    _write(path, [each for each in text.splitlines() if not _is(each, name)])


def _is(line: str, name: str) -> bool:
    return line.strip().partition(":")[0] == name


def _check(name: str, password: str) -> None:
    bad = not name.isprintable() or set(name) & set(": \t#") or len(name) > NAME_CHARS_MAX
    if not name or bad:
        raise UsersFileError(
            f"{name!r} cannot be a name",
            next_step=f"choose up to {NAME_CHARS_MAX} characters without spaces, `:` and `#`",
        )
    if len(password) < PASSWORD_CHARS_MIN:
        raise UsersFileError(
            "the password is empty or short" if password else "no password came",
            next_step=f"give at least {PASSWORD_CHARS_MIN} characters, at the prompt or by stdin",
        )
    if len(password.encode()) > PASSWORD_BYTES_MAX or "\0" in password:
        raise UsersFileError(
            f"the password has more than {PASSWORD_BYTES_MAX} bytes, which bcrypt does not read",
            next_step="choose a shorter one",
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsersFileError(
            f"{path} cannot be read ({type(error).__name__})",
            next_step="name the users file with --file, or in registry.users_file",
        ) from error


def _write(path: Path, lines: list[str]) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        before = path.stat() if path.exists() else None
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            if before is not None:
                os.fchmod(fd, before.st_mode & 0o777)
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(fd, before.st_uid, before.st_gid)
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(fd)
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise UsersFileError(
            f"{path} cannot be written: {error.strerror}",
            next_step="run it as a user who may write there; nothing has changed",
        ) from error
