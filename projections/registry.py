"""Every read model there is; a new one is one file and one line here."""

from projections.data_deployments import DataDeployments
from projections.deployments import Deployments
from projections.environments import EnvironmentList
from projections.freezes import FreezeList
from projections.jobs import Jobs
from projections.lanes import Lanes
from projections.live import Live
from projections.package_actions import PackageActions
from projections.packages import Packages
from projections.read_model import ReadModel
from projections.tokens import Tokens

DEPLOYMENTS = Deployments()
LANES = Lanes()
LIVE = Live()
FREEZES = FreezeList()
TOKENS = Tokens()
JOBS = Jobs()
ENVIRONMENTS = EnvironmentList()
PACKAGES = Packages()
PACKAGE_ACTIONS = PackageActions()
DATA_DEPLOYMENTS = DataDeployments()
READ_MODELS: tuple[ReadModel, ...] = (
    DEPLOYMENTS,
    LANES,
    LIVE,
    FREEZES,
    TOKENS,
    JOBS,
    ENVIRONMENTS,
    PACKAGES,
    PACKAGE_ACTIONS,
    DATA_DEPLOYMENTS,
)
