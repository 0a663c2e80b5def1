"""What an operator may decide about environments: which there are, and where the secrets of others lie."""

from pathlib import Path

from pydantic import DirectoryPath, field_validator
from pydantic_settings import BaseSettings


class EnvironmentSettings(BaseSettings):
    """`environment_secrets_dir` has a folder for each organisation, with a file for each secret."""

    environments_file: Path | None = None
    environment_secrets_dir: DirectoryPath | None = None

    @field_validator("environments_file")
    @classmethod
    def of_environments(cls, value: Path | None) -> Path | None:
        """A file that cannot be used is refused now, not at the first package."""
        if value is not None:
            from adapters.environment_file import read_environments

            read_environments(value)
        return value
