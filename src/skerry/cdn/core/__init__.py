"""The cache's decisions, without IO: every rule cites its clause."""
