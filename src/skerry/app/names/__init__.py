"""Names, on one node: how they are resolved, for whom, and which domains are watched."""
