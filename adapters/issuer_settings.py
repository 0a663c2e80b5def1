"""What an operator may decide about other issuers of tokens: who they are, and which of their claims say what."""

import re
from typing import Self

from pydantic import BaseModel, field_validator, model_validator

from application.caller import Role

WEB_URL = re.compile(r"https?://([^\s/@]+@)?([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?([/?]\S*)?")


class OidcIssuer(BaseModel):
    """Another OIDC issuer whose tokens are believed, and the claims that tell what we need.

    `organisations`, unless empty, are the only ones that it may speak for; for them it is believed also where an
    organisation belongs to an owner at GitHub. Without, it is believed where it was the first to name one.
    """

    issuer: str
    audience: str
    jwks_uri: str | None = None
    organisation_claim: str = "repository_owner"
    repository_claim: str = "repository"
    workflow_claim: str = "workflow"
    actor_claim: str = "actor"
    owner_id_claim: str | None = None
    role: Role = Role.DEPLOYER
    organisations: frozenset[str] = frozenset()

    @field_validator("organisations")
    @classmethod
    def in_lower_case(cls, value: frozenset[str]) -> frozenset[str]:
        """Organisations ignore case."""
        return frozenset(name.strip().lower() for name in value)

    @model_validator(mode="after")
    def whose_keys_can_be_asked_for(self) -> Self:
        """An issuer may be any text, unless its keys are looked for there."""
        of_the_web(self.jwks_uri or self.issuer)
        return self


def of_the_web(address: str) -> str:
    """The address, if it can be asked over HTTP; a fault that does not repeat it otherwise."""
    if not WEB_URL.fullmatch(address):
        raise ValueError("is not an address on the web, such as https://host")
    return address
