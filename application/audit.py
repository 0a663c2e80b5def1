"""Taking the record out: who did is on record before the first byte leaves."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from application.execution import Work
from domain.audit_export import AuditExport


@dataclass(frozen=True, slots=True)
class RequestAuditExport:
    """Take out the events behind one position up to another that the filters let through. `kind` says as what."""

    kind: str
    from_position: int
    to_position: int
    filters: dict[str, Any]
    export_id: UUID = field(default_factory=uuid4)


async def request_audit_export(work: Work, command: RequestAuditExport) -> str:
    """Answers the export's id."""
    facts = {name: getattr(command, name) for name in ("kind", "from_position", "to_position", "filters")}
    facts |= {"organisation": work.organisation, "requested_by": work.actor}
    work.add(AuditExport.request(command.export_id, work.now, **facts))
    return str(command.export_id)
