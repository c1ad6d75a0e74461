"""Which manifest media types upstreams are asked for.

Owns the list. Upstreams are always asked for all of it, whatever a client sent, so each tag has
one stored variant that every client reads (known failures T19, T34). A client's own `Accept` never
chooses, trims or converts: like distribution we answer with what is there, because the digest that
was asked for has one form only (T21).
"""

from __future__ import annotations

from skerry.registry.core.manifests import MEDIA_TYPES

UPSTREAM_ACCEPT = MEDIA_TYPES
"""One `Accept` line each (RFC 9110 section 12.5.1)."""
