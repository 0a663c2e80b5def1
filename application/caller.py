"""Who is asking, and from where: what authentication learnt of one request."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What a caller may do; each role may do all that the ones before it may."""

    VIEWER = "viewer"
    DEPLOYER = "deployer"
    APPROVER = "approver"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a command came from; absent facts are None. All of it is recorded in clear, so nothing here is personal."""

    interface: str = "unknown"
    client: str | None = None
    issuer: str | None = None
    repository: str | None = None
    repository_id: str | None = None
    owner: str | None = None
    owner_id: str | None = None
    ref: str | None = None
    sha: str | None = None
    workflow: str | None = None
    run_id: str | None = None
    run_attempt: str | None = None

    def facts(self) -> dict[str, str | None]:
        """All of it by name, as it is recorded."""
        return {name: getattr(self, name) for name in FACTS}


FACTS = tuple(f.name for f in fields(Origin))


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    `organisation` is the tenant, lower-cased. `login` is personal: it is recorded only as ciphertext.
    `repository` and `workflow` are the words for created_by_repo and created_by_workflow. `claims` are the
    token's claims, on which the rules of an organisation may decide; they are never recorded.
    `pseudonyms` are those of what the claims say, by text, as far as rules name people by them.
    `scope` narrows a Rollbook token to actions that it names; None is everything that the role may do.
    `organisation_id` is who stands behind the organisation's name: the owner's number at GitHub, else the issuer that
    vouches for it; None asks for no proof. `entrusted` callers come from an issuer that the operator named for this
    organisation, and are let in beside its owner.
    """

    organisation: str
    login: str
    role: Role
    method: str
    repository: str
    workflow: str
    origin: Origin = field(default_factory=Origin)
    organisation_id: str | None = None
    entrusted: bool = False
    claims: Mapping[str, Any] = field(default_factory=dict)
    pseudonyms: Mapping[str, str] = field(default_factory=dict)
    scope: frozenset[str] | None = None

    def says(self, name: str) -> str | None:
        """What the token says under this name, as text; `login` is who asks, whatever a claim of that name says."""
        said = self.login if name == "login" else self.claims.get(name)
        return None if said is None else str(said)
