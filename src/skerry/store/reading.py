"""Small contents of a store, read whole.

Owns the difference between what is not here and what the disk would not say: only the first is an
answer (known failures T40).
"""

from __future__ import annotations

from skerry.base.digest import Digest
from skerry.store.ports import BlobMissing, Store


async def read_small(store: Store, digest: Digest, *, bytes_max: int) -> bytes | None:
    """A content; None when it is not here, or too long to be what is looked for.

    Raises StoreError when the disk does not answer.
    """
    size = store.size_of(digest)
    if size is None or size > bytes_max:
        return None
    try:
        return await store.read(digest, bytes_max=bytes_max)
    except BlobMissing:
        return None
