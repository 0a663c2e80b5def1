"""docs/packages.md says what the interface takes."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from adapters.settings import Settings
from entrypoints.http.data_deployment_models import DeployBody, OptionsBody
from entrypoints.http.package_models import CreateBody, GenerateBody

DOCUMENT = (Path(__file__).parents[2] / "docs" / "packages.md").read_text()
BODIES = re.findall(r"`POST /api/packages([^`]*)`[^`]*```json\n(.+?)```", DOCUMENT, re.DOTALL)
MODELS: dict[str, type[BaseModel]] = {"": CreateBody, "/{id}/generate": GenerateBody, "/{id}/deploy": DeployBody}


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_every_body_is_one_that_is_taken_as_it_stands(path: str, body: str) -> None:
    assert not unknown(json.loads(body), MODELS[path])


def unknown(body: dict[str, object], model: type[BaseModel]) -> set[str]:
    """Members that the model passes over; the model itself refuses what is wrong."""
    model.model_validate(body)
    return body.keys() - model.model_fields.keys()


def test_every_example_was_found() -> None:
    told_of_progress = DOCUMENT.count('```json\n{"job_id"')
    assert len(BODIES) + told_of_progress == DOCUMENT.count("```json")


def test_every_option_is_told() -> None:
    told = set(re.findall(r"`(\w+)`", DOCUMENT[DOCUMENT.index("| option ") :]))
    assert OptionsBody.model_fields.keys() <= told


def test_every_setting_that_is_told_is_one() -> None:
    told = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)\b", DOCUMENT))
    assert told <= {name.upper() for name in Settings.model_fields}
