"""Tasks with parents, single flight and retry: the only place that starts a task."""
