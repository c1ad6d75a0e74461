"""What is attached to an image goes and stays with it: signatures, SBOMs, attestations.

Owns the gathering of roots into what is evicted, pinned and used as one (requirements R4). An
image that outlived its signature would fail its check exactly when nobody can be asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set

from skerry.base.digest import Digest


def gathered(
    parts: Mapping[Digest, Set[Digest]], subjects: Mapping[Digest, Digest]
) -> dict[Digest, set[Digest]]:
    """Each image with the roots that go with it, itself among them.

    `parts` maps each root to all it is made of, itself included; `subjects` maps a root to what it
    is attached to. What is attached to a part of several images goes with each of them; what is
    attached to nothing that is here, or in a circle, stands alone.
    """
    owners: dict[Digest, list[Digest]] = defaultdict(list)
    for root, part in parts.items():
        for digest in part:
            owners[digest].append(root)
    found: dict[Digest, set[Digest]] = defaultdict(set)
    for root in parts:
        for image in _images_of(root, subjects, owners) or {root}:
            found[image].add(root)
    return dict(found)


def _images_of(
    root: Digest, subjects: Mapping[Digest, Digest], owners: Mapping[Digest, list[Digest]]
) -> set[Digest]:
    """The roots at the end of the chain of subjects; none for a circle."""
    seen, todo, ends = {root}, [root], set[Digest]()
    while todo:
        here = todo.pop()
        above = owners.get(subjects[here], []) if here in subjects else []
        if not above:
            ends.add(here)
        todo += [owner for owner in above if owner not in seen]
        seen.update(above)
    return ends
