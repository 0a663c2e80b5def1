"""Databases that packages come from and go to."""
