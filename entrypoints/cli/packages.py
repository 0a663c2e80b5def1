"""Commands about packages: rows and documents that move between environments."""

from entrypoints.cli import package_deploying, package_files, package_making, package_reading
from entrypoints.cli.package_group import package
from entrypoints.cli.session import group

COMMANDS_OF = (package_making, package_reading, package_files, package_deploying)
commands = group()
commands.add_typer(package, name="package", help="Rows and documents that move between environments.")
