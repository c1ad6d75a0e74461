"""Skerry: the node that goes on serving when everything upstream is gone."""

__version__ = "0.1.0"
