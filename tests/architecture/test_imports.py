"""Who may import what: an allowlist for the domain, layers, no stars, no circles."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_shape import FILES, ROOT

# Everything that the domain may name; none of it reads a clock, a file, a socket or a dice.
PURE = {
    *("bisect", "collections", "collections.abc", "dataclasses", "datetime", "enum", "functools", "hashlib", "json"),
    *("re", "typing", "uuid", "eventsourcing.domain", "pydantic", "pydantic_core"),
}
# What pure modules hold that is not: moments and identities are given to the domain.
IMPURE = {"now", "utcnow", "today", "uuid1", "uuid4", "uuid7", "create_utc_datetime_now", "datetime_now_with_tzinfo"}
BELOW = {
    "domain": {"domain"},
    "application": {"domain", "application"},
    "projections": {"domain", "projections"},
    "adapters": {"domain", "application", "projections", "adapters"},
    "entrypoints": {"domain", "application", "projections", "adapters", "entrypoints"},
}
# Imported by the command line and the composition alike; whoever builds things does it there and nowhere else.
BUILDERS = ("PostgresEventStore", "Executor", "PostgresViews", "Visibility", "Projector")


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every module that is imported, also inside functions, with the name that is taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((str(node.module), alias.name) for alias in node.names)


def module_of(path: Path) -> str:
    """The dotted name of one of our files."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): ast.parse(path.read_text()) for path in FILES}


def impure(source: str) -> list[str]:
    """What a module of the domain names that is not pure."""
    tree = ast.parse(source)
    found = [m for m, _ in imports(tree) if m not in PURE and m.partition(".")[0] != "domain"]
    found += [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in IMPURE]
    found += [name for _, name in imports(tree) if name in IMPURE]
    return found + [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in ("open", "print", "__import__")]


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "domain")], ids=lambda p: p.stem)
def test_the_domain_imports_only_what_is_pure(path: Path) -> None:
    assert impure(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "import eventsourcing.utils",
        "from time import time",
        "from adapters import codec",
        "def f():\n    import psycopg",
        "from datetime import datetime\nAT = datetime.now()",
        "from uuid import uuid4",
        "open('file')",
    ],
)
def test_the_allowlist_refuses_the_outside_world(source: str) -> None:
    assert impure(source)


def ours(module: str) -> set[str]:
    """Which of our modules a module imports."""
    named = {m for m, _ in imports(MODULES[module])}
    named |= {f"{m}.{name}" for m, name in imports(MODULES[module])}
    return (named & MODULES.keys()) - {module}


@pytest.mark.parametrize("module", MODULES)
def test_a_layer_imports_itself_and_those_below(module: str) -> None:
    layer = module.partition(".")[0]
    assert {m for m in ours(module) if m.partition(".")[0] not in BELOW[layer]} == set()


def test_nothing_is_imported_by_a_star() -> None:
    assert [module for module, tree in MODULES.items() if ("*" in {name for _, name in imports(tree)})] == []


def at_once(tree: ast.Module) -> set[str]:
    """What is imported when the module is, which excludes imports inside functions and those for types alone."""
    running = [n for n in tree.body if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))]
    shallow = ast.Module([n for n in running if not isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)], [])
    return {m for m, _ in imports(shallow)} | {f"{m}.{name}" for m, name in imports(shallow)}


def circles(graph: dict[str, set[str]]) -> set[str]:
    """The modules that are part of a circle, or lead from one to another: what is left when no leaf is."""
    left = {module: set(needs) for module, needs in graph.items()}
    while leaves := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in leaves}
    return set(left)


def test_no_modules_import_each_other_in_circles() -> None:
    graph = {module: (at_once(tree) & MODULES.keys()) - {module} for module, tree in MODULES.items()}
    assert sum(map(len, graph.values())) > len(graph)
    assert circles(graph) == set()


def test_a_circle_would_be_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == {"a", "b", "c", "d"}


def called(call: ast.Call) -> str:
    """The last word of what is called: `event_store.Appender(...)` is a call of Appender."""
    return ast.unparse(call.func).rpartition(".")[2]


@pytest.mark.parametrize("name", BUILDERS)
def test_things_are_built_in_the_composition_alone(name: str) -> None:
    calls = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and called(node) == name
    }
    assert calls == {"entrypoints.composition"}
