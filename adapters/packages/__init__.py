"""Packages as bytes: parts in the store, and the files that packages travel in."""
