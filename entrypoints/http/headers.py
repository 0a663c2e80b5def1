"""The headers that requests and answers carry, as the OpenAPI document describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.identity.names import MAX_NAME

TEXT: Mapping[str, Any] = {"type": "string"}
NUMBER: Mapping[str, Any] = {"type": "integer", "minimum": 0}
MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Header:
    """One header; `always` is whether an answer that declares it never lacks it."""

    name: str
    meaning: str
    schema: Mapping[str, Any] = field(default_factory=lambda: TEXT)
    always: bool = False


ORGANISATION = Header("X-Organisation", f"Which organisation a personal token speaks for; 1 to {MAX_NAME} characters")
IDEMPOTENCY_KEY = Header(
    "Idempotency-Key",
    "A repeat with the same key answers what came of it the first time; kept for 7 days",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
)
IF_MATCH = Header("If-Match", "The ETag that this change was meant for; 412 when it is no longer the present one")
PREFER = Header("Prefer", "`count=exact` asks for X-Total-Count")
ALLOW_STALE = Header(
    "X-Rollbook-Allow-Stale",
    "`1` takes the read models as far as they have come, without waiting for what was written last",
)
EPOCH = Header(
    "X-Rollbook-Epoch",
    "The epoch that `as_of` is of; 400 in another one, whose positions mean something else",
    {"type": "integer", "minimum": 1},
)
LAST_EVENT_ID = Header(
    "Last-Event-ID", "The last `id` that came: go on behind it, whatever `from` says; `0` is the beginning"
)
TRACEPARENT = Header("traceparent", "The W3C trace context that this request goes on with")

ERROR_CODE = Header("X-Error-Code", "The kind of refusal, for machines", always=True)
TRACE_ID = Header("X-Trace-Id", "Names the request in logs and traces", always=True)
CHALLENGE = Header("WWW-Authenticate", "The scheme that is asked for", always=True)
ALLOW = Header("Allow", "The methods that the path has", always=True)
RETRY_AFTER = Header("Retry-After", "After how many seconds to ask again", {"type": "integer", "minimum": 1}, True)

ETAG = Header("ETag", "The deployment's version, for If-Match", always=True)
POSITION = Header("X-Rollbook-Position", "The position of the log that the answer shows", NUMBER, True)
AS_OF = Header(
    "X-Rollbook-As-Of", "The past position that the answer shows, where it does not show the present", NUMBER
)
STALE = Header("X-Rollbook-Stale", "How many of these rows are stale: a fault keeps events from them", NUMBER)
LINK = Header("Link", 'The next page, as `rel="next"`, while there is one')
TOTAL_COUNT = Header("X-Total-Count", "How many there are altogether, where `Prefer: count=exact` asks", NUMBER)
