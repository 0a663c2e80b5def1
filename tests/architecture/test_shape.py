"""The code keeps the shape that the design asks for."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("domain", "application", "projections", "adapters", "entrypoints")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
VAGUE = {"util", "utils", "helper", "helpers", "common", "base", "manager", "service", "impl"}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def functions() -> list[tuple[str, int]]:
    """Every function with its number of lines. Docstrings do not count: they say what code cannot, and may be long."""
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((f"{path.relative_to(ROOT)}:{node.name}", length(node)))
    return found


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the signature to the end, without the docstring."""
    lines = (node.end_lineno or 0) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def test_no_function_is_over_thirty_lines() -> None:
    assert [f for f in functions() if f[1] > 30] == []


def test_functions_are_short() -> None:
    lengths = [lines for _, lines in functions()]
    assert median(lengths) <= 6
    assert quantiles(lengths, n=10)[-1] <= 15


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") < 250
    assert ast.get_docstring(ast.parse(text))


def words(name: str) -> set[str]:
    """The words of a name in snake_case or CamelCase."""
    return {word.lower() for word in WORD.findall(name)}


def named(tree: ast.AST) -> Iterator[str]:
    """Every name that a module gives: classes, functions, parameters, variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_has_a_vague_name(path: Path) -> None:
    names = [*path.relative_to(ROOT).with_suffix("").parts, *named(ast.parse(path.read_text()))]
    assert [name for name in names if words(name) & VAGUE] == []


@pytest.mark.parametrize("name", ["utils", "jwt_helpers", "TokenManager", "BaseStore", "HTTPService", "_store_impl"])
def test_a_vague_word_is_seen_wherever_it_stands(name: str) -> None:
    assert words(name) & VAGUE


@pytest.mark.parametrize("name", ["database", "services", "microservice", "implied", "based_on", "commonly"])
def test_a_word_that_holds_a_vague_one_is_not_vague(name: str) -> None:
    assert not words(name) & VAGUE


def test_a_docstring_does_not_make_a_function_long() -> None:
    source = 'def f() -> int:\n    """One\n    two\n    three."""\n    return 1\n'
    assert [length(n) for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)] == [2]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_import_root_is_ours(package: str) -> None:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin).parent == ROOT / package
    assert set(packages_distributions().get(package, [])) <= {"rollbook"}, "somebody else installs under our name"
