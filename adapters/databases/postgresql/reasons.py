"""Why a PostgreSQL server cannot be used, without a word of its address."""

import re

import psycopg

# What the server or libpq says, and what of it may be repeated.
REASONS = (
    ("password authentication failed", "it refuses the password"),
    ("no password supplied", "it wants a password"),
    ("pg_hba[.]conf", "it lets nobody in from here (pg_hba.conf)"),
    ("too many", "it has no connection left"),
    ("No space left", "its disk is full"),
    ("recovery mode", "it is recovering"),
    ("terminating connection|closed the connection|connection .*lost", "it ended the connection"),
    ("starting up", "it is starting"),
    ("shutting down", "it is shutting down"),
    ('role ".*" does not exist', "it does not know the role"),
    ('database ".*" does not exist', "it does not have the database"),
    ("translate host name", "its host's name is not known"),
    ("resolve host", "its host's name is not known"),
    ("Connection refused", "nobody listens there"),
    ("timeout", "no answer in time"),
    ("No such file", "nobody listens there"),
    ("SSL", "no agreement about encryption"),
    ("certificate", "its certificate is not trusted"),
)


def reason(fault: psycopg.Error) -> str:
    """Why there is no access, in words of ours: those of others repeat hosts and users."""
    said = str(fault)
    return next((ours for theirs, ours in REASONS if re.search(theirs, said)), type(fault).__name__)
