"""What transforms check of arguments and results, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.autograd.levels import Level
from gradwire.tree import tree_leaves, tree_map
from gradwire_protocol.tape import Variable

__all__ = [
    "Argnums", "check_outputs", "check_real", "chosen", "fresh_tree", "replaced", "split_aux",
]  # fmt: skip

Argnums = int | tuple[int, ...]


def _position(argnum: Any, count: int) -> int:
    if not isinstance(argnum, int):
        raise RuntimeError(f"argnum must be int, got: {type(argnum)}")
    if not -count <= argnum < count:
        raise RuntimeError(f"Got argnum={argnum}, but only {count} positional inputs")
    return argnum % count


def chosen(args: Sequence[Any], argnums: Any) -> list[int]:
    """Return the positions of the arguments to differentiate by."""
    if not isinstance(argnums, int | tuple):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    listed = (argnums,) if isinstance(argnums, int) else argnums
    if not listed:
        raise RuntimeError("argnums must be non-empty")
    found = [_position(argnum, len(args)) for argnum in listed]
    if len(set(found)) != len(found):
        raise RuntimeError(f"argnums elements must be unique, got {tuple(found)}")
    return found


def _fresh(level: Level, tensor: Any) -> Any:
    if not isinstance(tensor, Variable):
        raise ValueError(f"Thing passed to transform API must be Tensor, got {type(tensor)}")
    return level.fresh(tensor)


def fresh_tree(level: Level, tree: Any) -> Any:
    """Return the tree with tensors of the level in place of its own."""
    return tree_map(lambda tensor: _fresh(level, tensor), tree)


def replaced(args: Sequence[Any], positions: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """Return the arguments with `values` at `positions`."""
    made = list(args)
    for position, value in zip(positions, values, strict=True):
        made[position] = value
    return made


def split_aux(output: Any, has_aux: bool, call: str) -> tuple[Any, Any]:
    """Return (output, aux) of what a function returned."""
    if not has_aux:
        return output, None
    if not (isinstance(output, tuple) and len(output) == 2):
        raise RuntimeError(f"{call}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return output[0], output[1]


def check_outputs(outputs: Sequence[Any], call: str) -> None:
    """Raise RuntimeError unless a function returned tensors."""
    if not outputs or (len(outputs) == 1 and outputs[0] is None):
        raise RuntimeError(
            f"{call}: Expected f to be a function that has non-empty output (got output = {list(outputs)})"
        )
    for output in outputs:
        if not isinstance(output, Variable):
            raise RuntimeError(
                f"{call}: expected f(*primals) to return only tensors, got unsupported type {type(output)}"
            )


def check_real(name: str, tree: Any, what: str) -> None:
    """Raise RuntimeError for a complex tensor."""
    for index, leaf in enumerate(tree_leaves(tree)):
        if isinstance(leaf, Variable) and leaf.meta.dtype.is_complex:
            raise RuntimeError(
                f"{name}: Expected all {what} to be real but received complex tensor at flattened input idx: {index}"
            )
