"""MongoDB as a source and a target of packages."""
