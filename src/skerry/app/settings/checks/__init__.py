"""What must be true of settings before a node starts, one module for each table."""
