"""Why a MySQL or MariaDB server cannot be used, without a word of its address."""

REASONS = {
    1044: "it lets this user into no such database",
    1045: "it refuses the user or the password",
    1049: "it does not have the database",
    1040: "it has no connection left",
    1130: "it lets nobody in from here",
    2002: "nobody listens there",
    2003: "nobody listens there, or its host's name is not known",
    2005: "its host's name is not known",
    2013: "the connection broke",
}


def reason(fault: Exception) -> str:
    """Why there is no access, in words of ours: those of others repeat hosts and users."""
    number = fault.args[0] if fault.args else None
    return REASONS.get(number, type(fault).__name__) if isinstance(number, int) else type(fault).__name__
