"""Who and what may be believed: keys, signatures, thresholds."""
