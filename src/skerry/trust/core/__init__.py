"""Judgements over values; no IO."""
