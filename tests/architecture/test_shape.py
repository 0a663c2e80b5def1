"""The code keeps the shape that the design asks for."""

import ast
import importlib.util
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("domain", "application", "projections", "adapters", "entrypoints")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
VAGUE = ("utils", "helpers", "common", "base", "manager", "service", "impl")


def functions() -> list[tuple[str, int]]:
    """Every function with its number of lines, without its docstring."""
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


def test_nothing_has_a_vague_name() -> None:
    assert [p.name for p in FILES if p.stem.lower() in VAGUE] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_each_import_root_is_ours(package: str) -> None:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin).parent == ROOT / package
