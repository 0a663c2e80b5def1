"""Who and what the demonstration is about: components, the places that they run in, teams and people."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

from application.caller import Origin
from domain.taxonomy import Taxonomy

SUBJECTS = (
    *("checkout", "payment", "cart", "catalogue", "search", "pricing", "stock", "shipping", "returns", "invoice"),
    *("account", "login", "profile", "consent", "review", "wishlist", "voucher", "loyalty", "advert", "banner"),
    *("mail", "push", "letter", "chat", "ticket", "fraud", "risk", "tax", "ledger", "report"),
    *("supplier", "warehouse", "route", "driver", "parcel", "label", "customs", "image", "video", "feed"),
)
KINDS = ("api", "web", "worker", "gateway", "jobs", "store", "admin", "proxy")
ENVIRONMENTS = ("development", "integration", "staging", "canary", "production")
REGIONS = ("europe-west1", "us-east1", "asia-southeast1")
PROVIDERS = ("gcp", "gcp", "aws")
TEAMS = ("buying", "money", "finding", "moving", "knowing", "telling", "guarding", "running")
FIRST = ("ada", "ben", "chidi", "dana", "emre", "freya", "goran", "hana", "ines", "jonas", "kofi", "lena")
LAST = ("okafor", "lindqvist", "novak", "silva", "tanaka", "moreau", "haddad", "keller", "rossi", "byrne")
BOT, CHIEF = "deploy-bot", "mira-castellan"


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the shop; `careful` ones go live only when somebody approves."""

    name: str
    team: str
    provider: str
    regions: tuple[str, ...]
    careful: bool


@dataclass(frozen=True, slots=True)
class Cast:
    """Everything that there is."""

    organisation: str
    components: tuple[Component, ...]
    environments: tuple[str, ...]
    members: dict[str, tuple[str, ...]]

    @property
    def people(self) -> list[str]:
        """Everybody's login."""
        return [BOT, CHIEF, *(login for members in self.members.values() for login in members)]

    @property
    def teams(self) -> dict[str, list[str]]:
        """The components of each team."""
        return {team: [one.name for one in self.components if one.team == team] for team in self.members}

    def places(self, component: Component, environment: str) -> list[Taxonomy]:
        """The lanes of a component in an environment: several regions only where customers are."""
        regions = component.regions if environment == self.environments[-1] else component.regions[:1]
        account = f"{self.organisation}-{environment}"
        return [Taxonomy(component.name, component.provider, account, region) for region in regions]

    def repository(self, component: Component) -> str:
        """Where its code is."""
        return f"{self.organisation}/{component.name}"

    def origin(self, component: Component, run: int, sha: str) -> Origin:
        """A run of its pipeline."""
        return Origin(
            interface="queue",
            client="rollbook-cli",
            issuer="https://token.actions.githubusercontent.com",
            repository=self.repository(component),
            owner=self.organisation,
            ref="refs/heads/main",
            sha=sha,
            workflow="deploy",
            run_id=str(run),
            run_attempt="1",
        )


def cast(organisation: str, components: int, environments: int, chance: Random) -> Cast:
    """So many components and environments; the last environment is where customers are."""
    names = [f"{subject}-{kind}" for kind, subject in product(KINDS, SUBJECTS)][:components]
    logins = [f"{first}-{last}" for first, last in product(FIRST, LAST)]
    chance.shuffle(logins)
    members = {team: tuple(logins[number * 3 : number * 3 + 3]) for number, team in enumerate(TEAMS)}
    parts = tuple(component(name, chance) for name in names)
    return Cast(organisation, parts, ENVIRONMENTS[-environments:], members)


def component(name: str, chance: Random) -> Component:
    """One component, in some team and some regions."""
    subject = name.partition("-")[0]
    team = TEAMS[SUBJECTS.index(subject) // 5 % len(TEAMS)]
    regions = REGIONS[: chance.choice((1, 1, 1, 2, 2, 3))]
    return Component(name, team, chance.choice(PROVIDERS), regions, careful=chance.random() < 0.3)


def others(members: Sequence[str], login: str) -> list[str]:
    """The team without one."""
    return [one for one in members if one != login]
