"""The roads out and in: proxies, object stores, own certificates, and a dead upstream beside."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skerry.app.drill import wan as link
from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import Image, index, push
from skerry.app.drill.names import NameFault
from skerry.app.drill.processes import SKERRY, NodeProcess, Setting
from tests.rig import images, nodes
from tests.rig.guarded import ForwardProxy, GuardedRegistry, ObjectStore
from tests.rig.nodes import HOST, PASSWORD, USER
from tests.rig.processes import Rig, certificate, need

NAME = "team/tide"
SECRET = "drowned-treasure"


def guarded(rig: Rig, *, tls: bool = False) -> GuardedRegistry:
    """A registry at `up.test` that wants a password for its tokens."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate(rig.folder))
    registry = GuardedRegistry(user="robot", password=SECRET, tls=context)
    rig.listen(registry.server)
    registry.public = f"{'https' if tls else 'http'}://{HOST}:{registry.server.port}"
    registry.push(NAME, cargo(), "1")
    return registry


def cargo() -> Image:
    return index([images.small(41), images.small(42, architecture="arm64")])


def credentials(rig: Rig) -> dict[str, Setting]:
    """The settings of a source that has a password."""
    file = rig.place("secrets") / "password"
    file.write_text(SECRET)
    file.chmod(0o600)
    return {"username": "robot", "password_file": str(file)}


def pull(client: RegistryClient, image: Image, reference: str = "") -> list[Got]:
    """A whole image; every answer that has a body is compared with what was pushed."""
    got = [client.manifest(f"{HOST}/{NAME}", reference or image.digest)]
    assert got[0].body == image.manifest.data, got[0].text()
    for child in image.children:
        got += pull(client, child)
    for blob in image.blobs:
        got.append(client.blob(f"{HOST}/{NAME}", blob.digest))
        assert got[-1].body == blob.data, got[-1].text()
    return got


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("how", ["environment", "setting"])
def test_token_manifest_and_blob_calls_all_go_through_the_proxy(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tls: bool, how: str
) -> None:
    """And only the proxy resolves the upstream's name: the node's own name server knows none."""
    registry, proxy, names = guarded(rig, tls=tls), ForwardProxy([]), rig.names()
    rig.listen(proxy)
    names.fault = NameFault.NXDOMAIN
    more: dict[str, Setting] = credentials(rig)
    if tls:
        more["ca_file"] = str(certificate(rig.folder)[0])
    where = f"http://127.0.0.1:{proxy.port}"
    if how == "environment":
        monkeypatch.setenv("HTTPS_PROXY" if tls else "HTTP_PROXY", where)
        monkeypatch.setenv("NO_PROXY", "other.test")
    else:
        more["proxy"] = where
    node = rig.node(nodes.settings(registry.public, dns_port=names.port, **more))
    pull(RegistryClient(node.registry), cargo(), "1")
    asked = registry.server.log
    assert asked.count("/token") >= 1
    assert asked.count("/manifests/") >= 3
    assert asked.count("/blobs/") == 6
    if tls:
        assert set(proxy.lines) == {f"CONNECT {HOST}:{registry.server.port} HTTP/1.1"}
    else:
        assert len(proxy.lines) == len(asked.asked)
    assert names.statistics().queries == 0


@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "not-allowed"])
def test_t04_blobs_that_another_host_holds_come_without_our_credentials(
    rig: Rig, allowed: bool
) -> None:
    """An object store behind the registry, on an inside address: only if it is configured."""
    registry, names = guarded(rig), rig.names()
    store = ObjectStore(registry)
    rig.listen(store.server)
    registry.blobs_at = f"http://objects.test:{store.server.port}"
    more = credentials(rig) | ({"redirect_hosts": ["objects.test"]} if allowed else {})
    node = rig.node(nodes.settings(registry.public, dns_port=names.port, **more))
    client, image = RegistryClient(node.registry), cargo()
    if not allowed:
        assert client.manifest(f"{HOST}/{NAME}", "1").status == 200
        got = client.blob(f"{HOST}/{NAME}", image.children[0].blobs[0].digest)
        assert got.status == 503
        assert "objects.test" in got.text()
        assert "redirect_hosts" in got.text()
        assert store.server.log.asked == []
        return
    pull(client, image, "1")
    assert len(store.server.log.asked) == 6
    assert all(not asked.value("Authorization") for asked in store.server.log.asked)
    node.wait_until_stored()
    registry.blobs_at = "http://objects.test:1"  # gone; what is here needs nobody
    pull(client, image, "1")
    log = node.log.read_text()
    assert "signed-url-secret" not in log
    assert SECRET not in log


