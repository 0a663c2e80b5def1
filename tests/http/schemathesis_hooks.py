"""What schemathesis cannot know of the API."""

from typing import Any

import schemathesis

FOLLOWS = (None, True, 1, "true", "True", "1", "t", "y", "yes", "on")
ANOTHER_REQUEST = ["IDEMPOTENCY_KEY_REUSED"]

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """A valid request is refused when its Idempotency-Key came with another one before. Of an object in a query
    nothing arrives under the parameter's name. And headers that nobody knows are nobody's business."""
    reused = response.headers.get("x-error-code") == ANOTHER_REQUEST
    lost = any(isinstance(value, dict) for value in (case.query or {}).values())
    strange = any(name.lower() == "x-schemathesis-unknown-property" for name in case.headers or {})
    return not (reused or ((lost or strange) and failure.code == "ST201"))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Who follows the feed is never done: they get what there is."""
    if case.path == "/v1/events" and (case.query or {}).get("follow") in FOLLOWS:
        case.query = {**(case.query or {}), "follow": "false"}
