"""What a registrar's RDAP service says, read without trusting it.

Owns the reading: where a domain's service is (RFC 9224), and what it says of dates and status (RFC
9083 sections 4.5, 4.6 and 5.3; RFC 8056). Never asks anybody.
"""

from __future__ import annotations

from datetime import UTC, datetime

from skerry.base.errors import BadInput
from skerry.trust.core.delegation import Registration
from skerry.wire.strict_json import Json, load_object

BOOTSTRAP_BYTES_MAX = 1 << 20
ANSWER_BYTES_MAX = 512 << 10
STATUS_MAX = 64
STATUS_CHARS_MAX = 80
EVENTS_MAX = 200


def service_of(bootstrap: bytes, domain: str) -> str:
    """The base URL of a domain's service, with a final slash; "" when none is listed.

    The longest match of labels wins, https before http (RFC 9224 sections 3 and 4). Raises
    BadInput.
    """
    services = load_object(bootstrap, bytes_max=BOOTSTRAP_BYTES_MAX).get("services")
    best, found = -1, ""
    for entry in services if isinstance(services, list) else ():
        if not isinstance(entry, list) or len(entry) < 2:
            continue
        names, urls = entry[0], entry[1]
        if not isinstance(names, list) or not isinstance(urls, list):
            continue
        usable = sorted(
            (url for url in urls if isinstance(url, str) and url.startswith("http")),
            key=lambda url: not url.startswith("https://"),
        )
        for name in names:
            if isinstance(name, str) and usable and _is_below(domain, name.lower()):
                labels = name.count(".") + bool(name)
                if labels > best:
                    best, found = labels, usable[0]
    return found if not found or found.endswith("/") else f"{found}/"


def read_domain(answer: bytes, domain: str) -> Registration:
    """The registration in the answer to `domain/NAME`. Raises BadInput, also when it is of another
    domain."""
    document = load_object(answer, bytes_max=ANSWER_BYTES_MAX)
    if document.get("objectClassName") != "domain":
        raise BadInput("it is no domain object")
    named = document.get("ldhName")
    if not isinstance(named, str) or named.lower().rstrip(".") != domain:
        raise BadInput("it is of another domain")
    status = document.get("status", [])
    if not isinstance(status, list) or len(status) > STATUS_MAX:
        raise BadInput("its status is no short list")
    return Registration(
        _expiration(document),
        frozenset(each.lower()[:STATUS_CHARS_MAX] for each in status if isinstance(each, str)),
    )


def _expiration(document: Json) -> float | None:
    events = document.get("events", [])
    for event in events[:EVENTS_MAX] if isinstance(events, list) else ():
        if isinstance(event, dict) and event.get("eventAction") == "expiration":
            try:
                at = datetime.fromisoformat(str(event.get("eventDate")))
            except ValueError as error:
                raise BadInput("its date of expiration is none") from error
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return None


def _is_below(domain: str, zone: str) -> bool:
    return domain == zone or domain.endswith(f".{zone}") or not zone
