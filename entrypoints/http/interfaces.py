"""Every interface there is; a module of routes is one line here, for importing it registers them."""

from entrypoints.http import (
    audit_exports,
    corrections,
    data_deployment_keys,
    data_deployment_why,
    data_deployments,
    environments,
    fleet_difference,
    governance,
    job_files,
    jobs,
    lanes,
    organisations,
    package_changes,
    package_deploying,
    package_export,
    package_import,
    package_reading,
    references,
    uploads,
    webhook_deliveries,
    why,
)
from entrypoints.http.audit import audit
from entrypoints.http.bundles import bundles
from entrypoints.http.deployments import queue
from entrypoints.http.dora import metrics
from entrypoints.http.feed import feed
from entrypoints.http.fleet import fleet
from entrypoints.http.incidents import incidents
from entrypoints.http.packages import packages
from entrypoints.http.teams import teams
from entrypoints.http.webhooks import webhooks

INTERFACES = (queue, packages, fleet, bundles, feed, incidents, teams, metrics, webhooks, audit)
OF_WEBHOOKS = (webhook_deliveries,)
OF_THE_QUEUE = (lanes, governance, organisations, why, corrections, references)
OF_JOBS = (jobs, job_files, environments)
OF_PACKAGES = (package_reading, package_changes, package_export, package_import, uploads)
OF_DATA_DEPLOYMENTS = (package_deploying, data_deployments, data_deployment_why, data_deployment_keys)
OF_THE_FLEET = (fleet_difference,)
OF_THE_AUDIT = (audit_exports,)
