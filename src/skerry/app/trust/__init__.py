"""Whose word counts on one node: its users, its keys, its root of trust."""
