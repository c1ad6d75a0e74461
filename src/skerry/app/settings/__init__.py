"""The settings of a node: what may be said, how it is read, and what must be true of it."""
