"""Images out to an OCI image layout and in from one."""

from __future__ import annotations

import asyncio
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.base.clock import ManualClock
from skerry.base.digest import Digest, digest_of
from skerry.registry.core.layouts import LayoutError, member_name
from skerry.registry.core.manifests import OCI_INDEX, OCI_MANIFEST, parse_manifest
from skerry.registry.layout import Placed, export_layout, import_layout
from skerry.registry.ports import LOCAL, Repository
from skerry.store.testing import MemoryStore

APP = Repository(LOCAL, "local/app")
HUB = Repository("docker.io", "library/app")
LAYER = b"layer" * 100_000


class Node:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.catalog = SqliteCatalog.open(None)

    async def put(self, document: dict[str, object], media_type: str) -> dict[str, object]:
        data = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode()
        await self.store.put(digest_of(data), data)
        await self.catalog.put_manifest(APP, parse_manifest(data, None), now=1.0)
        return described(data, media_type)

    async def image(self, *layers: bytes, **more: object) -> dict[str, object]:
        for data in (b"config", *layers):
            await self.store.put(digest_of(data), data)
        entries = [described(layer) for layer in layers]
        document = {"config": described(b"config"), "layers": entries, **more}
        return await self.put(document, OCI_MANIFEST)

    async def export(self, path: Path, *images: tuple[str, dict[str, object]]) -> None:
        named = [(name, Digest.parse(str(entry["digest"]))) for name, entry in images]
        await export_layout(path, named, store=self.store, catalog=self.catalog)

    async def read(
        self, path: Path, place: Callable[[str], tuple[Repository, str | None]] | None = None
    ) -> tuple[Placed, ...]:
        found = await import_layout(
            path,
            store=self.store,
            catalog=self.catalog,
            clock=self.clock,
            place=place or (lambda text: (APP, text.rpartition(":")[2] or None)),
        )
        return found.images


def described(data: bytes, media_type: str = "application/x") -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data)}


def digest(entry: dict[str, object]) -> Digest:
    return Digest.parse(str(entry["digest"]))


@pytest.mark.parametrize("name", ["layout", "layout.tar"])
async def test_what_goes_out_comes_in_byte_for_byte_t21(tmp_path: Path, name: str) -> None:
    node = Node()
    amd, arm = await node.image(LAYER, b"amd"), await node.image(LAYER, b"arm")
    both = await node.put({"manifests": [amd, arm]}, OCI_INDEX)
    single = await node.image(b"other", annotations={"z": "1", "a": "2"})
    await node.export(tmp_path / name, ("local/app:v1", both), ("local/app:v2", single))
    other = Node()
    images = await other.read(tmp_path / name)
    assert [(i.tag, i.digest) for i in images] == [("v1", digest(both)), ("v2", digest(single))]
    assert {b.digest: b.size_bytes for b in other.store.blobs()} == {
        b.digest: b.size_bytes for b in node.store.blobs()
    }
    assert other.catalog.manifest(digest(both)) == node.catalog.manifest(digest(both))
    assert other.catalog.is_member(APP, digest_of(LAYER))
    tag = other.catalog.tag(APP, "v1")
    assert tag is not None
    assert tag.confirmed_at == other.clock.now()
    assert os.listdir(tmp_path) == [name]  # nothing half-made beside it


async def test_an_imported_tag_of_an_upstream_is_checked_at_its_first_use(tmp_path: Path) -> None:
    node = Node()
    await node.export(tmp_path / "x.tar", ("docker.io/library/app:v1", await node.image(b"l")))
    await node.read(tmp_path / "x.tar", lambda _: (HUB, "v1"))
    tag = node.catalog.tag(HUB, "v1")
    assert tag is not None
    assert (tag.checked_at, tag.confirmed_at) == (0.0, 0.0)


async def test_an_archive_of_the_same_image_has_the_same_bytes(tmp_path: Path) -> None:
    node = Node()
    image = await node.image(LAYER)
    for name in ("a.tar", "b.tar"):
        await node.export(tmp_path / name, ("x:1", image))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


