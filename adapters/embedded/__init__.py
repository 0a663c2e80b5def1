"""Servers of our own, from their PyPI wheels, for whoever has none."""
