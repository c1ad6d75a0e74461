"""The catalog's conformance suite, and the values to try it with.

Owns the behaviour of `ports.Catalog`: each check gets a fresh, empty catalog and raises
AssertionError. Never reaches behind the port. The memory twin is `SqliteCatalog.open(None)`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from skerry.base.digest import Digest, digest_of
from skerry.registry.ports import (
    LOCAL,
    Catalog,
    Link,
    Listing,
    Manifest,
    Pin,
    Repository,
    Tag,
)

Check = Callable[[Catalog], Awaitable[None]]

NGINX = Repository("docker.io", "library/nginx")
OTHER = Repository("ghcr.io", "library/nginx")
PUSHED = Repository(LOCAL, "local/app")
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def some_digest(name: str) -> Digest:
    """A digest that is always the same for a name."""
    return digest_of(name.encode())


def some_image(name: str, *layers: str, subject: Digest | None = None) -> Manifest:
    """An image manifest with a config and these layers; the same name gives the same digest."""
    config = Link(some_digest(f"{name} config"), "config", "application/x-config", 10)
    blobs = tuple(Link(some_digest(layer), "layer", "application/x-tar", 100) for layer in layers)
    return Manifest(
        digest=some_digest(name),
        media_type=OCI,
        size_bytes=300,
        links=(config, *blobs),
        subject=subject,
        artifact_type="application/x-sbom" if subject else "",
        annotations=(("made.by", name),),
    )


def some_index(name: str, *images: Manifest, platforms: Iterable[str] = ()) -> Manifest:
    """An index of these images, each with its platform."""
    places = [*platforms, *("" for _ in images)]
    links = tuple(
        Link(image.digest, "manifest", image.media_type, image.size_bytes, platform)
        for image, platform in zip(images, places, strict=False)
    )
    return Manifest(some_digest(name), INDEX, 400, links)


def some_tag(repository: Repository, name: str, digest: Digest, at: float = 100.0) -> Tag:
    """A tag that was checked and confirmed at one moment."""
    return Tag(repository, name, digest, checked_at=at, confirmed_at=at)


def expect(truth: bool, what: str) -> None:
    """Raises AssertionError with a sentence."""
    if not truth:
        raise AssertionError(what)


async def tags_are_kept_with_all_they_say(catalog: Catalog) -> None:
    full = Tag(NGINX, "1.27", some_digest("a"), 5.0, 4.0, some_digest("b"), 3.0)
    await catalog.put_tag(full)
    expect(catalog.tag(NGINX, "1.27") == full, "a tag reads as it was written")
    settled = replace(full, pending=None, gone_at=None)
    await catalog.put_tag(settled)
    expect(catalog.tag(NGINX, "1.27") == settled, "writing a tag again replaces it")
    expect(catalog.tag(NGINX, "1.28") is None, "an unknown tag is None")
    await catalog.delete_tag(NGINX, "1.27")
    expect(catalog.tag(NGINX, "1.27") is None, "a deleted tag is gone")
    await catalog.delete_tag(NGINX, "1.27")


async def two_registries_never_mix_t19(catalog: Catalog) -> None:
    await catalog.put_tag(some_tag(NGINX, "latest", some_digest("hub")))
    await catalog.put_tag(some_tag(OTHER, "latest", some_digest("ghcr")))
    found = [catalog.tag(where, "latest") for where in (NGINX, OTHER)]
    expect([tag.digest for tag in found if tag] == [some_digest("hub"), some_digest("ghcr")], "")
    await catalog.put_manifest(NGINX, some_image("hub", "layer"), now=1.0)
    expect(not catalog.is_member(OTHER, some_digest("layer")), "membership is per upstream")
    expect(catalog.repositories_of(some_digest("layer")) == [NGINX], "")


async def tags_come_in_ascii_order(catalog: Catalog) -> None:
    for name in ("b", "a", "B", "1", "_", "a.b", "a-b"):
        await catalog.put_tag(some_tag(NGINX, name, some_digest("x")))
    await catalog.put_tag(some_tag(OTHER, "elsewhere", some_digest("x")))
    names = [tag.name for tag in catalog.tags(NGINX)]
    expect(names == sorted(names) and len(names) == 7, f"{names} are in ASCII order")
    expect(len(list(catalog.all_tags())) == 8, "all tags are of every repository")


async def a_manifest_brings_its_children_into_the_repository(catalog: Catalog) -> None:
    image = some_image("app", "one", "two", subject=some_digest("subject"))
    await catalog.put_manifest(NGINX, image, now=7.0)
    expect(catalog.manifest(image.digest) == image, "a manifest reads as it was written")
    expect(catalog.children(image.digest) == image.links, "links keep their order")
    members = {member.digest: member for member in catalog.members(NGINX)}
    wanted = {image.digest, *(link.child for link in image.links)}
    expect(members.keys() == wanted, "the manifest and its children are members")
    expect(members[image.digest].kind == "manifest", "the manifest is one as a manifest")
    expect(members[some_digest("one")].kind == "layer", "a layer is one as a layer")
    expect(not catalog.is_member(NGINX, some_digest("subject")), "the subject is not")
    expect(catalog.manifest(some_digest("one")) is None, "a layer is no manifest")
    expect(catalog.children(some_digest("one")) == (), "and has no children")


async def a_member_keeps_its_last_use(catalog: Catalog) -> None:
    await catalog.put_manifest(NGINX, some_image("a", "shared"), now=50.0)
    await catalog.put_manifest(NGINX, some_image("b", "shared"), now=90.0)
    times = {member.digest: member.last_used for member in catalog.members(NGINX)}
    expect(times[some_digest("shared")] == 50.0, "being linked again is no use")
    await catalog.touch(
        [(NGINX, some_digest("shared"), 70.0), (OTHER, some_digest("shared"), 99.0)]
    )
    await catalog.touch([(NGINX, some_digest("shared"), 60.0)])
    times = {member.digest: member.last_used for member in catalog.members(NGINX)}
    expect(times[some_digest("shared")] == 70.0, "a use moves it on, never back")
    expect(not list(catalog.members(OTHER)), "a use makes no member")


async def a_manifests_word_alone_makes_no_holder_t17(catalog: Catalog) -> None:
    """Naming a content is not having it."""
    image = some_image("shared", "a layer")
    layer = image.links[-1].child
    await catalog.put_manifest(NGINX, image, now=1.0)
    expect(catalog.holders(image.digest) == [NGINX], "the manifest itself was given")
    expect(catalog.is_member(NGINX, layer), "its layer is a member")
    expect(catalog.holders(layer) == [], "but nobody has shown to have it")
    await catalog.put_member(NGINX, layer, "layer", now=2.0)
    await catalog.put_manifest(NGINX, image, now=3.0)
    expect(catalog.holders(layer) == [NGINX], "what was proven stays proven")


async def members_are_put_found_and_deleted_with_their_tags_t17(catalog: Catalog) -> None:
    image = some_image("a", "layer")
    for where in (PUSHED, NGINX):
        await catalog.put_manifest(where, image, now=1.0)
        await catalog.put_tag(some_tag(where, "v1", image.digest))
    await catalog.put_tag(replace(some_tag(PUSHED, "v2", some_digest("z")), pending=image.digest))
    await catalog.delete_member(PUSHED, image.digest)
    expect(not catalog.is_member(PUSHED, image.digest), "it is gone from the repository")
    expect(catalog.tag(PUSHED, "v1") is None, "with the tag that meant it")
    left = catalog.tag(PUSHED, "v2")
    expect(left is not None and left.pending is None, "and the wish for it")
    expect(catalog.is_member(NGINX, image.digest), "another repository still has it")
    expect(catalog.tag(NGINX, "v1") is not None, "with its tag")
    expect(catalog.manifest(image.digest) == image, "and what it says")
    await catalog.delete_member(NGINX, image.digest)
    expect(catalog.manifest(image.digest) is None, "until nobody has it")
    await catalog.put_member(PUSHED, some_digest("loose"), "layer", now=3.0)
    await catalog.put_member(PUSHED, some_digest("loose"), "layer", now=2.0)
    found = [m.last_used for m in catalog.members(PUSHED) if m.digest == some_digest("loose")]
    expect(found == [3.0], "putting a member again never moves its use back")


async def referrers_are_found_by_repository(catalog: Catalog) -> None:
    subject = some_digest("image")
    for where, name in ((NGINX, "sbom"), (NGINX, "signature"), (OTHER, "elsewhere")):
        await catalog.put_manifest(where, some_image(name, subject=subject), now=1.0)
    found = [manifest.digest for manifest in catalog.referrers(NGINX, subject)]
    expect(found == sorted([some_digest("sbom"), some_digest("signature")]), "by digest")
    expect(catalog.referrers(NGINX, some_digest("other")) == [], "of this subject only")


async def parents_are_the_manifests_that_link_it_here(catalog: Catalog) -> None:
    first, second = some_image("a", "shared"), some_image("b", "shared")
    await catalog.put_manifest(NGINX, first, now=1.0)
    await catalog.put_manifest(NGINX, second, now=1.0)
    await catalog.put_manifest(OTHER, some_image("c", "shared"), now=1.0)
    found = catalog.parents(NGINX, some_digest("shared"))
    expect(found == sorted([first.digest, second.digest]), "those of the repository")
    expect(catalog.parents(NGINX, first.digest) == [], "a root has none")
    link = next(each for each in first.links if each.child == some_digest("shared"))
    size = catalog.linked_size(NGINX, some_digest("shared"))
    expect(size == link.size_bytes, "its length is what a manifest says")
    expect(catalog.linked_size(NGINX, some_digest("unknown")) is None, "nothing links it")
    expect(catalog.linked_size(OTHER, some_digest("b")) is None, "nor here")


async def dropping_an_image_leaves_what_others_need(catalog: Catalog) -> None:
    first, second = some_image("a", "shared", "mine"), some_image("b", "shared")
    for image in (first, second):
        await catalog.put_manifest(NGINX, image, now=1.0)
    await catalog.put_manifest(OTHER, first, now=1.0)
    await catalog.put_tag(some_tag(NGINX, "a", first.digest))
    await catalog.put_tag(replace(some_tag(NGINX, "b", second.digest), pending=first.digest))
    await catalog.drop([(NGINX, first.digest)])
    left = {member.digest for member in catalog.members(NGINX)}
    expect(left == {second.digest, *(link.child for link in second.links)}, "shared layers stay")
    expect(catalog.tag(NGINX, "a") is None, "its tag goes")
    tag = catalog.tag(NGINX, "b")
    expect(tag is not None and tag.pending is None, "a wish for it is forgotten")
    expect(len(list(catalog.members(OTHER))) == 4, "other repositories keep theirs")
    expect(catalog.manifest(first.digest) == first, "and what it says")


async def dropping_an_index_takes_its_images_along(catalog: Catalog) -> None:
    amd, arm = some_image("amd", "x"), some_image("arm", "y")
    inner = some_index("inner", arm)
    outer = some_index("outer", amd, inner)
    for manifest in (amd, arm, inner, outer):
        await catalog.put_manifest(NGINX, manifest, now=1.0)
    await catalog.put_tag(some_tag(NGINX, "amd-only", amd.digest))
    await catalog.put_listing(Listing(NGINX, "tags", "", "[]", 1.0, 1.0))
    await catalog.drop([(NGINX, outer.digest)])
    left = {member.digest for member in catalog.members(NGINX)}
    expect(
        left == {amd.digest, *(link.child for link in amd.links)}, "what a tag means stays, whole"
    )
    expect(catalog.manifest(arm.digest) is None, "the rest is forgotten")
    await catalog.drop([(NGINX, amd.digest)])
    expect(catalog.repositories() == [], "nothing is left of the repository")
    expect(catalog.listing(NGINX, "tags", "") is None, "nor of its listings")


async def several_roots_go_together(catalog: Catalog) -> None:
    first, second = some_image("a", "shared"), some_image("b", "shared")
    for image in (first, second):
        await catalog.put_manifest(NGINX, image, now=1.0)
    await catalog.drop([(NGINX, first.digest), (NGINX, second.digest)])
    expect(list(catalog.members()) == [], "what only they shared goes, too")
    await catalog.drop([])


async def listings_are_kept_by_subject(catalog: Catalog) -> None:
    tags = Listing(NGINX, "tags", "", '["1"]', 2.0, 1.0)
    about = Listing(NGINX, "referrers", "sha256:x", "{}", 4.0, 3.0)
    for listing in (tags, about):
        await catalog.put_listing(listing)
    expect(catalog.listing(NGINX, "tags", "") == tags, "a listing reads as it was written")
    expect(catalog.listing(NGINX, "referrers", "sha256:x") == about, "by subject")
    expect(catalog.listing(OTHER, "tags", "") is None, "by repository")
    await catalog.put_listing(replace(tags, body="[]"))
    found = catalog.listing(NGINX, "tags", "")
    expect(found is not None and found.body == "[]", "writing it again replaces it")


async def pins_are_kept_until_taken_away(catalog: Catalog) -> None:
    pin = Pin(NGINX, "1.27", 9.0)
    await catalog.put_pin(pin)
    await catalog.put_pin(replace(pin, created_at=99.0))
    expect(catalog.pins() == [pin], "pinning twice is pinning once")
    expect(await catalog.delete_pin(NGINX, "1.27"), "there was one")
    expect(not await catalog.delete_pin(NGINX, "1.27"), "there is none any more")


async def repositories_are_those_with_content_or_tags(catalog: Catalog) -> None:
    await catalog.put_manifest(NGINX, some_image("a", "l"), now=1.0)
    await catalog.put_tag(some_tag(PUSHED, "v1", some_digest("a")))
    await catalog.put_member(OTHER, some_digest("l"), "layer", now=1.0)
    expect(catalog.repositories() == sorted([NGINX, PUSHED, OTHER]), "each once, in order")
    found = catalog.repositories_of(some_digest("l"))
    expect(found == sorted([NGINX, OTHER]), "by content")


CATALOG_CHECKS: tuple[Check, ...] = (
    tags_are_kept_with_all_they_say,
    two_registries_never_mix_t19,
    tags_come_in_ascii_order,
    a_manifest_brings_its_children_into_the_repository,
    a_member_keeps_its_last_use,
    a_manifests_word_alone_makes_no_holder_t17,
    members_are_put_found_and_deleted_with_their_tags_t17,
    referrers_are_found_by_repository,
    parents_are_the_manifests_that_link_it_here,
    dropping_an_image_leaves_what_others_need,
    dropping_an_index_takes_its_images_along,
    several_roots_go_together,
    listings_are_kept_by_subject,
    pins_are_kept_until_taken_away,
    repositories_are_those_with_content_or_tags,
)
"""What every catalog must do."""
