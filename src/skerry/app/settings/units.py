"""How a setting's unit is written down beside its type.

Owns the annotations that `settings.build` reads.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(extra={"unit": "duration"})]
Bytes = Annotated[int, msgspec.Meta(extra={"unit": "size"})]
Budget = Annotated[int | None, msgspec.Meta(extra={"unit": "size-or-empty"})]
MaybeSeconds = Annotated[float | None, msgspec.Meta(extra={"unit": "duration-or-empty"})]
Share = Annotated[float, msgspec.Meta(extra={"unit": "share"})]
Count = Annotated[int, msgspec.Meta(extra={"unit": "count"})]
FilePath = Annotated[str, msgspec.Meta(extra={"unit": "path"})]
SecretUrl = Annotated[str, msgspec.Meta(extra={"unit": "secret-url"})]
"""A URL whose path may be what lets one in: it is shown without one."""
Address = Annotated[str, msgspec.Meta(extra={"unit": "address"})]
