"""What refers to a manifest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skerry.base.digest import digest_of
from skerry.registry.core.manifests import DESCRIPTORS_MAX, OCI_INDEX, OCI_MANIFEST, InvalidManifest
from skerry.registry.core.referrers import (
    Descriptor,
    companion_tags,
    descriptor_of,
    fallback_tag,
    filtered,
    index_of,
    listing_body,
    merge,
    parse_body,
    parse_referrers,
    subject_of_tag,
)
from skerry.registry.testing import some_digest, some_image

SBOM = Descriptor(OCI_MANIFEST, digest_of(b"a"), 5, "application/x-sbom", (("k", "v"),))
SIGNATURE = Descriptor(OCI_MANIFEST, digest_of(b"b"), 6)


def answer(*entries: Any, **more: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries), **more}
    return json.dumps(document).encode()


def test_an_answer_is_read_as_it_was_written() -> None:
    assert parse_referrers(index_of([SBOM, SIGNATURE])) == (SBOM, SIGNATURE)
    assert parse_body(listing_body([SBOM, SIGNATURE])) == (SBOM, SIGNATURE)
    assert json.loads(index_of([])) == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [],
    }


def test_a_descriptor_says_only_what_is_known() -> None:
    (entry,) = json.loads(index_of([SIGNATURE]))["manifests"]
    assert entry == {"mediaType": OCI_MANIFEST, "digest": str(digest_of(b"b")), "size": 6}


def test_a_manifest_here_is_listed_with_its_type_and_annotations() -> None:
    image = some_image("sbom", subject=some_digest("x"))
    assert descriptor_of(image) == Descriptor(
        OCI_MANIFEST, image.digest, 300, "application/x-sbom", (("made.by", "sbom"),)
    )


def test_a_filter_says_that_it_was_applied() -> None:
    assert filtered([SBOM, SIGNATURE], "application/x-sbom").descriptors == (SBOM,)
    assert filtered([SBOM, SIGNATURE], "application/x-sbom").applied
    assert filtered([SBOM], "application/none") == filtered([], "application/none")
    assert not filtered([SBOM], None).applied


def test_lists_merge_by_digest_and_the_first_word_counts() -> None:
    other = Descriptor(OCI_MANIFEST, SBOM.digest, 5, "application/other")
    assert merge([SIGNATURE], [SBOM], [other]) == tuple(
        sorted([SBOM, SIGNATURE], key=lambda item: item.digest)
    )


def test_tags_beside_an_image_follow_the_schemes() -> None:
    digest = digest_of(b"x")
    assert fallback_tag(digest) == f"sha256-{digest.hex}"
    assert fallback_tag(digest_of(b"x", "sha512")) == f"sha512-{digest_of(b'x', 'sha512').hex[:64]}"
    assert companion_tags(digest) == tuple(
        f"sha256-{digest.hex}.{kind}" for kind in ("sig", "att", "sbom")
    )
    assert companion_tags(digest_of(b"x", "sha512")) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b"[]",
        answer(schemaVersion=1),
        answer(mediaType=OCI_MANIFEST),
        answer("x"),
        answer({"digest": str(digest_of(b"a")), "size": 1}),
        answer({"mediaType": OCI_MANIFEST, "digest": "sha256:..", "size": 1}),
        answer({"mediaType": OCI_MANIFEST, "digest": str(digest_of(b"a")), "size": -1}),
        answer(*({} for _ in range(DESCRIPTORS_MAX + 1))),
        answer().ljust((4 << 20) + 1),
    ],
    ids=range(10),
)
def test_t22_an_upstream_cannot_flood_or_trick_us_with_referrers(data: bytes) -> None:
    with pytest.raises(InvalidManifest):
        parse_referrers(data)


def test_a_companions_tag_says_what_it_belongs_to() -> None:
    digest = digest_of(b"x")
    for tag in (fallback_tag(digest), *companion_tags(digest)):
        assert subject_of_tag(tag) == digest
    for tag in ("latest", f"sha256-{digest.hex}.exe", f"sha256-{digest.hex[1:]}", "sha256-"):
        assert subject_of_tag(tag) is None