def test_a_door_with_a_certificate_serves_and_takes_images_from_real_clients(
    rig: Rig, tmp_path: Path
) -> None:
    """skopeo pulls, pushes and pulls back over TLS, trusting our own CA and nothing else."""
    upstream = rig.registry()
    push(upstream.client(), NAME, cargo(), "1")
    chain, key = certificate(rig.folder)
    base = nodes.with_local(nodes.settings(upstream.url), rig.folder)
    node = secure_node(rig, base, chain, key)
    trust = rig.place("certs")
    (trust / "ca.crt").write_bytes(chain.read_bytes())

    ran = subprocess.run(
        [need("curl"), "-sS", "--cacert", str(chain), "-u", f"{USER}:{PASSWORD}",
         f"https://{node.registry}/v2/"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "{}"), ran.stderr

    source, pushed = f"{node.registry}/{HOST}/{NAME}:1", f"{node.registry}/local/tide:1"
    login = ["--dest-cert-dir", str(trust), "--dest-creds", f"{USER}:{PASSWORD}"]
    for arguments in (
        ["--src-cert-dir", str(trust), f"docker://{source}", f"dir:{tmp_path}/a"],
        [*login, f"dir:{tmp_path}/a", f"docker://{pushed}"],
        ["--src-cert-dir", str(trust), f"docker://{pushed}", f"dir:{tmp_path}/b"],
    ):
        copied = rig.skopeo("copy", "-q", *arguments)
        assert copied.returncode == 0, copied.stderr
    manifests = [(tmp_path / side / "manifest.json").read_bytes() for side in "ab"]
    assert manifests[0] == manifests[1] == cargo().children[0].manifest.data
    refused = rig.skopeo("copy", "-q", f"docker://{source}", f"dir:{tmp_path}/c")
    assert "certificate" in refused.stderr


def secure_node(rig: Rig, base: dict[str, Setting], chain: Path, key: Path) -> NodeProcess:
    """A running node whose registry door has a certificate."""
    node = rig.node(base, start=False)
    text = node.config.read_text()
    files = f'cert_file = "{chain}"\nkey_file = "{key}"\n'
    node.config.write_text(text.replace("[doors]\n", f"[doors]\n{files}"))
    child = rig.child([*SKERRY, "up", "--config", str(node.config)], rig.place("secure"))
    child.wait_until(lambda: RegistryClient(node.admin).get("/readyz").status == 200)
    return node


def test_t27_an_upstream_in_a_black_hole_holds_up_no_other(rig: Rig) -> None:
    """While everything asked of the dead one still waits, the other gives what was never here."""
    alive, dead = rig.registry(), rig.registry()
    push(alive.client(), NAME, cargo(), "1")
    wan = rig.wan(dead.authority)
    rig.run(wan.switch(link.SILENCE))
    base = nodes.settings(alive.url, first_byte="5s")
    slow = nodes.source(f"http://127.0.0.1:{wan.port}", first_byte="20s", connect="20s")
    base["registry"] = {"answer_within": "25s"}
    base["upstream"] = [
        {"name": HOST, "source": [nodes.source(alive.url)]},
        {"name": "dead.test", "source": [slow]},
    ]
    node = rig.node(base)
    client = RegistryClient(node.registry)
    blob = images.small(43).blobs[0].digest
    asks: list[Callable[[int], Got]] = [
        lambda n: client.manifest(f"dead.test/{NAME}{n}", "1"),
        lambda n: client.blob(f"dead.test/{NAME}{n}", blob),
        lambda n: client.get(f"/v2/dead.test/{NAME}{n}/tags/list"),
    ]
    with ThreadPoolExecutor(120) as pool:
        waiting = [pool.submit(ask, n) for n in range(40) for ask in asks]
        child = node.child
        child.wait_until(lambda: wan.statistics().connections >= 10)
        pull(client, cargo(), "1")
        assert client.get(f"/v2/{HOST}/{NAME}/tags/list").status == 200
        assert not any(future.done() for future in waiting)
        node.kill()
        assert {future.result().status for future in waiting} == {0}
