"""Real clients through a real node, with a real upstream."""
