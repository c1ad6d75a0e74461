"""The horizon names what ends first, and when."""

from __future__ import annotations

from skerry.telemetry.horizon import Expires, Expiry, Horizon
from skerry.telemetry.metrics import Registry


def test_the_first_to_end_is_named() -> None:
    horizon = Horizon(lambda: 1000.0, Registry())
    assert horizon.first() is None
    root = Expiry(Expires.TRUST_ROOT, "root", 5000.0)
    horizon.add(lambda: [root])
    horizon.add(lambda: [Expiry(Expires.TLS_CERTIFICATE, "www.example.org", 9000.0)])
    assert horizon.first() == root


def test_a_gauge_tells_each_kind_and_never_less_than_nothing() -> None:
    metrics = Registry()
    horizon = Horizon(lambda: 1000.0, metrics)
    horizon.add(lambda: [Expiry(Expires.JWKS, "https://ids.example", 900.0)])
    horizon.add(lambda: [Expiry(Expires.DOMAIN, "b.example", 3000.0)])
    horizon.add(lambda: [Expiry(Expires.DOMAIN, "a.example", 1500.0)])
    lines = metrics.expose().splitlines()
    assert 'skerry_horizon_seconds{kind="jwks"} 0' in lines
    assert 'skerry_horizon_seconds{kind="domain"} 500' in lines
