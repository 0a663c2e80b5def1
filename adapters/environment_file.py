"""Reads ENVIRONMENTS_FILE: the environments that the operator configures, a YAML list."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, field_validator

from domain.dataset import DatabaseKind
from domain.environment import NAME

MOST_BYTES = 1 << 20


class Configured(BaseModel):
    """One environment; `organisation` None is every organisation's. A DSN is `env:NAME`, `file:PATH` or itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    kind: DatabaseKind
    dsn: Annotated[SecretStr, Field(min_length=1)]
    reader_dsn: Annotated[SecretStr, Field(min_length=1)] | None = None
    organisation: Annotated[str, Field(min_length=1, max_length=100)] | None = None

    @field_validator("organisation")
    @classmethod
    def in_lower_case(cls, value: str | None) -> str | None:
        """Organisations ignore case."""
        return value.lower() if value else value


LIST = TypeAdapter(list[Configured])


def read_environments(path: Path) -> tuple[Configured, ...]:
    """What the file says; ValueError, on one line and without what stands there, when it cannot be used."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as fault:
        raise ValueError(f"{path} cannot be read: {fault.strerror}") from None
    if len(text) > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES} bytes")
    return checked(path, parsed(path, text))


def parsed(path: Path, text: bytes) -> object:
    """The YAML document."""
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as fault:
        line = f", line {fault.problem_mark.line + 1}" if fault.problem_mark else ""
        raise ValueError(f"{path}{line}: this is not YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError(f"{path}: this is not YAML") from None


def checked(path: Path, document: object) -> tuple[Configured, ...]:
    """The environments in it, no two alike."""
    try:
        found = LIST.validate_python(document if document is not None else [])
    except ValidationError as fault:
        raise ValueError(f"{path}: {explained(fault)}") from None
    twice = [key for key, times in Counter((one.name, one.organisation) for one in found).items() if times > 1]
    if twice:
        raise ValueError(f"{path}: environment '{twice[0][0]}' stands there twice")
    return tuple(found)


def explained(fault: ValidationError) -> str:
    """The first fault: which entry, which of its values, and what is wrong with it."""
    first = fault.errors(include_input=False, include_url=False)[0]
    if not first["loc"]:
        return "this is not a list of environments"
    number, *inside = first["loc"]
    message = first["msg"] if inside else "this is not an environment"
    return f"{'.'.join(['entry ' + str(int(number) + 1), *map(str, inside)])}: {message}"
