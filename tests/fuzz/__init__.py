"""Fuzzing of the request path: targets, their seeds, and a run for a fixed budget."""
