"""`vmap`: a function of one example, applied to each of a batch. It is a loop."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from gradwire.tree import TreeSpec, broadcast_prefix, tree_flatten, tree_leaves, tree_structure, tree_unflatten
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Variable

__all__ = ["vmap"]


def _name_of(func: Callable[..., Any]) -> str:
    return getattr(func, "__name__", None) or repr(func)


def _in_dims(func: Callable[..., Any], in_dims: Any, args: tuple[Any, ...]) -> tuple[list[Any], list[Any], TreeSpec]:
    """Return the mapped dimension of each leaf of the arguments, None where it is passed as it is; and those leaves."""
    call = f"vmap({_name_of(func)}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, int | tuple):
        raise ValueError(
            f"{call}: expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, got: "
            f"{type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({_name_of(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap "
            "over a function with no inputs. The latter is unsupported."
        )
    leaves, spec = tree_flatten(args)
    dims = broadcast_prefix(in_dims, spec)
    if dims is None:
        raise ValueError(
            f"{call}: in_dims is not compatible with the structure of `inputs`. in_dims has structure "
            f"{tree_structure(in_dims)} but inputs has structure {spec}."
        )
    for leaf, dim in zip(leaves, dims, strict=True):
        _check_dim(call, leaf, dim)
    return leaves, dims, spec


def _check_dim(call: str, leaf: Any, dim: Any) -> None:
    if dim is None:
        return
    if not isinstance(dim, int):
        raise ValueError(
            f"{call}: Got in_dim={dim} for an input but in_dim must be either an integer dimension or None."
        )
    if not isinstance(leaf, Variable):
        raise ValueError(
            f"{call}: Got in_dim={dim} for an input but the input is of type {type(leaf)}. We cannot vmap over non-Tensor "
            "arguments, please use None as the respective in_dim"
        )
    rank = len(leaf.meta.shape)
    if not -rank <= dim < rank:
        raise ValueError(
            f"{call}: Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {rank} so expected "
            f"in_dim to satisfy -{rank} <= in_dim < {rank}."
        )


def _batch_size(leaves: Sequence[Any], dims: Sequence[Any]) -> int:
    sizes: list[int] = [leaf.meta.shape[dim] for leaf, dim in zip(leaves, dims, strict=True) if dim is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(size != sizes[0] for size in sizes):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return sizes[0]


class _Randomness:
    """What the calls of a function may draw from the default generator."""

    def __init__(self, kind: str) -> None:
        from gradwire.random import default_generator

        self._generator = default_generator
        self._kind = kind
        self._state = (default_generator._seed, default_generator._offset)

    def before(self) -> None:
        """Let each call draw the same numbers, if so wished."""
        if self._kind == "same":
            self._generator._seed, self._generator._offset = self._state

    def after(self) -> None:
        """Refuse that a call drew, unless it was allowed."""
        if self._kind == "error" and (self._generator._seed, self._generator._offset) != self._state:
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
                "randomness flags on vmap or perform the randomness operation out of vmap"
            )


def _out_dims(func: Callable[..., Any], out_dims: Any, output: Any) -> list[Any]:
    """Return where the mapped dimension goes in each leaf of the output."""
    spec = tree_structure(output)
    single = isinstance(out_dims, tuple) and len(out_dims) == 1 and isinstance(output, Variable)
    dims = list(out_dims) if single else broadcast_prefix(out_dims, spec)
    if dims is None:
        raise ValueError(
            f"vmap({_name_of(func)}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of "
            f"`outputs`. out_dims has structure {tree_structure(out_dims)} but outputs has structure {spec}."
        )
    return dims


def _joined(func: Callable[..., Any], parts: Sequence[Any], dim: int | None, is_empty: bool) -> Any:
    """Return one leaf of the output for the whole batch."""
    name = _name_of(func)
    if dim is None:
        first = parts[0]
        if any(part is not first and not _is_same(part, first) for part in parts):
            raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None")
        return first
    for part in parts:
        if not isinstance(part, Variable):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(part)}. Did you mean to set out_dims= "
                "to None for output?"
            )
    made = OPS["stack"](list(parts), dim)
    return made.narrow(dim, 0, 0) if is_empty else made


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two results are equal, and so do not depend on the example. Waits for tensors."""
    if isinstance(one, Variable) and isinstance(other, Variable):
        return one.meta == other.meta and bool((one == other).all().item())  # type: ignore[attr-defined]
    return bool(one == other)


def vmap(
    func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """Return `func` applied to every slice of its arguments along `in_dims`, its results stacked along `out_dims`.

    A loop: `func` runs once for each slice, so any op works, `item()` too, at the cost of as many calls. `chunk_size`, which
    bounds the memory of a batch, changes nothing. `randomness`: "error", "same" numbers for each slice, or "different".
    A result with an `out_dims` of None must be the same for each slice.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not all(dim is None or isinstance(dim, int) for dim in tree_leaves(out_dims)):
            raise ValueError(
                f"vmap({_name_of(func)}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection "
                "of ints representing where in the outputs the vmapped dimension should appear."
            )
        leaves, dims, spec = _in_dims(func, in_dims, args)
        size = _batch_size(leaves, dims)
        slices = [_slices(leaf, dim, size) for leaf, dim in zip(leaves, dims, strict=True)]
        random, outputs = _Randomness(randomness), []
        for own in zip(*slices, strict=True):
            random.before()
            outputs.append(func(*tree_unflatten(own, spec), **kwargs))
            random.after()
        places = _out_dims(func, out_dims, outputs[0])
        columns = zip(*(tree_leaves(output) for output in outputs), strict=True)
        found = [_joined(func, parts, dim, size == 0) for parts, dim in zip(columns, places, strict=True)]
        return tree_unflatten(found, tree_structure(outputs[0]))

    return wrapped


def _slices(leaf: Any, dim: int | None, size: int) -> Sequence[Any]:
    """Return a leaf's part in each call. An empty batch calls once, with zeros, for the shapes of the results."""
    if dim is None:
        return [leaf] * max(size, 1)
    if size:
        return leaf.unbind(dim)  # type: ignore[no-any-return]
    shape = [extent for axis, extent in enumerate(leaf.meta.shape) if axis != dim % len(leaf.meta.shape)]
    return [leaf.detach().new_zeros(shape)]
