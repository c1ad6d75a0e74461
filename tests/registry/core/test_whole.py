"""Whether an image is whole here, for which platforms, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from skerry.base.digest import Digest
from skerry.registry.core.whole import (
    DEPTH_MAX,
    Completeness,
    completeness,
    platforms_held,
    reachable,
)
from skerry.registry.ports import Link, Manifest
from skerry.registry.testing import some_digest, some_image, some_index


@dataclass
class Here:
    """What the catalog and the store hold."""

    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    sizes: dict[Digest, int] = field(default_factory=dict)

    def put(self, manifest: Manifest, *, without: tuple[str, ...] = ()) -> None:
        self.manifests[manifest.digest] = manifest
        self.sizes[manifest.digest] = manifest.size_bytes
        lost = {some_digest(name) for name in without}
        for link in manifest.links:
            if link.kind != "manifest" and link.child not in lost and not link.foreign:
                self.sizes[link.child] = link.size_bytes

    def of(self, root: Manifest, *platforms: str) -> Completeness:
        wanted = frozenset(platforms) if platforms else None
        return completeness(root.digest, self.manifests.get, self.sizes.get, platforms=wanted)


AMD, ARM = some_image("amd", "base", "amd layer"), some_image("arm", "base", "arm layer")
BOTH = some_index("both", AMD, ARM, platforms=("linux/amd64", "linux/arm64/v8"))


def test_an_image_is_whole_with_its_config_and_every_layer() -> None:
    here = Here()
    here.put(AMD)
    assert here.of(AMD) == Completeness(True, (), 510, 510)
    del here.sizes[some_digest("amd layer")]
    assert here.of(AMD) == Completeness(False, (some_digest("amd layer"),), 410, 510)


def test_a_manifest_whose_bytes_are_gone_is_not_whole_t16() -> None:
    here = Here()
    here.put(AMD)
    del here.sizes[AMD.digest]
    assert here.of(AMD).missing == (AMD.digest,)


def test_what_was_never_seen_is_missing() -> None:
    assert Here().of(AMD).missing == (AMD.digest,)


def test_t33_an_index_is_whole_for_the_platforms_it_holds() -> None:
    here = Here()
    here.put(BOTH)
    here.put(AMD)
    found = here.of(BOTH)
    assert found.whole
    assert (found.platforms_held, found.platforms_part, found.platforms_missing) == (
        ("linux/amd64",),
        (),
        ("linux/arm64/v8",),
    )
    assert platforms_held(BOTH.digest, here.manifests.get, here.sizes.get) == ("linux/amd64",)
    assert here.of(BOTH, "linux/amd64").whole
    arm = here.of(BOTH, "linux/arm64")
    assert (arm.whole, arm.missing) == (False, (ARM.digest,))


def test_a_platform_that_is_here_in_part_makes_the_index_half_present() -> None:
    here = Here()
    here.put(BOTH)
    here.put(AMD)
    here.put(ARM, without=("arm layer",))
    found = here.of(BOTH)
    assert (found.whole, found.missing) == (False, (some_digest("arm layer"),))
    assert found.platforms_part == ("linux/arm64/v8",)
    assert here.of(BOTH, "linux/amd64").whole


def test_an_index_without_any_child_here_is_not_whole() -> None:
    here = Here()
    here.put(BOTH)
    found = here.of(BOTH)
    assert (found.whole, set(found.missing)) == (False, {AMD.digest, ARM.digest})
    assert not here.of(BOTH, "windows/amd64").whole


def test_an_empty_index_is_whole() -> None:
    here = Here()
    empty = some_index("empty")
    here.put(empty)
    assert here.of(empty).whole


def test_shared_layers_are_counted_once() -> None:
    here = Here()
    for manifest in (BOTH, AMD, ARM):
        here.put(manifest)
    # index 400, two manifests 300, two configs 10, base and one own layer each 100
    assert here.of(BOTH).total_bytes == 400 + 600 + 20 + 300


def test_attestations_are_not_needed() -> None:
    note = some_image("attestation", "in-toto")
    index = some_index("with note", AMD, note, platforms=("linux/amd64", "unknown/unknown"))
    here = Here()
    here.put(index)
    here.put(AMD)
    here.put(note, without=("in-toto",))
    assert here.of(index).whole


def test_foreign_layers_are_not_needed() -> None:
    foreign = Link(some_digest("windows"), "layer", "x/y", 100, foreign=True)
    image = replace(AMD, links=(*AMD.links, foreign))
    here = Here()
    here.put(image)
    assert here.of(image) == Completeness(True, (), 510, 510)


def test_a_nested_index_is_followed() -> None:
    inner = some_index("inner", ARM)
    outer = some_index("outer", AMD, inner)
    here = Here()
    for manifest in (outer, inner, AMD):
        here.put(manifest)
    found = here.of(outer)
    assert (found.whole, found.missing) == (False, (ARM.digest,))
    here.put(ARM)
    assert here.of(outer).whole
    links = [link.child for link in reachable(outer.digest, here.manifests.get)]
    assert len(links) == len(set(links)) == 8


def test_t22_a_cycle_ends_the_walk() -> None:
    a, b = some_index("a", some_image("b")), some_index("b", some_image("a"))
    here = Here()
    here.put(a)
    here.put(b)
    assert not here.of(a).whole
    assert len(list(reachable(a.digest, here.manifests.get))) == 1


def test_t22_a_wide_cycle_costs_no_more_than_its_links() -> None:
    here = Here()
    a = some_index("a", *[some_image("b")] * 50)
    b = some_index("b", *[some_image("a")] * 50)
    here.put(a)
    here.put(b)
    asked: list[Digest] = []

    def counted(digest: Digest) -> Manifest | None:
        asked.append(digest)
        assert len(asked) < 1000
        return here.manifests.get(digest)

    assert not completeness(a.digest, counted, here.sizes.get).whole


def test_t22_indexes_nested_too_deeply_are_not_whole() -> None:
    here = Here()
    below = AMD
    here.put(AMD)
    for depth in range(DEPTH_MAX + 3):
        below = some_index(f"depth {depth}", below)
        here.put(below)
    assert not here.of(below).whole


def test_t22_a_child_named_a_thousand_times_at_every_depth_costs_one_walk() -> None:
    here = Here()
    below = AMD
    here.put(AMD)
    asked = 0

    def counted(digest: Digest) -> Manifest | None:
        nonlocal asked
        asked += 1
        return here.manifests.get(digest)

    for depth in range(DEPTH_MAX - 1):
        below = some_index(f"wide {depth}", *[below] * 500)
        here.put(below)
    assert completeness(below.digest, counted, here.sizes.get).whole
    assert asked < 500 * DEPTH_MAX * 2


@given(st.sets(st.sampled_from(["amd", "arm", "amd config", "base", "amd layer", "arm layer"])))
def test_whole_means_that_nothing_is_missing(lost: set[str]) -> None:
    here = Here()
    for manifest in (BOTH, AMD, ARM):
        here.put(manifest, without=tuple(lost))
    for manifest, name in ((AMD, "amd"), (ARM, "arm")):
        if name in lost:
            del here.manifests[manifest.digest]
    found = here.of(BOTH)
    assert found.whole == (not found.missing)
    assert found.held_bytes <= found.total_bytes
    assert (found.held_bytes == found.total_bytes) == found.whole
    places = {*found.platforms_held, *found.platforms_part, *found.platforms_missing}
    assert places == {"linux/amd64", "linux/arm64/v8"}
