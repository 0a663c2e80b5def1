"""MySQL and MariaDB as a source and a target of packages."""
