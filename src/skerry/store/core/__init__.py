"""Decisions of the store without IO: what goes, what comes in."""
