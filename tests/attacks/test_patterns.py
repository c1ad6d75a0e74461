"""Nothing a stranger writes is read in worse than one pass: one request must not keep the loop.

Each input kept the node busy for between seconds and the age of the universe before its pattern
was put right. The time-out is a hang guard: a wrong pattern never comes back.
"""

from __future__ import annotations

import pytest

from skerry.base.ranges import parse_range
from skerry.base.reference import looks_like_host
from skerry.registry.core.errors import RegistryError
from skerry.registry.core.names import parse_target
from skerry.registry.core.paging import next_query
from skerry.upstream.core.challenge import FIELD_LENGTH_MAX, parse_challenges

pytestmark = pytest.mark.timeout(20)


@pytest.mark.parametrize("run", ["a" * 250, "a-" * 120 + "a", "a." * 120, "1" * 250])
def test_a_name_that_is_nearly_a_host_is_refused_at_once(run: str) -> None:
    assert not looks_like_host(f"{run}.:_")
    with pytest.raises(RegistryError, match="not a repository name"):
        parse_target("GET", f"/v2/{run[:230]}.:_/x/manifests/latest")


@pytest.mark.parametrize(
    "host", ["a.b", "localhost", "localhost:5000", "reg.lan.", "x-y.example:443", "[::1]:5000"]
)
def test_hosts_are_still_hosts(host: str) -> None:
    assert looks_like_host(host)


@pytest.mark.parametrize(
    "header", ["bytes=" + " " * 65_000 + "x", "bytes=" + "1" * 65_000, "bytes=" + "\t-" * 30_000]
)
def test_a_range_of_blanks_is_passed_over(header: str) -> None:
    assert parse_range(header, 1000) is None


@pytest.mark.parametrize("spec", ["bytes= 1 - 2 ", "bytes=1-2", "bytes=\t1-2"])
def test_blanks_around_a_range_do_not_matter_but_inside_they_do(spec: str) -> None:
    found = parse_range(spec, 10)
    assert (found is None) == (" - " in spec)


@pytest.mark.parametrize("link", ["<" * 2**21, "<a>;" * 2**19, '<a>; rel="prev", ' * 2**16])
def test_an_upstreams_link_to_nowhere_is_read_once(link: str) -> None:
    assert next_query(link) is None


@pytest.mark.parametrize("field", ['x="', "a=", "a ", "a,", 'bearer a="\\', '\\"', "=", "a" * 64])
def test_an_upstreams_challenge_is_read_once(field: str) -> None:
    parse_challenges([field * FIELD_LENGTH_MAX] * 16)
