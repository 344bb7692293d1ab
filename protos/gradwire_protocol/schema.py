"""ATen schema strings, parsed: the one source of an op's arguments.

`add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`. Arguments fall into three classes: tensors, values
that vary from call to call (`Scalar`, `float`, `SymInt`: sent beside the call), and statics (all else: part of the
signature). Grammar: pytorch/aten/src/ATen/native/README.md; only what our ops use is understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

__all__ = ["Argument", "Kind", "Return", "Schema", "parse"]


class Kind(Enum):
    """How an argument travels."""

    TENSOR = "a handle"
    TENSOR_LIST = "several handles; their number is part of the signature"
    SCALAR = "a number that varies: its Python type is part of the signature, its value is not"
    STATIC = "a value that is part of the signature"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: `type` is the bare ATen type, `alias` its annotation such as `a!`, empty if none."""

    name: str
    type: str
    kind: Kind
    optional: bool
    element_optional: bool
    alias: str
    keyword_only: bool
    has_default: bool
    default: object

    @property
    def is_written(self) -> bool:
        """Return whether the op changes this tensor in place."""
        return self.alias.endswith("!")


@dataclass(frozen=True, slots=True)
class Return:
    """One result; `alias` names the argument whose memory it shares, empty if none."""

    name: str
    type: str
    alias: str


@dataclass(frozen=True, slots=True)
class Schema:
    """A parsed schema string."""

    text: str
    name: str
    overload: str
    arguments: tuple[Argument, ...]
    returns: tuple[Return, ...]

    @property
    def full_name(self) -> str:
        """Return `name.overload`, or the bare name where there is no overload."""
        return f"{self.name}.{self.overload}" if self.overload else self.name


_SCHEMA = re.compile(r"^(?P<name>[\w:]+)(?:\.(?P<overload>\w+))?\((?P<arguments>.*)\) -> (?P<returns>.+)$")
_ARGUMENT = re.compile(
    r"^(?P<type>\w+)(?:\((?P<alias>[^)]*)\))?(?P<inner>\?)?(?P<list>\[\d*\])?(?P<optional>\?)?"
    r"(?: (?P<name>\w+))?(?:=(?P<default>.+))?$"
)
_VARYING = frozenset({"Scalar", "float", "SymInt"})
_STATIC = frozenset({"int", "bool", "str", "ScalarType"})
_WORDS: dict[str, object] = {"None": None, "True": True, "False": False, "inf": float("inf")}


def _split(text: str) -> list[str]:
    """Split on the commas that stand outside brackets."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def _default(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    if text.startswith("["):
        return tuple(_default(part) for part in _split(text[1:-1]))
    if text.startswith(("'", '"')):
        return text[1:-1]
    return float(text) if any(mark in text for mark in ".e") else int(text)


def _kind(type_name: str, is_list: bool, text: str) -> Kind:
    if type_name == "Tensor":
        return Kind.TENSOR_LIST if is_list else Kind.TENSOR
    if type_name in _VARYING and not is_list:
        return Kind.SCALAR
    if type_name in _STATIC or is_list:
        return Kind.STATIC
    raise ValueError(f"an argument's type must be known; got {type_name!r} in {text!r}")


def _argument(text: str, keyword_only: bool) -> Argument:
    match = _ARGUMENT.match(text)
    if match is None or not match["name"]:
        raise ValueError(f"an argument must read 'Type name' or 'Type name=default'; got {text!r}")
    is_list = match["list"] is not None
    optional = bool(match["optional"]) or (bool(match["inner"]) and not is_list)
    return Argument(
        name=match["name"],
        type=match["type"] + ("[]" if is_list else ""),
        kind=_kind(match["type"], is_list, text),
        optional=optional,
        element_optional=is_list and bool(match["inner"]),
        alias=match["alias"] or "",
        keyword_only=keyword_only,
        has_default=match["default"] is not None,
        default=_default(match["default"]) if match["default"] is not None else None,
    )


def _arguments(text: str) -> tuple[Argument, ...]:
    arguments, keyword_only = [], False
    for part in _split(text):
        if part == "*":
            keyword_only = True
        else:
            arguments.append(_argument(part, keyword_only))
    return tuple(arguments)


def _return(text: str) -> Return:
    match = _ARGUMENT.match(text)
    if match is None or match["type"] != "Tensor":
        raise ValueError(f"a result must be a Tensor or Tensor[]; got {text!r}")
    return Return(match["name"] or "", "Tensor[]" if match["list"] else "Tensor", match["alias"] or "")


def parse(text: str) -> Schema:
    """Parse one schema string; raise ValueError that shows the part that is not understood."""
    match = _SCHEMA.match(text)
    if match is None:
        raise ValueError(f"a schema must read 'name.overload(arguments) -> returns'; got {text!r}")
    returns = match["returns"].strip()
    inner = returns[1:-1] if returns.startswith("(") else returns
    return Schema(
        text=text,
        name=match["name"],
        overload=match["overload"] or "",
        arguments=_arguments(match["arguments"]),
        returns=tuple(_return(part) for part in _split(inner)),
    )