async def test_t33_an_index_goes_out_with_the_platforms_that_are_here(tmp_path: Path) -> None:
    node = Node()
    amd = await node.image(b"amd")
    arm = described(b"arm is not here", OCI_MANIFEST)
    both = await node.put({"manifests": [amd, arm]}, OCI_INDEX)
    await node.export(tmp_path / "x", ("x:1", both))
    other = Node()
    await other.read(tmp_path / "x")
    assert other.store.size_of(digest(both)) == both["size"]
    assert other.store.size_of(digest(amd)) == amd["size"]
    assert other.store.size_of(digest(arm)) is None


async def test_an_image_that_is_not_whole_does_not_go_out(tmp_path: Path) -> None:
    node = Node()
    image = await node.image(b"layer")
    await node.store.delete(digest_of(b"layer"))
    with pytest.raises(LayoutError, match="not whole"):
        await node.export(tmp_path / "x", ("x:1", image))
    assert os.listdir(tmp_path) == []


async def test_a_path_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    node = Node()
    (tmp_path / "x.tar").write_text("mine")
    with pytest.raises(LayoutError, match="exists already"):
        await node.export(tmp_path / "x.tar", ("x:1", await node.image(b"l")))
    assert (tmp_path / "x.tar").read_text() == "mine"
    assert os.listdir(tmp_path) == ["x.tar"]


async def test_a_place_that_takes_no_files_is_named(tmp_path: Path) -> None:
    node = Node()
    (tmp_path / "file").write_text("")
    with pytest.raises(LayoutError, match="cannot be written"):
        await node.export(tmp_path / "file" / "x.tar", ("x:1", await node.image(b"l")))


async def test_t12_one_flipped_bit_refuses_the_image_and_keeps_nothing_of_it(
    tmp_path: Path,
) -> None:
    node = Node()
    image = await node.image(LAYER)
    await node.export(tmp_path / "x", ("x:1", image))
    for victim in (digest_of(LAYER), digest(image)):
        path = tmp_path / "x" / "blobs" / "sha256" / victim.hex
        sound = path.read_bytes()
        path.write_bytes(bytes([sound[0] ^ 1]) + sound[1:])
        other = Node()
        with pytest.raises(LayoutError, match="not what its name says"):
            await other.read(tmp_path / "x")
        assert other.catalog.tag(APP, "1") is None
        assert other.catalog.repositories() == []
        assert other.store.size_of(victim) is None
        assert not other.store.spools
        path.write_bytes(sound)


async def test_a_layout_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    node = Node()
    await node.export(tmp_path / "x", ("x:1", await node.image(LAYER)))
    (tmp_path / "x" / "blobs" / "sha256" / digest_of(LAYER).hex).unlink()
    with pytest.raises(LayoutError, match="lacks"):
        await Node().read(tmp_path / "x")


async def test_t18_a_blob_that_is_a_link_out_of_the_layout_is_not_followed(tmp_path: Path) -> None:
    node = Node()
    await node.export(tmp_path / "x", ("x:1", await node.image(LAYER)))
    blob = tmp_path / "x" / "blobs" / "sha256" / digest_of(LAYER).hex
    blob.rename(tmp_path / "outside")
    blob.symlink_to(tmp_path / "outside")
    with pytest.raises(LayoutError):
        await Node().read(tmp_path / "x")


def archive(path: Path, *members: tuple[str, bytes, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../escape", tarfile.REGTYPE),
        ("/etc/escape", tarfile.REGTYPE),
        ("blobs/sha256/../../escape", tarfile.REGTYPE),
        ("..\\escape", tarfile.REGTYPE),
        ("index.json", tarfile.SYMTYPE),
        ("blobs/sha256/" + "a" * 64, tarfile.LNKTYPE),
        ("device", tarfile.CHRTYPE),
        ("pipe", tarfile.FIFOTYPE),
    ],
)
async def test_t18_an_archive_made_to_trick_a_reader_is_refused_whole(
    tmp_path: Path, name: str, kind: bytes
) -> None:
    path = tmp_path / "x.tar"
    archive(path, ("oci-layout", tarfile.REGTYPE, b"{}"), (name, kind, b""))
    with pytest.raises(LayoutError, match=r"leads out|link or a device"):
        await Node().read(path)


