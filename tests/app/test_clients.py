"""Client configuration: the exact text, and how it gets into files that are there already."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from skerry.app.clients.configuration import (
    Client,
    ClientConfig,
    ClientFile,
    Endpoint,
    NoMirror,
    configure,
    endpoint,
)
from skerry.app.clients.install import install, uninstall
from skerry.app.clients.merge import Untouchable
from skerry.app.settings.schema import (
    DoorSettings,
    Settings,
    SourceSettings,
    UpstreamSettings,
)
from skerry.base.errors import BadInput

NOW = 1_700_000_000.0
NODE = Endpoint("http", "node1:5000")
LAB = UpstreamSettings(
    name="up.test",
    sources=(
        SourceSettings(name="region", url="https://r.lan", kind="region"),
        SourceSettings(name="origin", url="http://127.0.0.1:5001", plain_http=True),
    ),
)
PREFIXED = UpstreamSettings(
    name="p.test", sources=(SourceSettings(name="o", url="https://h.lan", prefix="mirror/p"),)
)


def config(client: Client, *upstreams: UpstreamSettings) -> ClientConfig:
    settings = Settings(upstreams=upstreams) if upstreams else Settings()
    return configure(client, settings, NODE)


def text_of(found: ClientConfig, path: str) -> str:
    return next(file.text for file in found.files if file.path.endswith(path))


def present(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_containerd_gets_one_file_for_each_host_with_the_real_server_as_fallback() -> None:
    found = config(Client.CONTAINERD)
    assert text_of(found, "certs.d/docker.io/hosts.toml") == (
        "# skerry: begin, written by `skerry clients`\n"
        'server = "https://registry-1.docker.io"\n'
        "\n"
        '[host."http://node1:5000"]\n'
        '  capabilities = ["pull", "resolve"]\n'
        "# skerry: end\n"
    )
    hosts = [file.path.split("/")[3] for file in found.files]
    assert hosts[:4] == ["docker.io", "registry-1.docker.io", "index.docker.io", "ghcr.io"]
    assert len(hosts) == len(set(hosts)) == 9


def test_containerd_falls_back_to_the_origin_not_the_region_and_knows_prefixes() -> None:
    found = config(Client.CONTAINERD, LAB, PREFIXED)
    assert tomllib.loads(text_of(found, "up.test/hosts.toml"))["server"] == "http://127.0.0.1:5001"
    prefixed = tomllib.loads(text_of(found, "/p.test/hosts.toml"))
    assert prefixed["server"] == "https://h.lan/v2/mirror/p"
    assert prefixed["override_path"] is True


def test_podman_gets_one_drop_in_with_a_mirror_in_path_form() -> None:
    found = config(Client.PODMAN, LAB, PREFIXED)
    (file,) = found.files
    assert file.path == "etc/containers/registries.conf.d/50-skerry.conf"
    assert tomllib.loads(file.text)["registry"] == [
        {
            "prefix": "up.test",
            "location": "127.0.0.1:5001",
            "insecure": True,
            "mirror-by-digest-only": False,
            "mirror": [{"location": "node1:5000/up.test", "insecure": True}],
        },
        {
            "prefix": "p.test",
            "location": "h.lan/mirror/p",
            "mirror-by-digest-only": False,
            "mirror": [{"location": "node1:5000/p.test", "insecure": True}],
        },
    ]


def test_podman_sends_every_name_of_an_upstream_to_its_one_mirror_path() -> None:
    registries = tomllib.loads(config(Client.PODMAN).files[0].text)["registry"]
    hub = [r for r in registries if r["location"] == "docker.io"]
    assert [r["prefix"] for r in hub] == ["docker.io", "registry-1.docker.io", "index.docker.io"]
    assert {r["mirror"][0]["location"] for r in hub} == {"node1:5000/docker.io"}


def test_a_node_with_a_certificate_is_not_called_insecure() -> None:
    settings = Settings(doors=DoorSettings(cert_file="/c", key_file="/k"))
    node = endpoint(settings, "node1:5000")
    assert node.url == "https://node1:5000"
    assert "insecure" not in configure(Client.PODMAN, settings, node).files[0].text
    docker = json.loads(configure(Client.DOCKER, settings, node).files[0].text)
    assert docker == {"registry-mirrors": ["https://node1:5000"]}


def test_docker_needs_an_upstream_that_answers_bare_names() -> None:
    assert json.loads(config(Client.DOCKER).files[0].text) == {
        "registry-mirrors": ["http://node1:5000"],
        "insecure-registries": ["node1:5000"],
    }
    with pytest.raises(NoMirror, match="bare_names"):
        config(Client.DOCKER, LAB)


def test_a_door_on_every_interface_is_reached_by_loopback() -> None:
    for door, authority in (("0.0.0.0:5000", "127.0.0.1:5000"), ("[::]:5000", "[::1]:5000")):
        settings = Settings(doors=DoorSettings(registry=door))
        assert endpoint(settings, None) == Endpoint("http", authority)
    for wrong in ("http://u:p@n:1", "ftp://n", "http://n/path", "n:99999", ""):
        with pytest.raises(BadInput):
            endpoint(Settings(), wrong)


@pytest.mark.parametrize("client", list(Client))
def test_installing_twice_changes_nothing_the_second_time(tmp_path: Path, client: Client) -> None:
    files = config(client).files
    assert {change.action for change in install(files, tmp_path, now=NOW)} == {"created"}
    before = present(tmp_path)
    assert {change.action for change in install(files, tmp_path, now=NOW)} == {"unchanged"}
    assert present(tmp_path) == before
    assert len(before) == len(files)


@pytest.mark.parametrize("client", list(Client))
def test_what_was_installed_can_be_taken_out_again(tmp_path: Path, client: Client) -> None:
    files = config(client).files
    assert {c.action for c in uninstall(files, tmp_path, now=NOW)} == {"unchanged"}
    install(files, tmp_path, now=NOW)
    assert {c.action for c in uninstall(files, tmp_path, now=NOW)} == {"removed"}
    assert not [path for path in present(tmp_path) if not path.endswith(".skerry-backup")]


def hosts_file(root: Path, text: str) -> tuple[ClientFile, Path]:
    file = config(Client.CONTAINERD, LAB).files[0]
    path = root / file.path
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return file, path


def test_a_hosts_file_of_others_keeps_everything_and_gets_our_host_first(tmp_path: Path) -> None:
    theirs = (
        '# by hand\nserver = "https://own.lan"\n\n[host."https://other.lan"]\n'
        '  capabilities = ["pull"]\n  [host."https://other.lan".header]\n    x = "y"\n'
    )
    file, path = hosts_file(tmp_path, theirs)
    (change,) = install([file], tmp_path, now=NOW)
    found = tomllib.loads(path.read_text())
    assert list(found["host"]) == ["http://node1:5000", "https://other.lan"]
    assert found["server"] == "https://own.lan"
    assert found["host"]["https://other.lan"]["header"] == {"x": "y"}
    assert path.read_text().startswith("# by hand\n")
    assert Path(change.backup).read_text() == theirs
    assert change.backup.endswith("hosts.toml.20231114T221320Z.skerry-backup")
    assert install([file], tmp_path, now=NOW)[0].action == "unchanged"
    assert uninstall([file], tmp_path, now=NOW)[0].action == "changed"
    assert path.read_text() == theirs


def test_a_hosts_file_without_a_server_gets_ours(tmp_path: Path) -> None:
    file, path = hosts_file(tmp_path, '[host."https://other.lan"]\n')
    install([file], tmp_path, now=NOW)
    found = tomllib.loads(path.read_text())
    assert found["server"] == "http://127.0.0.1:5001"
    assert list(found["host"]) == ["http://node1:5000", "https://other.lan"]


def test_our_host_written_by_hand_is_left_as_it_is(tmp_path: Path) -> None:
    theirs = '[host."http://node1:5000"]\n  capabilities = ["pull"]\n'
    file, path = hosts_file(tmp_path, theirs)
    assert install([file], tmp_path, now=NOW)[0].action == "unchanged"
    assert path.read_text() == theirs


def test_a_node_that_moved_replaces_its_own_old_entry(tmp_path: Path) -> None:
    for node in (NODE, Endpoint("http", "node2:5000")):
        files = configure(Client.CONTAINERD, Settings(upstreams=(LAB,)), node).files
        install(files, tmp_path, now=NOW)
    found = tomllib.loads((tmp_path / files[0].path).read_text())
    assert list(found["host"]) == ["http://node2:5000"]


def test_daemon_json_is_merged_and_the_rest_of_it_kept(tmp_path: Path) -> None:
    files = config(Client.DOCKER).files
    path = tmp_path / "etc/docker/daemon.json"
    path.parent.mkdir(parents=True)
    theirs = {"log-driver": "journald", "registry-mirrors": ["https://other.lan"]}
    path.write_text(json.dumps(theirs))
    path.chmod(0o640)
    install(files, tmp_path, now=NOW)
    assert json.loads(path.read_text()) == {
        "log-driver": "journald",
        "registry-mirrors": ["http://node1:5000", "https://other.lan"],
        "insecure-registries": ["node1:5000"],
    }
    assert path.stat().st_mode & 0o777 == 0o640
    uninstall(files, tmp_path, now=NOW)
    assert json.loads(path.read_text()) == theirs


@pytest.mark.parametrize(
    ("client", "path", "text"),
    [
        (Client.DOCKER, "etc/docker/daemon.json", "{,}"),
        (Client.DOCKER, "etc/docker/daemon.json", "[]"),
        (Client.DOCKER, "etc/docker/daemon.json", '{"registry-mirrors": "https://x"}'),
        (Client.CONTAINERD, "etc/containerd/certs.d/ghcr.io/hosts.toml", "[host"),
        (Client.PODMAN, "etc/containers/registries.conf.d/50-skerry.conf", "[[registry"),
        (Client.PODMAN, "etc/containers/registries.conf.d/50-skerry.conf", 'a = "by hand"\n'),
    ],
)
def test_a_file_that_cannot_be_understood_leaves_every_file_untouched(
    tmp_path: Path, client: Client, path: str, text: str
) -> None:
    place = tmp_path / path
    place.parent.mkdir(parents=True)
    place.write_text(text)
    with pytest.raises(Untouchable):
        install(config(client).files, tmp_path, now=NOW)
    assert present(tmp_path) == {path: text}


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    path = tmp_path / "etc/docker/daemon.json"
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "real.json")
    install(config(Client.DOCKER).files, tmp_path, now=NOW)
    assert path.is_symlink()
    assert "registry-mirrors" in (tmp_path / "real.json").read_text()
