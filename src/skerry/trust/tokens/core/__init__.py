"""Decisions about identities and tokens, without IO."""
