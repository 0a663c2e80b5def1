"""Incident bundles: a part of the record in one file, which answers like the store that it is from."""
