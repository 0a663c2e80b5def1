"""What can go wrong for a user of the command line, and the exit code that says so."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from typer.exceptions import TyperException


class Exit(IntEnum):
    """How a command ends; scripts decide on these, so they never change their meaning."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NOT_ALLOWED = 3
    NOT_FOUND = 4
    UNAVAILABLE = 5
    FROZEN = 6
    INTERRUPTED = 130


MEANINGS: Mapping[Exit, str] = {
    Exit.DONE: "done",
    Exit.REFUSED: "the server refused the request (any other 4xx)",
    Exit.USAGE: "wrong usage or configuration; nothing was sent or nothing there speaks this API",
    Exit.NOT_ALLOWED: "not authenticated or not allowed (401, 403)",
    Exit.NOT_FOUND: "there is no such thing (404)",
    Exit.UNAVAILABLE: "the server failed, did not answer in time or cannot be reached (5xx)",
    Exit.FROZEN: "a freeze is in force (423)",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
}
EPILOG = "Exit codes:\n\n" + "\n\n".join(f"{code.value}  {meaning}" for code, meaning in MEANINGS.items())

BY_STATUS = {
    401: Exit.NOT_ALLOWED,
    403: Exit.NOT_ALLOWED,
    404: Exit.NOT_FOUND,
    423: Exit.FROZEN,
}


class Failure(TyperException):
    """A command that did not succeed. `status` and `answer` are the server's, None where no answer came."""

    def __init__(
        self,
        message: str,
        exit_code: Exit,
        code: str,
        status: int | None = None,
        trace_id: str | None = None,
        answer: Any = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code
        self.status = status
        self.trace_id = trace_id
        self.answer = answer


def misuse(message: str) -> Failure:
    """The user asked for something that makes no sense, or configured it so."""
    return Failure(message, Exit.USAGE, "USAGE")


def unreachable(message: str) -> Failure:
    """No complete answer came."""
    return Failure(message, Exit.UNAVAILABLE, "UNREACHABLE")


def exit_for(status: int) -> Exit:
    """The exit code for an HTTP status that is no success."""
    if status >= 500:
        return Exit.UNAVAILABLE
    return BY_STATUS.get(status, Exit.REFUSED if status >= 400 else Exit.USAGE)


def described(failure: TyperException) -> dict[str, Any]:
    """A failure as a JSON object for programs."""
    facts = {
        "code": getattr(failure, "code", "USAGE"),
        "message": failure.format_message(),
        "exit_code": int(failure.exit_code),
        "status": getattr(failure, "status", None),
        "trace_id": getattr(failure, "trace_id", None),
        "answer": getattr(failure, "answer", None),
    }
    return {"error": {name: value for name, value in facts.items() if value is not None}}


def sentence(failure: TyperException) -> str:
    """A failure as one line for people."""
    facts = described(failure)["error"]
    marks = [facts["code"]]
    marks += [f"HTTP {facts['status']}"] if "status" in facts else []
    marks += [f"trace {facts['trace_id']}"] if "trace_id" in facts else []
    return f"error: {facts['message'].rstrip('. ')} ({', '.join(marks)})"
