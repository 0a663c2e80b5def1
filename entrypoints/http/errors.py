"""Refusals as answers: one table of statuses, and a body shape for each kind of interface."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict

from domain import errors
from entrypoints.http.headers import ALLOW, CHALLENGE, ERROR_CODE, RETRY_AFTER, TRACE_ID, Header
from entrypoints.http.routing import Answer, ErrorShape, answer

STATUS: dict[type[errors.RollbookError], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Clash: 409,
    errors.Gone: 410,
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


class WrongMediaType(errors.RollbookError):
    """The body says that it is something that the route does not take."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class HeadTooLarge(errors.RollbookError):
    """The address and the headers of the request exceed a limit of size."""

    code = "HEAD_TOO_LARGE"


class Malformed(errors.RollbookError):
    """What came is no HTTP."""

    code = "MALFORMED"


class CutOff(errors.RollbookError):
    """The client left before its request was complete; nothing was done."""

    code = "REQUEST_CUT_OFF"


class Broken(errors.RollbookError):
    """Our fault; what happened is in the log under the trace id."""

    code = "INTERNAL"


STATUS |= {
    Malformed: 400,
    CutOff: 400,
    NoSuchPath: 404,
    WrongMethod: 405,
    TooSlow: 408,
    WrongMediaType: 415,
    HeadTooLarge: 431,
    Broken: 500,
}
HEADERS: dict[int, tuple[Header, ...]] = {
    401: (CHALLENGE,),
    405: (ALLOW,),
    429: (RETRY_AFTER,),
    503: (RETRY_AFTER,),
}


def status_of(refusal: errors.RollbookError) -> int:
    """The HTTP status of a refusal."""
    return status_of_kind(type(refusal))


def status_of_kind(refused: type[errors.RollbookError]) -> int:
    """The HTTP status of a kind of refusal."""
    return next((STATUS[kind] for kind in refused.__mro__ if kind in STATUS), 400)


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


def declared_headers(status: int) -> tuple[Header, ...]:
    """What refusals of this status carry."""
    return (ERROR_CODE, TRACE_ID, *HEADERS.get(status, ()))


class Fault(BaseModel):
    """A value that is refused, and where it stands."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any
    ctx: dict[str, Any] = {}


class Detail(BaseModel):
    """Why the request is refused."""

    detail: str


class FaultsDetail(BaseModel):
    """Which values are refused; a text where it is not about one value."""

    detail: list[Fault] | str


class FrozenDetail(Detail):
    """Which freeze stands in the way."""

    freeze_id: str
    who: str
    why: str
    until: str | None


class Problem(BaseModel):
    """A refusal as RFC 9457 describes it; some have more members."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str
    code: str


def write_detail(refusal: errors.RollbookError, status: int) -> Answer:
    """`{"detail": ...}`: a text, or for refused values a list of them."""
    if isinstance(refusal, errors.Unprocessable):
        return answer({"detail": refusal.errors}, status)
    body: dict[str, Any] = {"detail": refusal.message}
    if isinstance(refusal, errors.Frozen):
        body |= {name: refusal.details.get(name) for name in ("freeze_id", "who", "why", "until")}
    return answer(body, status)


def detail_model(status: int) -> type[BaseModel]:
    """What write_detail writes."""
    models: dict[int, type[BaseModel]] = {422: FaultsDetail, 423: FrozenDetail}
    return models.get(status, Detail)


class ErrorText(BaseModel):
    """Why the request is refused."""

    error: str


def write_text(refusal: errors.RollbookError, status: int) -> Answer:
    """`{"error": "text"}`; of refused values each with its place."""
    return answer({"error": in_one_text(refusal)}, status)


def in_one_text(refusal: errors.RollbookError) -> str:
    """The refusal as one text."""
    if not isinstance(refusal, errors.Unprocessable):
        return refusal.message
    return "; ".join(fault_in_words(fault) for fault in refusal.errors)


def fault_in_words(fault: dict[str, Any]) -> str:
    """What is wrong with one value, and where it stands."""
    if why := fault.get("ctx", {}).get("error") if fault["type"] == "json_invalid" else None:
        return f"The body is not JSON: {why} at character {fault['loc'][-1]}"
    place = ".".join(str(part) for part in fault["loc"][1:])
    return f"{place}: {fault['msg']}" if place else str(fault["msg"])


PROBLEM = "application/problem+json"


def write_problem(refusal: errors.RollbookError, status: int) -> Answer:
    """RFC 9457."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": refusal.message,
        "code": refusal.code,
        **refusal.details,
    }
    return answer(body, status, media_type=PROBLEM)


detail_errors = ErrorShape(write_detail, detail_model)
problem_details = ErrorShape(write_problem, lambda _: Problem, PROBLEM)
text_errors = ErrorShape(write_text, lambda _: ErrorText, instead={422: 400})
