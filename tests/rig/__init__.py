"""Real programs, real links and the ways to break them, for tests and benches."""
