"""Every interface there is; a module of routes is one line here, for importing it registers them."""

from entrypoints.http import (
    data_deployment_keys,
    data_deployments,
    environments,
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
    uploads,
)
from entrypoints.http.deployments import queue
from entrypoints.http.packages import packages

INTERFACES = (queue, packages)
OF_THE_QUEUE = (lanes, governance, organisations)
OF_JOBS = (jobs, job_files, environments)
OF_PACKAGES = (package_reading, package_changes, package_export, package_import, uploads)
OF_DATA_DEPLOYMENTS = (package_deploying, data_deployments, data_deployment_keys)
