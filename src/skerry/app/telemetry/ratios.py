"""The hit ratios of a node, from its metrics.

Owns which outcomes are hits. Everybody who shows a ratio asks here, so that a page, a command and
`/metrics` never say different things.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from skerry.registry.meters import PUBLIC, PULLS
from skerry.registry.replies import Outcome
from skerry.telemetry.labels import Labels
from skerry.telemetry.metrics import Registry
from skerry.telemetry.ratios import HitRatio

IMAGES, PRIVATE_IMAGES = "images", "private images"
IMAGE_HITS = frozenset({Outcome.HIT, Outcome.LOCAL})
IMAGES_SERVED = IMAGE_HITS | {Outcome.STALE, Outcome.MISS, Outcome.SIBLING, Outcome.JOINED}
PAGE_HITS = frozenset({"hit"})
PAGES_SERVED = PAGE_HITS | {"stale", "revalidated", "miss", "nearer", "collapsed", "pass"}
"""Words of `cdn.measures.Served`, which a node without sites does not load."""

Counted = dict[str, Counter[str]]
"""By outcome, for each thing that has a ratio."""


def hit_ratios(metrics: Registry) -> tuple[HitRatio, ...]:
    """Images first, then pages by their class; what nobody has asked for is left out."""
    found = []
    images = _images(metrics.counted("skerry_registry_answers").items())
    image_bytes = _images(metrics.counted("skerry_registry_answer_bytes").items())
    pages = _pages(metrics.counted("skerry_edge_requests"))
    page_bytes = _pages(metrics.counted("skerry_edge_answer_bytes"))
    for what in sorted(images):
        if any(images[what][each] for each in IMAGES_SERVED):
            sizes = image_bytes.get(what, Counter())
            found.append(_ratio(what, images[what], sizes, IMAGE_HITS, IMAGES_SERVED))
    for what in sorted(pages):
        sizes = page_bytes.get(what, Counter())
        found.append(_ratio(what, pages[what], sizes, PAGE_HITS, PAGES_SERVED))
    return tuple(found)


def _images(series: Iterable[tuple[Labels, float]]) -> Counted:
    found: Counted = {}
    for (data_class, kind, outcome), count in series:
        if kind in PULLS:
            what = IMAGES if data_class == PUBLIC else PRIVATE_IMAGES
            found.setdefault(what, Counter())[outcome] += int(count)
    return found


def _pages(series: Mapping[Labels, float]) -> Counted:
    found: Counted = {}
    for (data_class, outcome), count in series.items():
        if count:
            found.setdefault(data_class, Counter())[outcome] += int(count)
    return found


def _ratio(
    what: str,
    counts: Counter[str],
    sizes: Counter[str],
    hits: Iterable[str],
    served: Iterable[str],
) -> HitRatio:
    return HitRatio(
        what,
        requests=sum(counts[each] for each in served),
        hits=sum(counts[each] for each in hits),
        stale=counts["stale"],
        collapsed=counts["joined"] + counts["collapsed"],
        body_bytes=sum(sizes[each] for each in served),
        hit_bytes=sum(sizes[each] for each in hits),
    )