async def test_an_archive_with_one_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    archive(path, *[("index.json", tarfile.REGTYPE, b"{}")] * 2)
    with pytest.raises(LayoutError, match="twice"):
        await Node().read(path)


def test_other_members_are_passed_over_and_dots_before_names_are_fine() -> None:
    blob = "blobs/sha256/" + "a" * 64
    assert member_name(f"./{blob}", is_file=True, is_folder=False) == blob
    assert member_name("blobs/sha256", is_file=False, is_folder=True) is None
    for name in ("manifest.json", "blobs/sha256/x", "blobs/md5/" + "a" * 32, "a/b/c/d"):
        assert member_name(name, is_file=True, is_folder=False) is None


@pytest.mark.parametrize(
    ("marker", "index"),
    [
        (b"", b"{}"),
        (b'{"imageLayoutVersion":"2.0.0"}', b'{"manifests":[]}'),
        (b'{"imageLayoutVersion":"1.0.0"}', b"[]"),
        (b'{"imageLayoutVersion":"1.0.0"}', b"{}"),
        (b'{"imageLayoutVersion":"1.0.0"}', b'{"manifests":[{"mediaType":"text/html"}]}'),
        (b'{"imageLayoutVersion":"1.0.0"}' + b" " * 5000, b'{"manifests":[]}'),
    ],
)
async def test_documents_that_are_no_layout_are_refused(
    tmp_path: Path, marker: bytes, index: bytes
) -> None:
    path = tmp_path / "x.tar"
    archive(path, ("oci-layout", tarfile.REGTYPE, marker), ("index.json", tarfile.REGTYPE, index))
    with pytest.raises(LayoutError):
        await Node().read(path)


async def test_what_is_no_layout_at_all_is_named(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"junk" * 1000)
    for path in (tmp_path / "junk", tmp_path / "nothing", tmp_path):
        with pytest.raises(LayoutError):
            await Node().read(path)


async def test_an_archive_cut_short_leaves_nothing_open(tmp_path: Path) -> None:
    node = Node()
    path = tmp_path / "x.tar"
    await node.export(path, ("x:1", await node.image(LAYER)))
    whole = path.read_bytes()
    start = whole.index(LAYER)
    other = Node()
    # The members before the cut are listed; the layer's bytes end early.
    path.write_bytes(whole[: start + 1000])
    with pytest.raises(LayoutError):
        await other.read(path)
    assert not other.store.spools
    assert list(other.store.blobs()) == []


async def test_t22_indexes_nested_without_end_are_refused(tmp_path: Path) -> None:
    node = Node()
    below = await node.image(b"l")
    for _ in range(12):
        below = await node.put({"manifests": [below]}, OCI_INDEX)
    folder = tmp_path / "x" / "blobs" / "sha256"
    folder.mkdir(parents=True)
    for blob in node.store.blobs():
        data = await node.store.read(blob.digest, bytes_max=1 << 20)
        (folder / blob.digest.hex).write_bytes(data)
    (tmp_path / "x" / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    (tmp_path / "x" / "index.json").write_text(json.dumps({"manifests": [below]}))
    with pytest.raises(LayoutError, match="too deeply"):
        await Node().read(tmp_path / "x")


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_cancelled_export_leaves_nothing_behind(tmp_path: Path, turns: int) -> None:
    node = Node()
    image = await node.image(LAYER)
    running = asyncio.ensure_future(node.export(tmp_path / "x.tar", ("x:1", image)))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert list(tmp_path.iterdir()) == []


async def test_t17_a_layout_without_the_bytes_gives_no_right_to_what_others_hold(
    tmp_path: Path,
) -> None:
    node = Node()
    await node.export(tmp_path / "x", ("x:1", await node.image(LAYER)))
    await node.read(tmp_path / "x")
    (tmp_path / "x" / "blobs" / "sha256" / digest_of(LAYER).hex).unlink()
    assert [image.tag for image in await node.read(tmp_path / "x")] == ["1"]  # held: not read again
    with pytest.raises(LayoutError, match="lacks"):
        await node.read(tmp_path / "x", lambda _: (HUB, "1"))
