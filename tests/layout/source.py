"""The project's Python files, parsed, for the layout tests. Imports none of them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["PACKAGES", "ROOT", "Import", "imports", "is_generated", "parsed", "python_files"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "gradwire": "client/gradwire",
    "gradwire_server": "server/gradwire_server",
    "gradwire_pool": "server/gradwire_pool",
    "gradwire_protocol": "protos/gradwire_protocol",
}
# By name, not by a banner inside: a file cannot exempt itself.
_GENERATED = {"protos/gradwire_protocol/methods.py", "client/gradwire/_functions.py"}
_GENERATED_SUFFIXES = ("_pb2.py", "_pb2_grpc.py")


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the dotted module, the names taken from it, the line."""

    module: str
    names: tuple[str, ...]
    line: int

    @property
    def top(self) -> str:
        """Return the top-level package."""
        return self.module.partition(".")[0]


def is_generated(path: str) -> bool:
    """Return whether a script writes this file (a path relative to the root)."""
    return path in _GENERATED or path.endswith(_GENERATED_SUFFIXES)


def python_files(*folders: str) -> list[str]:
    """Return the Python files under the folders, as sorted paths relative to the root."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


@cache
def parsed(path: str) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def imports(tree: ast.AST) -> list[Import]:
    """Return every import at any depth, `import_module` with a literal name included.

    Those under `TYPE_CHECKING` count too: a name that only annotations need still ties two
    packages together.
    """
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, (), node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found.append(Import("." * node.level + (node.module or ""), names, node.lineno))
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            found.append(Import(_literal(node), (), node.lineno))
    return found


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _literal(node: ast.Call) -> str:
    """Return the literal module name of an `import_module` call, or `<computed>`."""
    first = node.args[0] if node.args else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    return "<computed>"
