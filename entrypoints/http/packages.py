"""The interface of packages and the jobs that work on them, in the words of their document."""

from entrypoints.http.errors import text_errors
from entrypoints.http.routing import Interface

packages = Interface("packages", "/api", text_errors)
