"""Nested states as JSON, with names where tensors stand: `encode` and `decode`. Nothing of what is decoded is ever run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from gradwire.tensor import Tensor
from gradwire_protocol.errors import CheckpointError

__all__ = ["decode", "encode"]

Tree = Any
_PLAIN = (bool, int, str, type(None))


def encode(value: Any) -> tuple[Tree, dict[str, Tensor]]:
    """Return a value as JSON, and its tensors by the names that stand for them there.

    A tensor is named by its place, one that stands in several by its first. Raises TypeError for anything but tensors, numbers,
    text, None, lists, tuples and dicts with text or whole numbers as keys.
    """
    tensors: dict[str, Tensor] = {}
    return _encode(value, "", tensors, {}), tensors


def _encode(value: Any, place: str, tensors: dict[str, Tensor], known: dict[int, str]) -> Tree:
    if isinstance(value, Tensor):
        name = known.setdefault(id(value), place)
        tensors[name] = value
        return {"tensor": name}
    if type(value) in _PLAIN:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Mapping):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(
                    f"a checkpoint takes dicts with text or whole numbers as keys; {place or 'it'} has {key!r}"
                )
        return {"dict": [[key, _encode(item, _inner(place, key), tensors, known)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        made = [_encode(item, _inner(place, index), tensors, known) for index, item in enumerate(value)]
        return made if isinstance(value, list) else {"tuple": made}
    raise TypeError(
        "a checkpoint takes tensors, numbers, text, None, lists, tuples and dicts; "
        f"{place or 'it'} is a {type(value).__name__}"
    )


def _inner(place: str, key: object) -> str:
    return f"{place}.{key}" if place else str(key)


def decode(tree: Tree, tensor_of: Callable[[str], Tensor], path: str) -> Any:
    """Return the value that a tree stands for; `tensor_of` makes its tensors by their names, each once."""
    made: dict[str, Tensor] = {}

    def value(node: Tree) -> Any:
        if isinstance(node, list):
            return [value(item) for item in node]
        if not isinstance(node, dict):
            return node
        ((kind, content),) = node.items()
        if kind == "tensor":
            if content not in made:
                made[content] = tensor_of(content)
            return made[content]
        if kind == "dict":
            return {key: value(item) for key, item in content}
        if kind == "tuple":
            return tuple(value(item) for item in content)
        if kind == "float" and content in ("inf", "-inf", "nan"):
            return float(content)
        raise ValueError(kind)

    try:
        return value(tree)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(
            f"the checkpoint {path} describes something that no version writes: {error!r:.100}"
        ) from None
