"""Every read model there is; a new one is one file and one line here."""

from projections.deployments import Deployments
from projections.freezes import FreezeList
from projections.jobs import Jobs
from projections.lanes import Lanes
from projections.read_model import ReadModel
from projections.tokens import Tokens

DEPLOYMENTS = Deployments()
LANES = Lanes()
FREEZES = FreezeList()
TOKENS = Tokens()
JOBS = Jobs()
READ_MODELS: tuple[ReadModel, ...] = (DEPLOYMENTS, LANES, FREEZES, TOKENS, JOBS)
