"""Policies in the settings: what they become, and what is refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from skerry.app.settings.checks.trust import policies_of
from skerry.app.settings.errors import SettingsError
from skerry.app.settings.load import load
from skerry.app.settings.render import to_toml
from skerry.app.settings.schema import Settings
from tests.trust.core.signed import certificate, ec_key, public

POLICY = '[[trust.policy]]\nname = "prod"\nrepositories = ["local/*"]\n'
ANN = '[[trust.policy.key]]\nfile = "ann.pub"\nowner = "ann"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ann.pub").write_text(public(ec_key()).pem)
    (tmp_path / "bob.pub").write_text(public(ec_key()).pem)
    root = certificate("root", ec_key(), ca=True)
    (tmp_path / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    return tmp_path


def read(folder: Path, text: str) -> Settings:
    file = folder / "skerry.toml"
    file.write_text(text)
    return load(file, {}, {})


def test_a_policy_has_its_keys_read_from_files_beside_the_settings(folder: Path) -> None:
    root = '[[trust.policy.key]]\nfile = "root.pem"\nowner = "ops"\nauthority = true\n'
    settings = read(folder, f"{POLICY}threshold = 2\n{ANN}{root}")
    rule = policies_of(settings.trust).of("local/shop/web")
    assert rule is not None
    assert (rule.policy.threshold, rule.policy.critical, rule.downgrades) == (2, True, False)
    assert [key.owner for key in rule.policy.keys] == ["ann", "ops"]
    assert len(rule.authorities) == 1
    assert policies_of(settings.trust).of("docker.io/library/nginx") is None
    assert read(folder, to_toml(settings)) == settings


def test_the_first_policy_that_matches_counts(folder: Path) -> None:
    second = POLICY.replace("prod", "rest").replace("local/*", "*")
    rules = policies_of(read(folder, POLICY + ANN + second + ANN).trust)
    found = [rules.of(name) for name in ("local/a", "quay.io/b")]
    assert [rule.policy.name for rule in found if rule] == ["prod", "rest"]


def test_whatever_changes_a_verdict_changes_the_version(folder: Path) -> None:
    texts = (
        POLICY + ANN,
        POLICY + ANN + ANN.replace("ann", "bob"),
        POLICY + ANN + "revoked = true\n" + ANN.replace("ann", "bob"),
        POLICY + ANN + 'expires = "2027-01-31"\n',
        POLICY + 'formats = ["cosign"]\n' + ANN,
        POLICY + 'required = ["ann"]\n' + ANN,
        POLICY.replace("prod", "p") + ANN,
    )
    versions = {policies_of(read(folder, text).trust).rules[0].version for text in texts}
    assert len(versions) == len(texts)
    again = policies_of(read(folder, POLICY + "critical = false\n" + ANN).trust).rules[0]
    assert again.version in versions, "what only says how to fail judges nothing anew"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (POLICY, "only 0 can"),
        (f"{POLICY}threshold = 0\n{ANN}", "lets everything through"),
        (f"{POLICY}threshold = 2\n{ANN}{ANN}", "only 1 can"),
        (f'{POLICY}required = ["bob"]\n{ANN}', "bob must sign"),
        (f'{POLICY}formats = ["pgp"]\n{ANN}', "is no format of signatures"),
        (f"{POLICY}{ANN}revoked = true\n", "only 0 can"),
        (f'{POLICY}{ANN}expires = "soon"\n', "is no time"),
        (f"{POLICY}{ANN.replace('ann.pub', 'no.pub')}", "no such file"),
        (f"{POLICY}{ANN.replace('ann.pub', 'root.pem')}", "no public key"),
        (f"{POLICY}{ANN}authority = true\n", "no certificate"),
        (POLICY + ANN.replace('"ann"', '""'), "is empty"),
        (POLICY + ANN + ANN.replace('"ann"', '"bob"'), "belongs to both"),
        (f"{POLICY}{ANN}{POLICY}{ANN}", "another policy's name"),
        (POLICY.replace("local/*", "Local") + ANN, "can match no repository"),
        (POLICY.replace('["local/*"]', "[]") + ANN, "is empty"),
        (POLICY.replace('"prod"', '"a b"') + ANN, "cannot be a policy's name"),
    ],
)
def test_what_is_wrong_is_said_with_its_field_and_what_to_do(
    folder: Path, text: str, says: str
) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        read(folder, text)
    assert all(problem.field.startswith("trust.policy[") for problem in caught.value.problems)
    assert all(problem.next_step for problem in caught.value.problems)


def test_with_a_root_the_policies_list_no_keys_and_a_root_needs_a_policy(folder: Path) -> None:
    root = f'[trust]\nroot = "{folder}"\n'
    rule = '[[trust.policy]]\nname = "prod"\nrepositories = ["local/*"]\n'
    [made] = policies_of(read(folder, root + rule).trust).rules
    assert made.policy.keys == ()
    for text, why in (
        (f"{root}{rule}{ANN}", "beside trust.root"),
        (f"{root}{rule}threshold = 0\n", "lets everything through"),
        (root, "no policy to hold for"),
        (f'[trust]\nroot = "{folder}/nowhere"\n{rule}', "no such file or folder"),
    ):
        with pytest.raises(SettingsError, match=why):
            read(folder, text)
