"""distribution-spec 1.1 "Content Discovery": tag lists and referrers, own and pulled through.

The mirrored doors have an upstream that knows the referrers API (a Skerry node) and one that
does not (Debian's docker-registry 2.8, where the fallback tag holds the list).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import (
    EMPTY_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    Image,
    Piece,
    document,
    index,
    noise,
    push,
)
from tests.rig import images, nodes, spec
from tests.rig.nodes import HOST, PASSWORD, USER
from tests.rig.processes import Rig
from tests.rig.spec import is_refused, put_manifest

TAGS = ["1.0", "10", "2", "A", "Z", "_private", "a", "a.b-c_d", "latest", "z"]
"""In ASCII order, as the spec asks ("lexical order")."""
SIGNATURE, SBOM = "application/vnd.example.signature", "application/vnd.example.sbom"
NOTE = "org.example.note"
SUBJECT = images.small(80)
GHOST = images.small(81)
"""A subject that was never pushed."""


def _attached(subject: Image, kind: str, note: str, *, by_config: bool = False) -> Image:
    """An artifact that says its type itself, or by its config's media type."""
    config = Piece.of(kind if by_config else EMPTY_TYPE, b"{}")
    layer = Piece.of("application/octet-stream", noise(len(note), 40))
    content: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        **({} if by_config else {"artifactType": kind}),
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
        "subject": subject.manifest.descriptor(),
        "annotations": {NOTE: note},
    }
    return Image(Piece.of(MANIFEST_TYPE, document(content)), (config, layer))


def _listed(subject: Image, kind: str, note: str, child: Image) -> Image:
    """An index that is attached to something."""
    content = json.loads(index([child]).manifest.data)
    content |= {"artifactType": kind, "annotations": {NOTE: note}}
    content["subject"] = subject.manifest.descriptor()
    return Image(Piece.of(INDEX_TYPE, document(content)), children=(child,))


BEFORE = [_attached(SUBJECT, SIGNATURE, "one"), _attached(SUBJECT, SBOM, "two", by_config=True)]
AFTER = [
    _attached(SUBJECT, SIGNATURE, "three", by_config=True),
    _listed(SUBJECT, SBOM, "four", images.small(82)),
]
STRAY = _attached(GHOST, SIGNATURE, "stray")
TYPES = {item.digest: kind for item, kind in zip([*BEFORE, *AFTER, STRAY],
         [SIGNATURE, SBOM, SIGNATURE, SBOM, SIGNATURE], strict=True)}  # fmt: skip


@dataclass(frozen=True)
class Door:
    """A place to look: `repository` holds TAGS and everything that is attached."""

    client: RegistryClient
    repository: str

    def tags(self, query: str = "") -> Got:
        return self.client.get(f"/v2/{self.repository}/tags/list{query}")

    def referrers(self, image: Image, query: str = "") -> Got:
        return self.client.get(f"/v2/{self.repository}/referrers/{image.digest}{query}")


def _fill(client: RegistryClient, repository: str, *, fallback: bool = False) -> None:
    image = images.small(83)
    push(client, repository, image)
    for tag in TAGS:
        client.push_manifest(repository, tag, MANIFEST_TYPE, image.manifest.data)
    place = f"{repository}/attached"
    for item in (*BEFORE, SUBJECT, *AFTER, STRAY):
        push(client, place, item)
    if fallback:
        for subject, found in ((SUBJECT, [*BEFORE, *AFTER]), (GHOST, [STRAY])):
            push(client, place, _fallback(found), f"sha256-{subject.digest.hex}")


def _fallback(found: list[Image]) -> Image:
    """What a client keeps at the fallback tag ("Pushing Manifests with Subject")."""
    entries = [
        item.manifest.descriptor(artifactType=TYPES[item.digest], annotations={NOTE: _note(item)})
        for item in found
    ]
    content = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    return Image(Piece.of(INDEX_TYPE, document(content)))


def _note(item: Image) -> str:
    return str(json.loads(item.manifest.data)["annotations"][NOTE])


