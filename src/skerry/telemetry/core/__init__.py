"""Judgements of telemetry: when something is lost, what an incident was, what a bundle proves."""
