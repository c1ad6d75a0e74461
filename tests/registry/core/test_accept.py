"""What upstreams are asked for."""

from __future__ import annotations

import json

import pytest

from skerry.base.digest import digest_of
from skerry.registry.core.accept import UPSTREAM_ACCEPT
from skerry.registry.core.manifests import INDEX_TYPES, parse_manifest


@pytest.mark.parametrize("media_type", UPSTREAM_ACCEPT)
def test_t19_every_type_that_upstreams_are_asked_for_can_be_read(media_type: str) -> None:
    blob = {"mediaType": "application/x", "digest": str(digest_of(b"")), "size": 0}
    shape = {"manifests": []} if media_type in INDEX_TYPES else {"config": blob, "layers": []}
    document = {"schemaVersion": 2, "mediaType": media_type, **shape}
    assert parse_manifest(json.dumps(document).encode(), media_type).media_type == media_type
