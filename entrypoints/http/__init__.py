"""HTTP: one file an interface, on one typed route layer."""
