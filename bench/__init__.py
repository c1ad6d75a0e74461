"""Skerry beside its peers, in one run on one machine: `python -m bench`, `bench.outage`."""
