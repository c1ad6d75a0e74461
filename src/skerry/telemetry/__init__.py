"""Counters, histograms and events, and the snapshots that are read from them."""
