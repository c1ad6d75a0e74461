"""[vault]: what is refused says field, value, reason and next step; and the files it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from skerry.app.settings.checks.between import warnings
from skerry.app.settings.errors import SettingsError
from skerry.app.settings.load import load
from skerry.app.settings.schema import Settings
from skerry.app.vault.files import (
    CredentialsError,
    VaultKeyError,
    ensure_vault_key,
    read_credentials,
)

SITE = '[[site]]\nhosts = ["a.example"]\norigins = ["https://10.0.0.9"]\n[[site.route]]\n'


def loaded(folder: Path, vault: str, route: str = 'data_class = "public"\n') -> Settings:
    keys = folder / "keys.toml"
    if not keys.exists():
        keys.write_text('access_key_id = "AKHUSH"\nsecret_access_key = "SKHUSH"\n')
        keys.chmod(0o600)
    file = folder / "skerry.toml"
    head = f'[node]\ndata_dir = "{folder}/data"\n'
    file.write_text(f'{head}{SITE}{route}[vault]\ncredentials_file = "keys.toml"\n{vault}')
    return load(file, {}, {})


GOOD = 'url = "s3://bucket/prefix"\nendpoint = "https://s3.example.net"\n'


def test_a_vault_is_taken_as_it_is_described(tmp_path: Path) -> None:
    vault = loaded(tmp_path, f'{GOOD}[vault.lifetime]\npublic = "180d"\n').vault
    assert vault.used
    assert vault.lifetime.public_seconds == 180 * 86400.0
    assert vault.credentials_file == str(tmp_path / "keys.toml")
    assert not loaded(tmp_path, f"{GOOD}enabled = false\n").vault.used


@pytest.mark.parametrize(
    ("vault", "field", "reason"),
    [
        ('url = "http://bucket"\n', "vault.url", "no kind of vault"),
        ('url = "s3://"\n', "vault.url", "names no bucket"),
        ('url = "s3://AK:SK@bucket"\n', "vault.url", "must not carry credentials"),
        ('url = "s3://bucket/../other"\n', "vault.url", "more than a place"),
        ('url = "file:///"\n', "vault.url", "names no directory"),
        ('url = "s3://b"\nendpoint = "http://10.0.0.1"\n', "vault.endpoint", "not encrypted"),
        ('url = "s3://b"\nendpoint = "ftp://x"\n', "vault.endpoint", "is not an http"),
        ('url = "s3://b"\nca_file = "none.pem"\n', "vault.ca_file", "no such file"),
        ('url = "s3://b"\nbytes_per_second = -1\n', "vault.bytes_per_second", ""),
        ('url = "s3://b"\ncopies_waiting_max = 0\n', "vault.copies_waiting_max", "lets nothing in"),
        ('url = "s3://b"\nbucket = "b"\n', "vault.bucket", "no such setting"),
        ("[vault.lifetime]\nsensitive = '1d'\n", "vault.lifetime.sensitive", "no such setting"),
    ],
)
def test_what_is_wrong_is_named_with_its_field_reason_and_next_step(
    tmp_path: Path, vault: str, field: str, reason: str
) -> None:
    with pytest.raises(SettingsError) as told:
        loaded(tmp_path, vault)
    problem = told.value.problems[0]
    assert problem.field == field
    assert reason in problem.reason
    assert problem.next_step
    assert "SK" not in str(told.value).replace("SKERRY", "")


def test_a_directory_inside_the_node_s_own_is_no_vault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="own data directory"):
        loaded(tmp_path, f'url = "file://{tmp_path}/data/vault"\n')


def test_a_sensitive_route_cannot_ask_for_a_vault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="sensitive"):
        loaded(tmp_path, GOOD, "vault = true\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("access_key_id = AK", "not TOML"),
        ('access_key_id = "AK"\n', "no whole pair"),
        ('access_key_id = 7\nsecret_access_key = "SK"\n', "is no text"),
        ('user = "AK"\n', "has a field 'user'"),
    ],
)
def test_wrong_credentials_files_are_refused_without_showing_them(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(CredentialsError) as told:
        read_credentials("s3://b", str(path), {})
    assert reason in told.value.what
    assert '"' not in told.value.what


def test_without_a_file_an_s3_s_keys_come_from_the_environment() -> None:
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://x"}
    assert read_credentials("s3://b", "", env) == {"access_key_id": "a", "secret_access_key": "b"}
    assert read_credentials("file:///x", "", env) == {}
    for url in ("s3://b", "gs://b", "az://b"):
        with pytest.raises(CredentialsError):
            read_credentials(url, "", {})


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "vault.key"
    key = ensure_vault_key(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_vault_key(path) == key
    path.chmod(0o644)
    with pytest.raises(VaultKeyError, match="other users"):
        ensure_vault_key(path)
    path.chmod(0o600)
    path.write_text("something else")
    with pytest.raises(VaultKeyError, match="no vault key"):
        ensure_vault_key(path)
    assert path.read_text() == "something else"


def test_what_is_allowed_but_should_be_known_is_said(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text('access_key_id = "a"\nsecret_access_key = "b"\n')
    (tmp_path / "keys.toml").chmod(0o644)
    plain = 'url = "s3://b"\nplain_http = true\nendpoint = "http://10.0.0.1"\n'
    said = "\n".join(warnings(loaded(tmp_path, plain, 'data_class = "sensitive"\n')))
    for word in ("gets no copies", "can be read by others", "in the clear"):
        assert word in said


def test_a_node_without_a_vault_loads_nothing_of_it() -> None:
    code = (
        "import sys, skerry.app.node, skerry.app.edge.room, skerry.cli.main\n"
        "print([m for m in sys.modules if 'obstore' in m or m.startswith('skerry.cdn.vault')"
        "])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
