"""What an organisation sends to decide for itself: freezes, rules, tokens."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints, WithJsonSchema

from adapters.identity.claims import MAX_CLAIM
from application.authorisation import ACTIONS
from application.caller import Role
from entrypoints.http.fields import Lenient, Moment, Name, Text
from entrypoints.http.queue_models import Provider

MAX_RULES = 1000
# No token is believed whose claims are longer.
Claim = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CLAIM)]
Claims = Annotated[dict[Claim, Claim], Field(max_length=100)]


class ScopeFields(BaseModel):
    """What a freeze or a rule covers; fields that are left out agree with everything."""

    model_config = ConfigDict(extra="forbid")
    name: Text | None = None
    provider: Provider | None = None
    cloud_account_id: Text | None = None
    region: Text | None = None
    cell: Text | None = None
    environment: Text | None = None


class FreezeBody(Lenient):
    """A freeze to declare."""

    scope: ScopeFields = ScopeFields()
    reason: Name
    until: Moment | None = None


class ApprovalRuleBody(BaseModel):
    """Which manual deployments need an approval, by whom."""

    model_config = ConfigDict(extra="forbid")
    scope: ScopeFields = ScopeFields()
    claims: Claims = {}


class RoleRuleBody(BaseModel):
    """Which role comes with which claims."""

    model_config = ConfigDict(extra="forbid")
    role: Role
    claims: Annotated[Claims, Field(min_length=1)]


class RulesBody(BaseModel):
    """All rules of an organisation."""

    model_config = ConfigDict(extra="forbid")
    approval: Annotated[list[ApprovalRuleBody], Field(max_length=MAX_RULES)] = []
    roles: Annotated[list[RoleRuleBody], Field(max_length=MAX_RULES)] = []
    strict_transitions: Annotated[bool, Strict()] = False
    require_if_match: Annotated[bool, Strict()] = False


class TokenBody(Lenient):
    """A token to issue."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    role: Role = Role.DEPLOYER
    scope: list[Annotated[str, WithJsonSchema({"enum": sorted(ACTIONS)})]] | None = None
    expires_at: Moment | None = None


class OwnerBody(Lenient):
    """Who an organisation's name shall belong to."""

    owner: Annotated[
        str,
        StringConstraints(min_length=1, max_length=500, strip_whitespace=True, pattern=r"\S"),
        Field(description="GitHub's number of the account, or the issuer that vouches for the name"),
    ]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class OrganisationBody(BaseModel):
    """An organisation; `owner` is null while its name belongs to nobody."""

    organisation: str
    owner: str | None
