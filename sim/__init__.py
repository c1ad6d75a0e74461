"""A seeded world that runs the node's own code in virtual time, with checkers beside it."""