def _own(rig: Rig) -> Door:
    base = nodes.settings("http://127.0.0.1:1")
    node = rig.node(nodes.with_local(base, rig.place("users")))
    _fill(RegistryClient(node.registry, user=USER, password=PASSWORD), "local/found")
    return Door(RegistryClient(node.registry), "local/found")


def _through_docker_registry(rig: Rig) -> Door:
    upstream = rig.registry()
    _fill(upstream.client(), "team/found", fallback=True)
    node = rig.node(nodes.settings(upstream.url))
    return Door(RegistryClient(node.registry), f"{HOST}/team/found")


def _through_another_node(rig: Rig) -> Door:
    far = _own(rig)
    node = rig.node(nodes.settings(f"http://{far.client.authority}"))
    return Door(RegistryClient(node.registry), f"{HOST}/{far.repository}")


DOORS: dict[str, Callable[[Rig], Door]] = {
    "own": _own,
    "through-docker-registry": _through_docker_registry,
    "through-another-node": _through_another_node,
}


@pytest.fixture(scope="module", params=DOORS)
def door(shared: Rig, request: pytest.FixtureRequest) -> Door:
    return DOORS[request.param](shared)


@pytest.fixture(scope="module")
def attached(door: Door) -> Door:
    """The repository beside it, where the referrers are."""
    return Door(door.client, f"{door.repository}/attached")


# tags


def test_all_tags_are_listed_in_order(door: Door) -> None:
    for _ in range(2):  # asked of the upstream, then held
        got = door.tags()
        assert got.status == 200, got.text()
        assert (got.headers.get("Content-Type") or "").startswith("application/json")
        assert json.loads(got.body) == {"name": door.repository, "tags": TAGS}
        assert got.headers.get("Link") is None


@pytest.mark.parametrize("count", [1, 3, 5, len(TAGS)])
def test_pages_of_n_lead_through_every_tag_once(door: Door, count: int) -> None:
    target, seen = f"/v2/{door.repository}/tags/list?n={count}", []
    for _ in range(len(TAGS)):
        got = door.client.get(target)
        page = json.loads(got.body)["tags"]
        assert 0 < len(page) <= count
        seen += page
        link = got.headers.get("Link")
        if link is None:
            break
        found = re.fullmatch(r'<([^>]+)>; ?rel="next"', link)
        assert found, link
        target = found[1]
    assert seen == TAGS


def test_last_says_where_to_go_on_and_need_not_exist(door: Door) -> None:
    for query, expected in (
        ("?last=A", TAGS[4:]),
        ("?n=2&last=A", TAGS[4:6]),
        ("?n=2&last=B", TAGS[4:6]),
        ("?n=5&last=z", []),
        ("?last=zzz", []),
        ("?n=1000", TAGS),
    ):
        got = door.tags(query)
        assert (got.status, json.loads(got.body)["tags"]) == (200, expected), query


def test_n_of_zero_is_an_empty_page_without_a_next_one(door: Door) -> None:
    got = door.tags("?n=0")
    assert (got.status, json.loads(got.body)["tags"]) == (200, [])
    assert got.headers.get("Link") is None


@pytest.mark.parametrize("n", ["-1", "many", "1.5", "99999999999999999999"])
def test_an_n_that_is_no_number_is_refused(door: Door, n: str) -> None:
    assert door.tags(f"?n={n}").status == 400


def test_tags_of_what_does_not_exist_are_404(door: Door) -> None:
    got = door.client.get(f"/v2/{door.repository}/nowhere/tags/list")
    is_refused(got, 404, "NAME_UNKNOWN")


def test_a_repository_without_tags_has_an_empty_list(attached: Door) -> None:
    """Only digests were pushed there, and for docker-registry the fallback tags."""
    got = attached.tags()
    assert got.status == 200, got.text()
    assert [tag for tag in json.loads(got.body)["tags"] if not tag.startswith("sha256-")] == []


# referrers


