"""What users and workers do with environments, packages, their deployments and jobs, for random histories of them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from application import data_deployments, environments, exports, incidents, jobs, packages, teams
from application.deployment_turns import deploying_concerns, rolling_back_concerns
from application.execution import Handler
from application.handlers import Concern
from domain.dataset import DatabaseKind
from domain.incident import Relation
from domain.job import Job
from domain.packed import Packed
from tests.kernel.webhook_acts import ALL, HOOKED

Asked = tuple[Handler, Any]
PACKED = Packed("a" * 64, "b" * 64, 7, "postgresql", {"customers": 2, "orders": 3})
COUNTS = {"customers": {"new": 3, "changed": 2, "same": 1, "failed": 4}}
DEPLOYED = {
    "database_name": "shop",
    "tables": COUNTS,
    "keys": {"customers": {"1": "8"}},
    "mapped": {"customers": 6},
    "warnings": ["4 rows of customers were left out"],
}
EXPORTED = {"size_bytes": 9, "checksum": "c" * 64, "records": PACKED.records}
WORK: dict[str, tuple[Concern, dict[str, Any]]] = {
    packages.PACKING: (packages.packing_concerns, {"packed": asdict(PACKED)}),
    data_deployments.DEPLOYING: (deploying_concerns, {"deployed": DEPLOYED}),
    data_deployments.ROLLING_BACK: (rolling_back_concerns, {"tables": COUNTS}),
    exports.GENERATING: (exports.generating_concerns, EXPORTED),
}


@dataclass(frozen=True)
class Act:
    """One thing that somebody does; `target` is 0 for what was made last, 1 for what was made before it, and so on."""

    what: str
    target: int = 0
    choice: int = 0


MADE = ("define", "import", "define dependent", "generate", "rehearse")
MOVED = ("deploy", "deploy", "deploy later", "roll back", "roll back")
CHANGED = ("describe", "archive", "export", "fail to export", "delete", "add", "change", "remove")
TRIED = ("begin", "begin", "record", "reach", "fail for now", "lose", "release", "cancel", "retry")
MISHAPS = ("report", "link", "unlink", "resolve", "reopen", "set teams", "take out", "forget all")
ENDED = ("carry out", "carry out", "carry out", "complete", "fail", "time out", "confirm")
TARGETS = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5])
WHAT = st.sampled_from([*MADE, *MOVED, *MOVED, *CHANGED, *TRIED, *MISHAPS, *HOOKED, *ENDED, *ENDED])
ACT = st.builds(Act, WHAT, TARGETS, st.integers(0, 7))
ACTS = st.lists(ACT, min_size=5, max_size=25)
# Every event that there is of them, and commits that end a job together with what it is about.
OPENING = [
    *map(Act, ("add", "change", "remove", "add")),
    *map(Act, ("define", "carry out", "describe", "export", "fail to export", "archive", "rehearse", "carry out")),
    *map(Act, ("generate", "carry out", "generate", "cancel", "deploy", "carry out", "deploy later", "carry out")),
    *map(Act, ("roll back", "begin", "record", "fail", "retry", "carry out")),
    *(Act("roll back", 1), Act("cancel"), Act("roll back", 1), Act("carry out")),
    *map(Act, ("define dependent", "carry out", "deploy", "begin", "record", "reach", "fail for now", "begin", "lose")),
    *map(Act, ("begin", "release", "begin", "fail", "retry", "begin", "cancel", "confirm", "deploy", "carry out")),
    *map(Act, ("import", "deploy", "begin", "time out", "define", "begin", "record", "fail", "delete")),
    *map(Act, ("define", "begin", "delete", "confirm", "define", "delete")),
    Act("set teams", choice=2),
    *map(Act, ALL),
    *map(Act, ("report", "link", "unlink", "link", "resolve", "reopen", "resolve")),
    Act("take out"),
    Act("forget all", choice=3),
]
ON_ENVIRONMENT: dict[str, Callable[[str], Asked]] = {
    "add": lambda name: (
        environments.add_environment,
        environments.AddEnvironment(name, DatabaseKind.POSTGRESQL, "file:a"),
    ),
    "change": lambda name: (
        environments.change_environment,
        environments.ChangeEnvironment(name, "file:b", "file:c"),
    ),
    "remove": lambda name: (environments.remove_environment, environments.RemoveEnvironment(name)),
}
ON_PACKAGE: dict[str, Callable[[UUID, int], Asked]] = {
    "describe": lambda one, n: (
        packages.describe_package,
        packages.DescribePackage(one, {"description": f"Number {n}", "tags": [str(n)]} if n < 7 else {}),
    ),
    "archive": lambda one, n: (
        packages.describe_package,
        packages.DescribePackage(one, {"status": "active" if n % 2 else "archived"}),
    ),
    "export": lambda one, n: (
        packages.record_export,
        packages.RecordExport(one, "zip", n, "c" * 64, PACKED.records),
    ),
    "fail to export": lambda one, n: (packages.record_export, packages.RecordExport(one, "json", error="No room")),
    "delete": lambda one, n: (packages.delete_package, packages.OfPackage(one)),
}
ON_JOB: dict[str, Callable[[Job, Concern, dict[str, Any]], Asked]] = {
    "begin": lambda job, about, done: (jobs.start_job, jobs.StartJob(job.id, "worker")),
    "reach": lambda job, about, done: (jobs.reach_milestone, jobs.ReachMilestone(job.id, job.fence, "half", {})),
    "complete": lambda job, about, done: (jobs.complete_job, jobs.CompleteJob(job.id, job.fence, done, about)),
    "fail": lambda job, about, done: (jobs.fail_job, jobs.FailJob(job.id, job.fence, "Broken", False, 0.5, about)),
    "fail for now": lambda job, about, done: (
        jobs.fail_job,
        jobs.FailJob(job.id, job.fence, "Away", True, 0.5, about),
    ),
    "time out": lambda job, about, done: (jobs.time_out_job, jobs.EndJob(job.id, job.fence, about)),
    "lose": lambda job, about, done: (jobs.lose_worker, jobs.EndJob(job.id, job.fence, about)),
    "release": lambda job, about, done: (jobs.release_job, jobs.EndJob(job.id, job.fence, about)),
    "confirm": lambda job, about, done: (jobs.confirm_cancel, jobs.EndJob(job.id, job.fence, about)),
    "cancel": lambda job, about, done: (jobs.cancel_job, jobs.CancelJob(job.id, "Not now", about)),
    "retry": lambda job, about, done: (jobs.retry_job, jobs.RetryJob(job.id, about)),
}
ON_INCIDENT: dict[str, Callable[[UUID, UUID, int], Asked]] = {
    "link": lambda one, deployment, n: (incidents.link_deployment, incidents.LinkDeployment(one, link(deployment, n))),
    "unlink": lambda one, deployment, n: (
        incidents.unlink_deployment,
        incidents.UnlinkDeployment(one, link(deployment, n), "It was another"),
    ),
    "resolve": lambda one, deployment, n: (incidents.resolve_incident, incidents.ResolveIncident(one)),
    "reopen": lambda one, deployment, n: (incidents.reopen_incident, incidents.ReopenIncident(one, "Not yet")),
}


def link(deployment: UUID, choice: int) -> incidents.Link:
    """A deployment that caused or mended something."""
    return incidents.Link(deployment, Relation.FIXED if choice % 2 else Relation.CAUSED)


def some_teams(choice: int) -> teams.SetTeams:
    """Teams, some with a component in common."""
    return teams.SetTeams({f"team {n}": [f"shop-{n}", "till"] for n in range(choice % 3)})
