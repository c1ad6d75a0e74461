"""What the registry decides: names, manifests, freshness, wholeness. No IO."""