def listed(got: Got) -> dict[str, dict[str, object]]:
    """Descriptors by digest; the answer has to be an OCI index."""
    assert got.status == 200, got.text()
    assert got.headers.get("Content-Type") == INDEX_TYPE
    content = json.loads(got.body)
    assert (content["schemaVersion"], content["mediaType"]) == (2, INDEX_TYPE)
    found = {entry["digest"]: entry for entry in content["manifests"]}
    assert len(found) == len(content["manifests"]), "one referrer is listed twice"
    return found


def test_referrers_pushed_before_and_after_their_subject_are_listed(attached: Door) -> None:
    for _ in range(2):
        found = listed(attached.referrers(SUBJECT))
        assert found.keys() == {str(item.digest) for item in (*BEFORE, *AFTER)}
        for item in (*BEFORE, *AFTER):
            entry = found[str(item.digest)]
            assert entry["artifactType"] == TYPES[item.digest]
            assert entry["annotations"] == {NOTE: _note(item)}
            assert entry["mediaType"] == item.manifest.media_type
            assert entry["size"] == len(item.manifest.data)


def test_referrers_are_filtered_by_artifact_type_and_the_answer_says_so(attached: Door) -> None:
    for kind in (SIGNATURE, SBOM):
        quoted = kind.replace("/", "%2F")
        for text in (kind, quoted):
            got = attached.referrers(SUBJECT, f"?artifactType={text}")
            wanted = {str(d.digest) for d in (*BEFORE, *AFTER) if TYPES[d.digest] == kind}
            assert listed(got).keys() == wanted
            assert got.headers.get("OCI-Filters-Applied") == "artifactType"
    nothing = attached.referrers(SUBJECT, "?artifactType=application/none")
    assert listed(nothing) == {}
    assert attached.referrers(SUBJECT).headers.get("OCI-Filters-Applied") is None


def test_the_referrers_of_a_missing_subject_are_listed(attached: Door) -> None:
    assert listed(attached.referrers(GHOST)).keys() == {str(STRAY.digest)}


def test_what_nobody_refers_to_has_an_empty_list(attached: Door) -> None:
    got = attached.client.get(f"/v2/{attached.repository}/referrers/{spec.ABSENT}")
    assert listed(got) == {}
    is_refused(
        attached.client.get(f"/v2/{attached.repository}/referrers/sha256:wrong"),
        400,
        "DIGEST_INVALID",
    )


def test_each_referrer_is_pulled_exactly(attached: Door) -> None:
    for item in (*BEFORE, *AFTER, STRAY):
        got = attached.client.manifest(attached.repository, item.digest)
        assert (got.status, got.body) == (200, item.manifest.data)
        for blob in item.every_blob():
            assert attached.client.blob(attached.repository, blob.digest).body == blob.data


def test_a_push_with_a_subject_says_so_and_one_without_does_not(shared: Rig) -> None:
    base = nodes.settings("http://127.0.0.1:1")
    node = shared.node(nodes.with_local(base, shared.place("users")))
    client = RegistryClient(node.registry, user=USER, password=PASSWORD)
    for item, subject in ((BEFORE[0], SUBJECT), (AFTER[1], SUBJECT), (STRAY, GHOST)):
        push(client, "local/said", item)
        data, kind = item.manifest.data, item.manifest.media_type
        done = put_manifest(client, "local/said", item.digest, kind, data)
        assert (done.status, done.headers.get("OCI-Subject")) == (201, str(subject.digest))
    push(client, "local/said", SUBJECT)
    done = put_manifest(client, "local/said", "1", MANIFEST_TYPE, SUBJECT.manifest.data)
    assert (done.status, done.headers.get("OCI-Subject")) == (201, None)

    gone = client.send("DELETE", f"/v2/local/said/manifests/{BEFORE[0].digest}")
    assert gone.status == 202
    place = Door(client, "local/said")
    assert listed(place.referrers(SUBJECT)).keys() == {str(AFTER[1].digest)}
