"""How values are drawn: the same in every run, and never judged by how long they take.

`make explore` draws them anew, and more of them.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", settings.get_profile("steady"), derandomize=False,
                          max_examples=1000)  # fmt: skip
settings.load_profile("steady")
