"""Refusals as answers: one table of statuses, and a body shape for each kind of interface."""

from http import HTTPStatus
from typing import Any

from domain import errors
from entrypoints.http.routing import Answer, answer

STATUS: dict[type[errors.RollbookError], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Clash: 409,
    errors.LeaseLost: 410,
    errors.VersionMismatch: 412,
    errors.TooLarge: 413,
    errors.Unprocessable: 422,
    errors.KeyReused: 422,
    errors.Frozen: 423,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
    errors.StorageFull: 507,
}


class NoSuchPath(errors.RollbookError):
    """No route has this path."""

    code = "NOT_FOUND"


class WrongMethod(errors.RollbookError):
    """The path exists, with other methods."""

    code = "METHOD_NOT_ALLOWED"


class TooSlow(errors.RollbookError):
    """The request's body did not arrive in time."""

    code = "REQUEST_TIMEOUT"


class CutOff(errors.RollbookError):
    """The client left before its request was complete; nothing was done."""

    code = "REQUEST_CUT_OFF"


class Broken(errors.RollbookError):
    """Our fault; what happened is in the log under the trace id."""

    code = "INTERNAL"


STATUS |= {NoSuchPath: 404, WrongMethod: 405, TooSlow: 408, CutOff: 400, Broken: 500}


def status_of(refusal: errors.RollbookError) -> int:
    """The HTTP status of a refusal."""
    return next((STATUS[kind] for kind in type(refusal).__mro__ if kind in STATUS), 400)


def headers_of(refusal: errors.RollbookError, trace_id: str) -> dict[str, str]:
    """What every error answer carries, and what this one needs besides."""
    headers = {"x-error-code": refusal.code, "x-trace-id": trace_id}
    if isinstance(refusal, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(refusal, WrongMethod):
        headers["allow"] = str(refusal.details["allow"])
    if retry_after := getattr(refusal, "retry_after", None):
        headers["retry-after"] = str(retry_after)
    return headers


def detail_errors(refusal: errors.RollbookError, status: int) -> Answer:
    """`{"detail": ...}`: a text, or for refused values a list of them."""
    if isinstance(refusal, errors.Unprocessable):
        return answer({"detail": refusal.errors}, status)
    body: dict[str, Any] = {"detail": refusal.message}
    if isinstance(refusal, errors.Frozen):
        body |= {name: refusal.details.get(name) for name in ("freeze_id", "who", "why", "until")}
    return answer(body, status)


def problem_details(refusal: errors.RollbookError, status: int) -> Answer:
    """RFC 9457."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": refusal.message,
        "code": refusal.code,
        **refusal.details,
    }
    return answer(body, status, media_type="application/problem+json")
