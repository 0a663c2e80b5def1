"""What a bundle says of itself: where it is from, which span it holds, and the digest of each part."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from domain.errors import Invalid

MANIFEST = "manifest.json"
LARGEST_MANIFEST = 1024 * 1024
LARGEST_PART = 8 * 1024**3
LARGEST_LINE = 32 * 1024 * 1024
NAME = re.compile(r"(events|timeline|people|checkpoints|heads|views/[a-z_]{1,60}_v[0-9]{1,6})\.ndjson")
KEYS = (
    "Names are in people.ndjson, or stand-ins for them. The ciphertexts in the events open with the master key of the"
    " store alone, which is not here."
)
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
PositionNumber = Annotated[int, Field(ge=0, lt=2**62)]


class BundleRefused(Invalid):
    """The file is no bundle, was changed, or is of another release."""

    code = "BUNDLE_REFUSED"


class Part(BaseModel):
    """One file of the bundle: lines of JSON."""

    model_config = ConfigDict(extra="forbid")
    file: Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
    lines: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0, le=LARGEST_PART)]
    sha256: Digest


class Manifest(BaseModel):
    """The positions are those of whole commits: everything behind the first one, up to the last."""

    model_config = ConfigDict(extra="forbid")
    format: Literal[1] = 1
    rollbook: Annotated[str, StringConstraints(max_length=100)]
    store_id: Annotated[str, StringConstraints(pattern="^[0-9a-f-]{36}$")]
    epoch: Annotated[int, Field(ge=1, lt=2**31)]
    organisation: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    from_position: PositionNumber
    to_position: PositionNumber
    lanes: Annotated[list[str], Field(max_length=10_000)]
    redacted: bool
    keys: Annotated[str, StringConstraints(max_length=1000)] = KEYS
    schema_steps: dict[str, Digest]
    parts: Annotated[list[Part], Field(max_length=100)]
