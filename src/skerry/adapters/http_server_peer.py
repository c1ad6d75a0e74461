"""Who a client is by the certificate that it has shown in the TLS handshake.

Owns the reading of a certificate that OpenSSL has proved to be of a trusted authority (RFC 5280
sections 4.1.2.6 and 4.2.1.6). Never decides who that is here.
"""

from __future__ import annotations

import ssl

from skerry.wire.message import PeerCertificate

NAMES_MAX = 32
_KINDS = {"DNS": "dns", "URI": "uri", "email": "email"}


def certificate_of(connection: ssl.SSLObject | None) -> PeerCertificate | None:
    """The client's certificate; None when it has shown none."""
    found = connection.getpeercert() if connection is not None else None
    if not found:
        return None
    names: list[str] = []
    subject = found.get("subject", ())
    for part in subject if isinstance(subject, tuple) else ():
        names += [f"cn:{pair[1]}" for pair in part if pair[0] == "commonName"]
    others = found.get("subjectAltName", ())
    for pair in others if isinstance(others, tuple) else ():
        kind, value = str(pair[0]), str(pair[1])
        if kind in _KINDS:
            names.append(f"{_KINDS[kind]}:{value}")
    ends_at = ssl.cert_time_to_seconds(str(found["notAfter"]))
    return PeerCertificate(tuple(names[:NAMES_MAX]), float(ends_at))
