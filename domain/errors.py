"""Why a command is refused: one class a kind of refusal, each with a stable code for machines."""

from collections.abc import Mapping
from typing import Any, ClassVar


class RollbookError(Exception):
    """A refusal that the caller is told in full; it never carries a secret."""

    code: ClassVar[str] = "ERROR"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, Any] = details


class Invalid(RollbookError):
    """The request is understood and makes no sense."""

    code = "INVALID"


class Unprocessable(RollbookError):
    """A value in the request is refused; `errors` lists each in pydantic's form."""

    code = "UNPROCESSABLE"

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("The request has invalid values", errors=errors)
        self.errors = errors


class Unauthenticated(RollbookError):
    """Nobody knows who is asking."""

    code = "UNAUTHENTICATED"


class Forbidden(RollbookError):
    """We know who is asking, and they may not."""

    code = "FORBIDDEN"


class NotFound(RollbookError):
    """There is no such thing in the caller's organisation."""

    code = "NOT_FOUND"


class Clash(RollbookError):
    """The request contradicts the present state."""

    code = "CLASH"


class Gone(RollbookError):
    """It was there, and is not kept any longer."""

    code = "GONE"


class LeaseLost(RollbookError):
    """The claim has ended; somebody else may hold the work now."""

    code = "LEASE_LOST"


class VersionMismatch(RollbookError):
    """An `If-Match` names another version than the present one."""

    code = "VERSION_MISMATCH"


class TooLarge(RollbookError):
    """The request, or an event that it would record, exceeds a limit of size."""

    code = "TOO_LARGE"


class KeyReused(RollbookError):
    """An Idempotency-Key came back with another request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class Frozen(RollbookError):
    """A freeze covers the lane; `details` say who, why and until when."""

    code = "FROZEN"


class RateLimited(RollbookError):
    """Too many requests; `retry_after` is in seconds."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message, retry_after=retry_after)
        self.retry_after = retry_after


class Unavailable(RollbookError):
    """Something that we need does not answer; asking again later may work. `retry_after` is in seconds."""

    code = "UNAVAILABLE"

    def __init__(self, message: str, retry_after: int = 1, **details: Any) -> None:
        super().__init__(message, retry_after=retry_after, **details)
        self.retry_after = retry_after


class StorageFull(RollbookError):
    """The disk of the event store is full: nothing was recorded."""

    code = "STORAGE_FULL"
