"""Tries databases: which server answers, and what it lets one do."""
