"""The composition root: settings and the node. Alone knows which adapter is in use."""
