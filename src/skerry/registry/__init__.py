"""The OCI registry: names, manifests, tags, referrers and local repositories."""
