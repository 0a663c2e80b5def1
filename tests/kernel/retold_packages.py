"""A second opinion on environments, packages, their deployments and all jobs: each member is looked up in the events
that set it."""

from typing import Any

from tests.kernel.log_words import Document, Event, at, last, newest, own_id, said

JOB_ENDS = {f"job.{s}": s for s in ("completed", "failed", "cancelled")} | {"job.timed_out": "timeout"}
JOB_RETURNS = ("job.worker_lost", "job.released", "job.retried")
JOB_STATUS = {
    "job.requested": "queued",
    "job.started": "processing",
    "job.retry_scheduled": "retry",
    **dict.fromkeys(JOB_RETURNS, "queued"),
    **JOB_ENDS,
}
ACTIONS = {
    "package.defined": "pack",
    "package.imported": "import",
    "package.export_requested": "export",
    "package.exported": "export",
    "package.export_failed": "export",
    "package.validated": "validate",
    "data_deployment.requested": "deploy",
    "data_deployment.requested_again": "deploy",
    "data_deployment.rollback_requested": "rollback",
}
ACTION_ENDS = {
    **{f"package.{s}": "completed" for s in ("imported", "exported", "validated", "packing_finished")},
    **{f"package.{s}": "failed" for s in ("export_failed", "packing_failed")},
    **{f"data_deployment.{s}": "completed" for s in ("deployed", "rolled_back")},
    **{f"data_deployment.{s}": "failed" for s in ("failed", "cancelled", "rollback_failed")},
}
ACTION_STARTS = ("package.packing_started", "package.export_started", "data_deployment.started")
EXPORTS = tuple(f"package.{s}" for s in ("export_requested", "export_started", "exported", "export_failed"))
SILENT = ("package.packing_started", "package.validated", *EXPORTS)
DEPLOYMENT_STATUS = {
    "data_deployment.requested": "scheduled",
    "data_deployment.requested_again": "scheduled",
    "data_deployment.started": "in_progress",
    **{f"data_deployment.{s}": s for s in ("deployed", "failed", "cancelled", "rolled_back")},
}


def common(events: list[Event]) -> Document:
    """What every row that can change says of itself."""
    first, now = events[0], events[-1]
    return {
        "id": own_id(first),
        "organisation": first["organisation"],
        "created_at": at(first),
        "updated_at": at(now),
        "version_number": now["version"],
        "created_position": first["position"],
    }


def job(events: list[Event], _: list[Event]) -> Document:
    """A job: how often it was tried is how often it was started since somebody last wanted it."""
    asked, wanted, moved = said(events[0]), newest(events, "job.requested", "job.retried"), newest(events, *JOB_STATUS)
    tries = [e["topic"] for e in events[events.index(wanted) :]]
    started, held = last(events, "job.started"), last(events, "job.started", "job.worker_lost", "job.released")
    stopped, completed = last(events, "job.cancel_requested", *JOB_ENDS), last(events, "job.completed")
    is_over = moved["topic"] in JOB_ENDS
    return {
        **common(events),
        **{n: asked[n] for n in ("handler", "arguments", "prefix", "priority", "timeout_seconds", "max_retries")},
        **{name: wanted["told"]["cause"].get(name) for name in ("correlation_id", "traceparent")},
        "status": JOB_STATUS[moved["topic"]],
        "due_at": due_at(events),
        "attempt": tries.count("job.started") - tries.count("job.released"),
        "fence": [e["topic"] for e in events].count("job.started"),
        "started_at": at(started) if started else None,
        "completed_at": at(moved) if is_over else None,
        "last_error": last_error(events),
        "result": said(completed)["result"] if completed else None,
        "worker": said(held)["worker"] if held and held["topic"] == "job.started" else None,
        "cancelling": stopped is not None and stopped["topic"] == "job.cancel_requested",
        "actor": events[0]["told"]["actor"]["id"],
        "position": events[-1]["commit_position"],
    }


def due_at(events: list[Event]) -> str:
    """When at the earliest a job was last to be started."""
    event = newest(events, "job.requested", "job.retry_scheduled", *JOB_RETURNS)
    return said(event).get("due_at") or at(event)


def last_error(events: list[Event]) -> str | None:
    """What went wrong last with a job, also when it went well afterwards."""
    event = last(events, "job.failed", "job.retry_scheduled", "job.worker_lost", "job.timed_out", "job.cancelled")
    if event is None:
        return None
    words = {
        "job.worker_lost": "The worker was lost",
        "job.timed_out": f"It took longer than {said(event).get('after_seconds')} s",
        "job.cancelled": said(event).get("reason") or "It was cancelled",
    }
    return words.get(event["topic"]) or str(said(event)["error"])


def environment(events: list[Event], _: list[Event]) -> Document:
    """What a name stands for, or stood for last."""
    added, secrets = newest(events, "environment.added"), newest(events, "environment.added", "environment.changed")
    return {
        **said(events[0]),
        "kind": said(added)["kind"],
        "dsn": said(secrets)["dsn"],
        "reader_dsn": said(secrets)["reader_dsn"],
        "active": newest(events, "environment.added", "environment.removed") is added,
        "created_at": at(added),
        "created_by": added["told"]["actor"]["id"],
        "updated_at": at(events[-1]),
        "updated_by": events[-1]["told"]["actor"]["id"],
        "created_position": events[0]["position"],
    }


