"""Signatures enforced by a live node: real registry, real clients, an operator's own commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import push
from skerry.app.drill.processes import NodeProcess, Setting
from skerry.app.trust.signing_keys import Kind, load, make
from tests.registry.test_signed_images import signature, tag_of
from tests.rig import images, nodes
from tests.rig.desk import NAME, TEAM, Desk
from tests.rig.nodes import PASSWORD, USER
from tests.rig.processes import Rig

IMAGE, MOVED, UNSIGNED = (images.multi_arch(seed) for seed in (400, 401, 402))
LOCAL = "local/shop/web"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ann", "bob", "eve"):
        make(folder / f"{name}.key", Kind.ECDSA, b"")
    return folder


def policy(keys: Path, *, revoked: str = "") -> dict[str, Setting]:
    names = ("ann", "bob", "eve") if revoked else ("ann", "bob")
    owners = [
        {"file": str(keys / f"{name}.pub"), "owner": name, "revoked": name == revoked}
        for name in names
    ]
    rule = {"name": "prod", "repositories": ["up.test/*", "local/*"], "threshold": 2}
    return {"trust": {"policy": [{**rule, "key": owners}]}}


@pytest.fixture(scope="module")
def desk(shared: Rig, keys: Path) -> Desk:
    origin = shared.faulty(shared.registry().authority)
    wan = shared.wan(origin.server.authority)
    node = shared.node(settings_of(shared, wan.port, policy(keys)), name="signed")
    return Desk(shared, origin, wan, node)


def settings_of(shared: Rig, port: int, trust: Mapping[str, Setting]) -> dict[str, Setting]:
    base = nodes.settings(f"http://127.0.0.1:{port}")
    return {**nodes.with_local(base, shared.place("users")), **trust}


def pulled(desk: Desk, name: str, into: Path) -> tuple[int, str]:
    done = desk.rig.skopeo(
        "copy", "--all", "--src-tls-verify=false", f"docker://{desk.node.registry}/{name}",
        f"dir:{into}",
    )  # fmt: skip
    return done.returncode, done.stderr


def private(keys: Path, name: str):  # type: ignore[no-untyped-def]
    return load(keys / f"{name}.key", b"")._private


def test_skopeo_gets_an_image_of_the_region_once_enough_have_signed_it(
    desk: Desk, keys: Path, tmp_path: Path
) -> None:
    name = desk.push(IMAGE, "1")
    code, said = pulled(desk, name, tmp_path / "a")
    assert code != 0
    assert "prod" in said
    region = RegistryClient(desk.origin.server.authority)
    signed = signature(IMAGE.digest, private(keys, "ann"), private(keys, "bob"))
    push(region, TEAM, signed, tag_of(IMAGE.digest))
    done = desk.skerry("warm", name, "--all-platforms")
    assert done.code == 0, done
    code, said = pulled(desk, name, tmp_path / "b")
    assert code == 0, said
    report = desk.done("verify", name)
    assert report["accepted"] is True
    assert {signer["owner"] for signer in report["signers"]} == {"ann", "bob"}

    desk.cut()
    desk.node.kill()
    desk.node.start()
    code, said = pulled(desk, name, tmp_path / "c")
    assert code == 0, said
    assert desk.skerry("verify", name).code == 0
    desk.heal()


def test_an_image_pushed_here_is_served_when_two_have_signed_it_with_the_command(
    desk: Desk, keys: Path, tmp_path: Path
) -> None:
    push(RegistryClient(desk.node.registry, user=USER, password=PASSWORD), LOCAL, MOVED, "7")
    name = f"{LOCAL}:7"
    assert pulled(desk, name, tmp_path / "a")[0] != 0
    assert desk.skerry("export", name, str(tmp_path / "x.tar")).code == 1
    for who in ("ann", "eve", "ann"):
        assert desk.skerry("sign", name, "--key", str(keys / f"{who}.key")).code == 0
        assert pulled(desk, name, tmp_path / "b")[0] != 0
    held = desk.skerry("verify", name)
    assert held.code == 1
    assert "unknown_key" in held.out, "a stranger's signature is told of, and counts for nothing"
    assert "1 more owners" in held.err
    assert desk.done("sign", name, "--key", str(keys / "bob.key"))["digest"] == str(MOVED.digest)
    code, said = pulled(desk, name, tmp_path / "c")
    assert code == 0, said
    assert desk.skerry("export", name, str(tmp_path / "x.tar")).code == 0


def test_skopeo_pushes_where_signatures_are_asked_for_again_and_again(
    desk: Desk, tmp_path: Path
) -> None:
    desk.push(UNSIGNED, "8")
    source = f"docker://{desk.origin.server.authority}/{TEAM}:8"
    target = f"docker://{desk.node.registry}/{LOCAL}:8"
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false", f"--dest-creds={USER}:{PASSWORD}")
    for _ in range(2):
        done = desk.rig.skopeo("copy", "--all", *plain, source, target)
        assert done.returncode == 0, done.stderr
    assert pulled(desk, f"{LOCAL}:8", tmp_path / "a")[0] != 0


def test_the_command_signs_no_image_of_an_upstream(desk: Desk, keys: Path) -> None:
    name = desk.push(IMAGE, "1")
    said = desk.skerry("sign", name, "--key", str(keys / "ann.key"))
    assert said.code != 0
    assert "sign it there" in said.err


def test_a_revoked_key_closes_what_it_opened(desk: Desk, keys: Path, tmp_path: Path) -> None:
    desk.node.stop()
    after = settings_of(desk.rig, desk.wan.port, policy(keys, revoked="bob"))
    node = NodeProcess(desk.node.folder, after, name="signed")
    node.start()
    try:
        again = Desk(desk.rig, desk.origin, desk.wan, node)
        code, said = pulled(again, f"{NAME}:1", tmp_path / "a")
        assert code != 0
        assert "prod" in said
        code, said = pulled(again, f"{LOCAL}:7", tmp_path / "b")
        assert code == 0, "ann's and eve's signatures are enough"
    finally:
        node.stop()
