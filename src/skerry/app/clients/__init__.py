"""What container clients are told, so that they pull through this node."""
