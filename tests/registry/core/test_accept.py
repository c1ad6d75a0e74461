"""Which media types a client takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.registry.core.accept import UPSTREAM_ACCEPT, acceptable, normalise
from skerry.registry.core.manifests import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MEDIA_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
)


@pytest.mark.parametrize(
    ("lines", "media_type", "wanted"),
    [
        ([], OCI_INDEX, True),
        ([""], OCI_INDEX, True),
        (["*/*"], OCI_INDEX, True),
        (["application/*"], OCI_INDEX, True),
        (["text/*"], OCI_INDEX, False),
        ([DOCKER_MANIFEST, DOCKER_LIST], OCI_INDEX, False),
        ([f"{DOCKER_MANIFEST}, {OCI_INDEX};q=0.5"], OCI_INDEX, True),
        ([f"{OCI_INDEX};q=0", "*/*"], OCI_INDEX, False),
        ([f"{OCI_INDEX} ; q=0.000 , */*;q=0.1"], OCI_INDEX, False),
        ([f"{OCI_INDEX};q=0", "*/*"], OCI_MANIFEST, True),
        ([OCI_INDEX.upper()], OCI_INDEX, True),
        (["nonsense", OCI_INDEX], OCI_INDEX, True),
        (["nonsense"], OCI_INDEX, True),
        ([f"{OCI_INDEX};q=often"], OCI_INDEX, True),
    ],
)
def test_a_type_is_acceptable_as_rfc_9110_says(
    lines: list[str], media_type: str, wanted: bool
) -> None:
    assert acceptable(media_type, lines) is wanted


def test_upstreams_are_asked_for_every_type_we_read() -> None:
    assert set(UPSTREAM_ACCEPT) == set(MEDIA_TYPES)


RANGES = st.lists(
    st.tuples(
        st.sampled_from([*MEDIA_TYPES, "*/*", "application/*"]), st.sampled_from(["", "0.5"])
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda item: item[0],
)


@given(RANGES, st.randoms(), st.sampled_from([",", ", ", " ,  "]))
def test_t19_order_spaces_and_lines_change_nothing(
    ranges: list[tuple[str, str]], chance: st.randoms, comma: str
) -> None:
    written = [f"{name};q={q}" if q else name for name, q in ranges]
    shuffled = list(written)
    chance.shuffle(shuffled)
    assert normalise([comma.join(shuffled)]) == normalise(written)


@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_line_is_read(lines: list[str]) -> None:
    normalise(lines)
    acceptable(OCI_INDEX, lines)


def test_a_flood_of_ranges_takes_everything() -> None:
    assert normalise([f"a/{number}" for number in range(100)]) == ()
