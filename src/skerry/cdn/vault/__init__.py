"""The vault tier: sealed copies of public objects in an object store, for the long term."""
