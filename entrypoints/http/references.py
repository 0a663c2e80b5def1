"""What a reference to the past means: its position and its moment."""

from datetime import datetime

from pydantic import BaseModel, Field

from entrypoints.http.deployments import queue
from entrypoints.http.fields import Lenient, Past
from entrypoints.http.headers import AS_OF, POSITION
from entrypoints.http.reading import resolve_reference
from entrypoints.http.routing import Answer, Call, answer


class Ref(Lenient):
    """A reference, for instance `production~3`."""

    ref: Past = Field(description="A time in RFC 3339, a position, -15m, NAME@{...}, NAME~3 or NAME#412")


class ReferenceObject(BaseModel):
    """What a reference means now: everything up to `position`, which was the state of things at `moment`.

    `recorded_at` is when the last thing up to there was recorded; null before the first. `component` and
    `environment` are what its name stands for.
    """

    ref: str
    position: int
    moment: datetime | None
    recorded_at: datetime | None
    component: str | None
    environment: str | None


@queue.get("/v1/at", action="reference.read", answer=ReferenceObject, gives=(POSITION, AS_OF))
async def show_reference(call: Call, query: Ref) -> Answer:
    """Tell which position and which moment a reference means."""
    found = await resolve_reference(call, query.ref, "ref")
    recorded_at = await call.app.runs.moment_at(found.position)
    told = {
        "ref": query.ref,
        "position": found.position,
        "moment": found.moment or recorded_at,
        "recorded_at": recorded_at,
        "component": found.named and found.named.component,
        "environment": found.named and found.named.environment,
    }
    shown = str(found.position)
    return answer(told, headers={"x-rollbook-position": shown, "x-rollbook-as-of": shown})
