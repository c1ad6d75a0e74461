"""The vault, on one node: made from the settings, joined, and ordered about."""
