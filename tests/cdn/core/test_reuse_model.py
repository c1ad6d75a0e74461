"""The cache against a slow and obvious one: it never serves beyond permission.

The model knows no field syntax. It is given what was meant, as numbers and flags, and reads
RFC 9111 section 4 and RFC 5861 sentence by sentence; the core is given the fields.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.cdn.core.reuse import PassError, Serve, ServeStale, Validate, after_failure, decide
from skerry.cdn.ports import DataClass, RoutePolicy, Stored
from skerry.wire.message import Request
from tests.cdn.core.http_values import NOON, date, get, stored

SECONDS = st.integers(0, 30)
MAYBE = st.none() | SECONDS


@dataclass(frozen=True)
class Meant:
    """A stored response, a request, a route and a time, before anybody wrote fields of it."""

    max_age: int | None
    s_maxage: int | None
    expires: int | None
    age: int
    swr: int | None
    sie: int | None
    forbids: frozenset[str]
    wants_max_age: int | None
    wants_min_fresh: int | None
    wants_max_stale: int | None
    wants: frozenset[str]
    route_swr: int | None
    route_sie: int | None
    after: int
    failure: int | None
    method: str
    public: bool
    invalidated: bool

    def response(self) -> Stored:
        values = {
            "max-age": self.max_age,
            "s-maxage": self.s_maxage,
            "stale-while-revalidate": self.swr,
            "stale-if-error": self.sie,
        }
        said = [f"{name}={value}" for name, value in values.items() if value is not None]
        pairs = [("Cache-Control", value) for value in (*said, *sorted(self.forbids))]
        pairs += [("Age", str(self.age)), ("ETag", '"a"')]
        if self.expires is not None:
            pairs.append(("Expires", date(self.expires)))
        response = stored(*pairs)
        return Stored(
            200, response.headers, NOON, NOON, response.vary, invalidated=self.invalidated
        )

    def request(self) -> Request:
        values = {
            "max-age": self.wants_max_age,
            "min-fresh": self.wants_min_fresh,
            "max-stale": self.wants_max_stale,
        }
        said = [f"{name}={value}" for name, value in values.items() if value is not None]
        return get(("Cache-Control", ", ".join([*said, *sorted(self.wants)])), method=self.method)

    def policy(self) -> RoutePolicy:
        return RoutePolicy(
            data_class=DataClass.PUBLIC if self.public else DataClass.SENSITIVE,
            stale_while_revalidate_seconds=self.route_swr,
            stale_if_error_seconds=self.route_sie,
        )

    # The model: one question each.

    @property
    def stale_for(self) -> int:
        """Seconds since it became stale; negative while fresh."""
        lifetime = next(
            (v for v in (self.s_maxage, self.max_age, self.expires) if v is not None), 0
        )
        return self.age + self.after - lifetime

    @property
    def may_be_used_at_all(self) -> bool:
        unvalidated = "no-cache" in self.forbids or self.invalidated
        return self.public and self.method in ("GET", "HEAD") and not unvalidated

    @property
    def origin_forbids_stale(self) -> bool:
        return self.s_maxage is not None or bool(self.forbids - {"no-cache"})

    def may_serve_before_asking(self) -> bool:
        if not self.may_be_used_at_all or "no-cache" in self.wants:
            return False
        if self.wants_max_age is not None and self.age + self.after > self.wants_max_age:
            return False
        if self.stale_for < 0:
            return self.wants_min_fresh is None or -self.stale_for >= self.wants_min_fresh
        if self.wants_min_fresh:
            return False
        if self.route_swr is not None:
            window = self.route_swr
        else:
            window = 0 if self.origin_forbids_stale else self.swr or 0
        behind = self.wants_max_age is None and window > 0 and self.stale_for <= window
        stale = self.wants_max_stale
        accepted = stale is not None and self.stale_for <= stale and not self.origin_forbids_stale
        return behind or accepted

    def may_serve_after_failure(self) -> bool:
        if not self.may_be_used_at_all or self.failure not in (None, 500, 502, 503, 504):
            return False
        if self.stale_for < 0:
            return True
        if self.route_sie is not None:
            return 0 < self.route_sie >= self.stale_for
        if self.origin_forbids_stale:
            return False
        if self.sie is not None:
            return 0 < self.sie >= self.stale_for
        return self.failure is None


SITUATIONS = st.builds(
    Meant,
    max_age=MAYBE,
    s_maxage=st.none() | st.none() | SECONDS,
    expires=MAYBE,
    age=st.sampled_from([0, 0, 7]),
    swr=MAYBE,
    sie=MAYBE,
    forbids=st.frozensets(
        st.sampled_from(["must-revalidate", "proxy-revalidate", "no-cache"]), max_size=1
    ),
    wants_max_age=st.none() | st.none() | SECONDS,
    wants_min_fresh=st.none() | st.none() | SECONDS,
    wants_max_stale=st.none() | SECONDS,
    wants=st.frozensets(st.sampled_from(["no-cache", "only-if-cached"]), max_size=1),
    route_swr=st.none() | st.none() | SECONDS,
    route_sie=st.none() | st.none() | SECONDS,
    after=st.integers(0, 60),
    failure=st.sampled_from([None, 500, 502, 503, 504, 404, 429, 501]),
    method=st.sampled_from(["GET", "GET", "HEAD", "POST"]),
    public=st.sampled_from([True, True, True, False]),
    invalidated=st.sampled_from([False, False, False, True]),
)


@settings(max_examples=1500)
@given(SITUATIONS)
def test_a_stored_answer_is_given_exactly_where_the_model_permits_it(meant: Meant) -> None:
    response = meant.response()
    decision = decide([response], meant.request(), NOON + meant.after, meant.policy())
    served = isinstance(decision, (Serve, ServeStale))
    assert served == meant.may_serve_before_asking()
    assert isinstance(decision, ServeStale) == (served and meant.stale_for >= 0)
    if isinstance(decision, (Serve, ServeStale)):
        assert decision.age_seconds == meant.age + meant.after
        assert decision.ttl_seconds == -meant.stale_for
    if isinstance(decision, Validate):
        assert "only-if-cached" not in meant.wants


@settings(max_examples=1500)
@given(SITUATIONS)
def test_after_a_failure_it_is_given_exactly_where_the_model_permits_it(meant: Meant) -> None:
    answer = after_failure(
        [meant.response()],
        meant.request(),
        NOON + meant.after,
        meant.policy(),
        status=meant.failure,
    )
    served = isinstance(answer, (Serve, ServeStale))
    assert served == meant.may_serve_after_failure()
    if isinstance(answer, ServeStale):
        assert bool(answer.overrides) == meant.origin_forbids_stale
    if meant.failure is not None and not served:
        assert answer == PassError()
