"""Conversations of client, cache and origin, one for each thing that a clause says."""
