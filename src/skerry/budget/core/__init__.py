"""Money, prices, rating and the ladder: decisions without IO."""
