"""What a vault needs of this machine: its key, and the credentials of its store.

Owns both files' forms. The key is made at the first start; whoever loses it loses the vault.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

from skerry.app.trust.secret_files import make_once
from skerry.base.errors import Party, SkerryError

KEY_FILE = "vault.key"
CREDENTIALS_BYTES_MAX = 64 * 1024
S3_NAMES = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
}
"""What is in the file, and the variable that is read without one."""
_KEY = re.compile(r"skerry-vault-key/1 ([0-9a-f]{64})\s*\Z")


class VaultKeyError(SkerryError):
    """The vault's key cannot be read, or is not a secret any more."""

    party = Party.OPERATOR


class CredentialsError(SkerryError):
    """The credentials of the vault's store cannot be used."""

    party = Party.OPERATOR


def key_path(key_file: str, data_dir: Path) -> Path:
    """Where the key is: where the settings say, else with the node's data."""
    return Path(key_file) if key_file else data_dir / KEY_FILE


def ensure_vault_key(path: Path) -> bytes:
    """The 32 bytes of the vault's key; made at the first start, readable by its owner alone.

    Raises VaultKeyError.
    """
    try:
        if not path.exists():
            make_once(path, f"skerry-vault-key/1 {os.urandom(32).hex()}\n".encode())
        return read_vault_key(path)
    except OSError as error:
        raise VaultKeyError(
            f"{path} cannot be read or made: {error.strerror}",
            next_step="let the node's user write to its folder and own the file",
        ) from error


def read_vault_key(path: Path) -> bytes:
    """The key in a file. Raises OSError, VaultKeyError."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        text = file.read(4096).decode("ascii", "replace")
    if mode & 0o077:
        raise VaultKeyError(
            f"{path} can be read by other users",
            next_step="chmod 600 it; if it may have been copied, begin a new vault with a new key",
        )
    match = _KEY.match(text)
    if match is None:
        raise VaultKeyError(
            f"{path} holds no vault key",
            next_step="put the right one back: without it nothing in the vault can be opened",
        )
    return bytes.fromhex(match[1])


def read_credentials(url: str, path: str, env: Mapping[str, str]) -> dict[str, str]:
    """The store's credentials, from the file, for S3 without one from the environment.

    Raises CredentialsError, in whose message there is none of them.
    """
    if path:
        found = _read(Path(path))
    else:
        found = {name: env[variable] for name, variable in S3_NAMES.items() if env.get(variable)}
    if not url.startswith("s3:"):
        if not path and not url.startswith("file:"):
            # Without any, the library would ask the cloud's metadata address for some.
            raise CredentialsError(
                "no credentials are named",
                next_step="name vault.credentials_file",
            )
        return found if path else {}
    if unknown := sorted(set(found) - set(S3_NAMES)):
        raise CredentialsError(
            f"{path} has a field {unknown[0]!r}",
            next_step=f"known are {', '.join(S3_NAMES)}",
        )
    if not (found.get("access_key_id") and found.get("secret_access_key")):
        raise CredentialsError(
            f"{path or 'the environment'} has no whole pair of keys",
            next_step="write access_key_id and secret_access_key into vault.credentials_file",
        )
    return found


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            told = tomllib.loads(file.read(CREDENTIALS_BYTES_MAX).decode())
    except OSError as error:
        raise CredentialsError(
            f"{path} cannot be read: {(error.strerror or 'unknown').lower()}",
            next_step="check that it is there and that this user may read it",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The parser's message may quote a line of the file.
        raise CredentialsError(
            f"{path} is not TOML", next_step='write it as access_key_id = "..." and so on'
        ) from error
    wrong = [name for name, value in told.items() if not isinstance(value, str)]
    if wrong:
        raise CredentialsError(f"{path}: {wrong[0]} is no text", next_step="write it in quotes")
    return {name: str(value) for name, value in told.items()}
