"""How long files and functions may be. The cure is a missing noun, never a `utils.py`."""

from __future__ import annotations

import ast

import pytest

from tests.layout.source import ROOT, is_generated, parsed, python_files

FILE_LINES = 400
# A table of one-liners, one op after the other, is easier to read long than cut.
TABLE_LINES = 700
FUNCTION_LINES = 60

FILES = [
    path
    for path in python_files("client", "server", "protos", "tests", "examples", "benchmarks")
    if not is_generated(path)
]


def file_limit(path: str) -> int:
    """Return how many lines the file may have."""
    return TABLE_LINES if "ops" in path.split("/")[:-1] else FILE_LINES


def long_functions(tree: ast.AST) -> list[str]:
    """Return the functions that are too long, decorators not counted."""
    return [
        f"{node.name} has {lines} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_short(path: str) -> None:
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert lines <= file_limit(path), f"{path} must have at most {file_limit(path)} lines; split off a noun"


@pytest.mark.parametrize("path", FILES)
def test_its_functions_are_short(path: str) -> None:
    assert long_functions(parsed(path)) == []


def test_a_function_one_line_too_long_is_seen() -> None:
    body = "    pass\n"
    assert long_functions(ast.parse("def f():\n" + body * (FUNCTION_LINES - 1))) == []
    assert long_functions(ast.parse("def f():\n" + body * FUNCTION_LINES)) == ["f has 61 lines"]


def test_only_op_tables_may_be_longer() -> None:
    assert file_limit("server/gradwire_server/ops/matmul.py") == TABLE_LINES
    assert file_limit("tests/ops/samples/matmul.py") == TABLE_LINES
    assert file_limit("server/gradwire_server/ops.py") == FILE_LINES
