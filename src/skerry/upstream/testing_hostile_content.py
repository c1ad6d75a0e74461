"""Attacks on the content: what a hostile registry gives for what was asked.

Owns the tables for bodies, documents and lists (known failures T6, T10 to T13, T18, T20, T22).
What must come of each is in its row.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from skerry.telemetry.validation import Cause
from skerry.upstream.testing_hostile import (
    Ask,
    Attack,
    Framing,
    Said,
    Stage,
    Step,
    Turn,
    answered,
    instead,
    with_field,
)

_PAGE = (b"<!doctype html><title>Log in</title>", ("Content-Type", "text/html; charset=utf-8"))
_SHA = "sha256:" + "ab" * 32
_OTHER = "sha256:" + "cd" * 32
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"

_MISMATCH, _ANSWER, _MANIFEST_NO = (
    Cause.DIGEST_MISMATCH, Cause.ANSWER_REFUSED, Cause.MANIFEST_REFUSED
)  # fmt: skip
_BY_TAG, _BY_DIGEST = Step.MANIFEST_BY_TAG, Step.MANIFEST_BY_DIGEST

Document = dict[str, object]


def _flipped(ask: Ask, honest: Said, stage: Stage) -> Said:
    changed = bytearray(honest.body)
    changed[len(changed) // 2] ^= 1
    return replace(honest, body=bytes(changed))


def _halved(framing: Framing) -> Turn:
    def turn(ask: Ask, honest: Said, stage: Stage) -> Said:
        return replace(honest, body=honest.body[: len(honest.body) // 2], framing=framing)

    return turn


def _cut(ask: Ask, honest: Said, stage: Stage) -> Said:
    return replace(honest, cut_at_bytes=len(honest.body) // 2)


def _longer(ask: Ask, honest: Said, stage: Stage) -> Said:
    return replace(honest, body=honest.body + b"more", framing=Framing.CHUNKED)


def _a_part(ask: Ask, honest: Said, stage: Stage) -> Said:
    half = len(honest.body) // 2
    said = honest.with_field("Content-Range", f"bytes 0-{half - 1}/{len(honest.body)}")
    return replace(said, status=206, body=honest.body[:half])


def _document(change: Callable[[Document], object]) -> Turn:
    """The manifest with something changed in it, under its own right digest."""

    def turn(ask: Ask, honest: Said, stage: Stage) -> Said:
        document: Document = json.loads(honest.body)
        change(document)
        return _plain(honest, json.dumps(document).encode())

    return turn


def _set(**more: object) -> Turn:
    return _document(lambda document: document.update(more))


def _layers(*layers: object) -> Turn:
    return _set(layers=list(layers))


def _layer(digest: object = _SHA, size: object = 1, **more: object) -> Document:
    return {"mediaType": _LAYER, "digest": digest, "size": size, **more}


def _without(*names: str) -> Turn:
    return _document(lambda document: [document.pop(name) for name in names])


def _first(member: bytes) -> Turn:
    """The manifest with one more member before all others, written as it is."""

    def turn(ask: Ask, honest: Said, stage: Stage) -> Said:
        return _plain(honest, honest.body.replace(b"{", b"{" + member + b",", 1))

    return turn


def _recoded(change: Callable[[bytes], bytes]) -> Turn:
    return lambda ask, honest, stage: _plain(honest, change(honest.body))


def _plain(honest: Said, body: bytes) -> Said:
    """A document without the name that would give it away."""
    kept = tuple(pair for pair in honest.fields if pair[0] != "Docker-Content-Digest")
    return replace(honest, body=body, fields=kept)


BODIES: tuple[Attack, ...] = (
    Attack("blob-of-other-bytes", "T10", Step.BLOB, _flipped, _MISMATCH),
    Attack("blob-that-is-shorter", "T13", Step.BLOB, _halved(Framing.LENGTH), _MISMATCH),
    Attack("blob-of-half-in-chunks", "T13", Step.BLOB, _halved(Framing.CHUNKED), _MISMATCH),
    Attack("blob-of-half-and-an-end", "T13", Step.BLOB, _halved(Framing.CLOSE), _MISMATCH),
    Attack("blob-cut", "T13", Step.BLOB, _cut, None),
    Attack(
        "blob-in-chunks", "T13", Step.BLOB,
        answered(framing=Framing.CHUNKED), None, served=True,
    ),
    Attack("blob-that-goes-on", "T13", Step.BLOB, _longer, _MISMATCH),
    Attack("blob-that-is-a-page", "T11", Step.BLOB, instead(200, *_PAGE), _ANSWER),
    Attack("blob-of-a-part", "T19", Step.BLOB, _a_part, _ANSWER),
    Attack("blob-coded", "T13", Step.BLOB, with_field("Content-Encoding", "gzip"), _ANSWER),
    Attack("blob-coded-by-zstd", "T13", Step.BLOB, with_field("Content-Encoding", "zstd"), _ANSWER),
    Attack(
        "blob-of-two-lengths", "T13", Step.BLOB,
        with_field("Transfer-Encoding", "chunked"), _ANSWER,
    ),
    Attack(
        "blob-of-a-giant-length", "T22", Step.BLOB,
        answered(announced_bytes=1 << 62), _MISMATCH,
    ),
    Attack("manifest-that-is-a-page", "T11", _BY_TAG, instead(200, *_PAGE), _ANSWER),
    Attack(
        "manifest-of-other-json", "T11", _BY_TAG,
        instead(200, b'{"status":"ok"}'), _MANIFEST_NO,
    ),
    Attack("manifest-of-nothing", "T16", _BY_TAG, instead(200, b""), _MANIFEST_NO),
    Attack("manifest-of-other-bytes", "T12", _BY_DIGEST, _flipped, _MISMATCH),
    Attack(
        "manifest-of-another-name", "T12", _BY_TAG,
        with_field("Docker-Content-Digest", _OTHER), _MISMATCH,
    ),
    Attack(
        "manifest-of-no-name", "T12", _BY_TAG,
        with_field("Docker-Content-Digest", "sha256:../../etc"), _MISMATCH,
    ),
    Attack(
        "manifest-that-came-as-another", "T20", _BY_TAG,
        with_field("Content-Type", _DOCKER), _MANIFEST_NO,
    ),
    Attack("manifest-coded", "T13", _BY_TAG, with_field("Content-Encoding", "gzip"), _ANSWER),
)  # fmt: skip

_DOCUMENTS: tuple[tuple[str, str, Turn], ...] = (
    ("document-of-two-shapes", "T20", _set(manifests=[])),
    ("document-of-schema-one", "T20", _set(schemaVersion=1, fsLayers=[])),
    ("document-of-another-type", "T20", _set(mediaType=_INDEX)),
    ("document-of-a-strange-type", "T20", _set(mediaType="text/x-manifest")),
    ("document-that-says-a-thing-twice", "T20", _first(b'"schemaVersion":2')),
    ("document-without-config", "T20", _without("config")),
    ("document-with-nan", "T20", _first(b'"x":NaN')),
    ("document-with-a-tail", "T20", _recoded(lambda body: body + b" {}")),
    ("document-in-utf-16", "T20", _recoded(lambda body: body.decode().encode("utf-16"))),
    ("document-that-climbs-out", "T18", _layers(_layer("sha256:../../../etc/passwd"))),
    ("document-of-capitals", "T18", _layers(_layer("sha256:" + "AB" * 32))),
    ("document-of-short-digests", "T18", _layers(_layer("sha256:abcd"))),
    ("document-of-long-digests", "T18", _layers(_layer("sha256:" + "ab" * 64))),
    ("document-of-md5", "T18", _layers(_layer("md5:" + "ab" * 16))),
    ("document-of-slashes", "T18", _layers(_layer("sha256:" + "%2f" * 21 + "a"))),
    ("document-of-numbers", "T18", _layers(_layer(5))),
    ("document-of-giant-layers", "T22", _layers(_layer(size=1 << 62))),
    ("document-of-endless-layers", "T22", _layers(_layer(size=10**30))),
    ("document-of-negative-layers", "T22", _layers(_layer(size=-1))),
    ("document-of-half-layers", "T22", _layers(_layer(size=1.5))),
    ("document-of-true-layers", "T22", _layers(_layer(size=True))),
    ("document-of-many-layers", "T22", _layers(*[_layer()] * 1001)),
    ("document-too-deep", "T22", _first(b'"x":' + b"[" * 200 + b"]" * 200)),
    ("document-far-too-deep", "T22", _first(b'"x":' + b"[" * 99_999 + b"]" * 99_999)),
    ("document-of-a-long-number", "T22", _first(b'"x":' + b"2" * 100_000)),
    ("document-of-words-for-urls", "T6", _layers(_layer(urls="https://evil.test/layer"))),
)
"""Manifests that must not be kept, by whatever name they come."""


def _too_long(document: Document) -> None:
    document["annotations"] = {"padding": "a" * (5 << 20)}


def _giant_list(count: int) -> bytes:
    item = {"mediaType": _MANIFEST, "digest": _SHA, "size": 1}
    return json.dumps({"schemaVersion": 2, "manifests": [item] * count}).encode()


def _endless_tags(link: str) -> Turn:
    def turn(ask: Ask, honest: Said, stage: Stage) -> Said:
        page = ask.query.count("&") and int(ask.query.rpartition("=")[2]) + 1
        names = [f"t{page}-{number}" for number in range(1000)]
        body = json.dumps({"name": "team/app", "tags": names}).encode()
        return replace(honest, body=body).with_field(
            "Link", stage.fill(link).replace("PAGE", str(page))
        )

    return turn


DOCUMENTS: tuple[Attack, ...] = tuple(
    Attack(name, failure, _BY_TAG, turn, _MANIFEST_NO) for name, failure, turn in _DOCUMENTS
)

LISTS: tuple[Attack, ...] = (
    Attack("document-too-long", "T22", _BY_TAG, _document(_too_long), _MANIFEST_NO),
    Attack(
        "referrers-too-many", "T22", Step.REFERRERS,
        instead(200, _giant_list(1001)), _MANIFEST_NO,
    ),
    Attack(
        "referrers-too-long", "T22", Step.REFERRERS,
        instead(200, _giant_list(60_000)), _MANIFEST_NO,
    ),
    Attack("referrers-that-are-a-page", "T11", Step.REFERRERS, instead(200, *_PAGE), _ANSWER),
    Attack("referrers-too-deep", "T22", Step.REFERRERS, instead(200, b"[" * 50_000), _MANIFEST_NO),
    Attack(
        "tags-without-end", "T22", Step.TAGS,
        _endless_tags('</v2/team/app/tags/list?n=1000&last=PAGE>; rel="next"'), None, served=True,
    ),
    Attack(
        "tags-that-go-elsewhere", "T5", Step.TAGS,
        _endless_tags('<https://127.0.0.1:{trap}/v2/x/tags/list?n=1000&last=PAGE>; rel="next"'),
        None, served=True,
    ),
    Attack(
        "tags-that-go-nowhere", "T22", Step.TAGS,
        with_field("Link", '<http://[>; rel="next"'), None, served=True,
    ),
    Attack(
        "tags-too-long", "T22", Step.TAGS,
        instead(200, b'{"tags":["' + b"a" * (5 << 20) + b'"]}'), _MANIFEST_NO,
    ),
    Attack(
        "tags-that-are-no-list", "T22", Step.TAGS,
        instead(200, b'{"tags":{"a":1}}'), None, served=True,
    ),
    Attack(
        "tags-too-deep", "T22", Step.TAGS,
        instead(200, b'{"tags":' + b"[" * 50_000), _MANIFEST_NO,
    ),
)  # fmt: skip
