"""Decisions about fetching, without IO."""
