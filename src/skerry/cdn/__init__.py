"""The shared HTTP cache: freshness, variants, parts, purge and what an origin may not break."""