def package(events: list[Event], _: list[Event]) -> Document:
    """A package; that it was exported or tried is told by its actions alone."""
    made = said(events[0])
    loud = [e for e in events if e["topic"] not in SILENT and said(e) != {"changes": {}}]
    packed = last(events, "package.imported", "package.packing_finished")
    failed = last(events, "package.packing_failed")
    described: Document = {}
    for event in (e for e in events if e["topic"] == "package.described"):
        described |= said(event)["changes"]
    status = "active" if packed else "failed" if failed else "packing"
    document = {
        **common(loud),
        **{n: made[n] for n in ("name", "version", "package_type", "environment", "dependencies", "metadata")},
        **{name: made.get(name) for name in ("description", "selection", "original_id", "signed_by")},
        "packed": said(packed)["packed"] if packed else None,
        "tags": [],
        "error": said(failed)["error"] if failed else None,
        "imported": events[0]["topic"] == "package.imported",
        "status": status,
        "actor": events[0]["told"]["actor"]["id"],
        **described,
    }
    return document | ({"status": "deleted"} if last(events, "package.deleted") else {})


def action_id(event: Event) -> str | None:
    """Of which action an event tells: those of packages and their deployments say so."""
    about = event["stream_id"].startswith(("package-", "data_deployment-"))
    found: str | None = said(event).get("action_id") if about else None
    return found


def action(events: list[Event], _: list[Event]) -> Document:
    """Something that was done with a package, from the event that began it and the one that ended it."""
    first, asked, kind = events[0], said(events[0]), ACTIONS[events[0]["topic"]]
    begun, over = next((e for e in events if e["topic"] in ACTION_STARTS), None), last(events, *ACTION_ENDS)
    began_itself = kind not in ("pack", "deploy") and first["topic"] != "package.export_requested"
    told = said(over) if over else {}
    problem = told.get("error") or (told.get("reason") or "It was cancelled" if "reason" in told else None)
    of_package = first["stream_id"].startswith("package-")
    place = asked.get("environment")
    done = ACTION_ENDS[over["topic"]] if over else "in_progress" if begun or began_itself else "pending"
    since = first if began_itself else begun or over
    return {
        "id": asked["action_id"],
        "organisation": first["organisation"],
        "package_id": own_id(first) if of_package else asked["package_id"],
        "deployment_id": None if of_package else own_id(first),
        "kind": kind,
        "status": "failed" if problem else done,
        "source_environment": place if kind == "pack" else None,
        "target_environment": place if kind in ("import", "validate", "deploy", "rollback") else None,
        "options": asked.get("selection", asked.get("options", {})),
        "records": counted(told),
        "error": problem,
        "warnings": told.get("warnings", []),
        "actor": asked.get("requested_by", first["told"]["actor"]["id"]),
        "created_at": at(first),
        "started_at": at(since) if since else None,
        "completed_at": at(over) if over else None,
        "created_position": first["position"],
    }


def counted(told: Any) -> Document:
    """How many rows of each table an end tells of, each of which is new, changed, the same or left out."""
    if "tables" in told:
        lost = {name: counts["failed"] for name, counts in told["tables"].items()}
        every = {name: sum(counts.values()) for name, counts in told["tables"].items()}
        return {name: {"succeeded": every[name] - lost[name], "failed": lost[name]} for name in every}
    held = told.get("packed", told).get("records", {})
    return {name: {"succeeded": rows, "failed": 0} for name, rows in held.items()}


def data_deployment(events: list[Event], log: list[Event]) -> Document:
    """A deployment of a package; whether it is on top is what its installation says."""
    asked, again = said(events[0]), newest(events, "data_deployment.requested", "data_deployment.requested_again")
    deployed = last(events, "data_deployment.deployed")
    made = said(deployed) if deployed else {}
    covered = last(events, "data_deployment.replaced", "data_deployment.reinstated")
    by = said(covered).get("by") if covered else None
    recalled = last(events, "data_deployment.rollback_requested", "data_deployment.rollback_failed")
    gone = last(events, "data_deployment.rolled_back")
    return {
        **common(events),
        **{name: asked[name] for name in ("package_id", "package", "version", "environment", "options")},
        **{name: made.get(name, {}) for name in ("tables", "keys", "mapped")},
        "due_at": said(again).get("due_at"),
        "action_id": said(again)["action_id"],
        "status": DEPLOYMENT_STATUS[newest(events, *DEPLOYMENT_STATUS)["topic"]],
        "error": problem_of(events),
        "database_name": made.get("database_name"),
        "kept": made.get("kept"),
        "warnings": made.get("warnings", []),
        "deployed_at": at(deployed) if deployed else None,
        "is_active": is_on_top(events, log),
        "replaced_by": by,
        "replaced_at": at(covered) if covered and by else None,
        "rolled_back_at": at(gone) if gone else None,
        "rolled_back_by": said(recalled).get("requested_by") if recalled else None,
        "actor": asked["requested_by"],
        "deployed_by": said(again)["requested_by"],
    }


def problem_of(events: list[Event]) -> str | None:
    """Why what was last wanted of a deployment did not come about."""
    rollback = ("data_deployment.rollback_requested", "data_deployment.rollback_failed")
    event = newest(events, *DEPLOYMENT_STATUS, *rollback)
    if event["topic"] == "data_deployment.cancelled":
        return said(event)["reason"] or "It was cancelled"
    problem: str | None = said(event).get("error")
    return problem


def is_on_top(events: list[Event], log: list[Event]) -> bool:
    """Whether it is the newest that its installation holds, as of the last of these events."""
    mine, until = own_id(events[0]), events[-1]["commit_position"]
    tops = [e for e in log if e["topic"] == "installation.topped" and e["commit_position"] <= until]
    place = next((e["stream_id"] for e in tops if said(e)["deployment_id"] == mine), None)
    uncovered = (e for e in log if e["topic"] == "installation.uncovered" and e["commit_position"] <= until)
    gone = {said(e)["deployment_id"] for e in uncovered}
    there = [said(e)["deployment_id"] for e in tops if e["stream_id"] == place]
    return mine == next((one for one in reversed(there) if one not in gone), None)
