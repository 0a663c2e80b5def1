"""Every read model there is; a new one is one file and one line here."""

from projections.audit_exports import AuditExports
from projections.data_deployments import DataDeployments
from projections.deployments import Deployments
from projections.dora import Dora
from projections.environments import EnvironmentList
from projections.fleet_lanes import FleetLanes
from projections.freezes import FreezeList
from projections.incidents import IncidentLinks, Incidents
from projections.jobs import Jobs
from projections.lanes import Lanes
from projections.live import Live
from projections.live_intervals import LiveIntervals
from projections.package_actions import PackageActions
from projections.packages import Packages
from projections.read_model import ReadModel
from projections.teams import TeamList
from projections.tokens import Tokens
from projections.webhooks import Webhooks

DEPLOYMENTS = Deployments()
LANES = Lanes()
LIVE = Live()
LIVE_INTERVALS = LiveIntervals()
FLEET_LANES = FleetLanes()
FREEZES = FreezeList()
TOKENS = Tokens()
JOBS = Jobs()
ENVIRONMENTS = EnvironmentList()
PACKAGES = Packages()
PACKAGE_ACTIONS = PackageActions()
DATA_DEPLOYMENTS = DataDeployments()
INCIDENTS = Incidents()
INCIDENT_LINKS = IncidentLinks()
TEAMS = TeamList()
DORA = Dora()
WEBHOOKS = Webhooks()
AUDIT_EXPORTS = AuditExports()
READ_MODELS: tuple[ReadModel, ...] = (
    DEPLOYMENTS,
    LANES,
    LIVE,
    LIVE_INTERVALS,
    FLEET_LANES,
    FREEZES,
    TOKENS,
    JOBS,
    ENVIRONMENTS,
    PACKAGES,
    PACKAGE_ACTIONS,
    DATA_DEPLOYMENTS,
    INCIDENTS,
    INCIDENT_LINKS,
    TEAMS,
    DORA,
    WEBHOOKS,
    AUDIT_EXPORTS,
)
