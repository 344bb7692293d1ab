"""Functions that make one tensor of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradwire.creation import empty
from gradwire.functions.grids import several
from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.infer import normalize_dim
from gradwire_protocol.ops import OPS

__all__ = [
    "_chunk_cat", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "cat", "column_stack", "concat", "concatenate",
    "dstack", "hstack", "row_stack", "stack", "vstack", "where",
]  # fmt: skip


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Join tensors along an axis that they have."""
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    return OPS["cat"]([expect_tensor("cat", tensor) for tensor in tensors], dim)


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Join tensors of one shape along a new axis."""
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    return OPS["stack"]([expect_tensor("stack", tensor) for tensor in tensors], dim)


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """Choose by `condition` from `input` and `other`, of which either or both may be a number.

    With the condition alone, return where it is true: an index vector per axis, after a wait for their length.
    """
    if input is None and other is None:
        return expect_tensor("where", condition).nonzero(as_tuple=True)
    if input is None or other is None:
        raise TypeError("where() takes both input and other, or neither; got one of them")
    if isinstance(input, Tensor):
        return input.where(condition, other)
    overload = "where.ScalarSelf" if isinstance(other, Tensor) else "where.Scalar"
    return OPS[overload](expect_tensor("where", condition), input, other)


# ---------------------------------------------------------------- at least so many axes
def _atleast_1d(tensor: Any) -> Any:
    return tensor.reshape(1) if tensor.ndim == 0 else tensor


def _atleast_2d(tensor: Any) -> Any:
    return tensor if tensor.ndim >= 2 else tensor.reshape(1, -1)


def _atleast_3d(tensor: Any) -> Any:
    if tensor.ndim == 2:
        return tensor.unsqueeze(-1)
    return tensor if tensor.ndim > 2 else tensor.reshape(1, -1, 1)


def _each(name: str, tensors: tuple[Any, ...], widen: Callable[[Any], Any]) -> Any:
    """Widen one tensor, or each of several; those give a tuple."""
    if len(tensors) == 1 and not isinstance(tensors[0], list | tuple):
        return widen(expect_tensor(name, tensors[0]))
    return tuple(widen(tensor) for tensor in several(name, tensors))


def atleast_1d(*tensors: Any) -> Any:
    """Return each tensor with at least one axis."""
    return _each("atleast_1d", tensors, _atleast_1d)


def atleast_2d(*tensors: Any) -> Any:
    """Return each tensor with at least two axes: a vector becomes a row."""
    return _each("atleast_2d", tensors, _atleast_2d)


def atleast_3d(*tensors: Any) -> Any:
    """Return each tensor with at least three axes: (N,) -> (1, N, 1), (M, N) -> (M, N, 1)."""
    return _each("atleast_3d", tensors, _atleast_3d)


# ---------------------------------------------------------------- joining along the axis that the name says
def _listed(name: str, tensors: Any) -> list[Any]:
    given = several(name, (tensors,))
    if not given:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return given


def hstack(tensors: Sequence[Tensor]) -> Any:
    """Join side by side: vectors along their axis, others along axis 1."""
    given = [_atleast_1d(tensor) for tensor in _listed("hstack", tensors)]
    return OPS["cat"](given, 0 if given[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Any:
    """Join as rows, along axis 0."""
    return OPS["cat"]([_atleast_2d(tensor) for tensor in _listed("vstack", tensors)], 0)


row_stack = vstack


def dstack(tensors: Sequence[Tensor]) -> Any:
    """Join along axis 2."""
    return OPS["cat"]([_atleast_3d(tensor) for tensor in _listed("dstack", tensors)], 2)


def column_stack(tensors: Sequence[Tensor]) -> Any:
    """Join side by side, with vectors as columns."""
    given = _listed("column_stack", tensors)
    return hstack([tensor.reshape(-1, 1) if tensor.ndim <= 1 else tensor for tensor in given])


def block_diag(*tensors: Tensor) -> Any:
    """Return a matrix with the given matrices along its diagonal and zeros elsewhere; a vector is a row."""
    for index, tensor in enumerate(tensors):
        if expect_tensor("block_diag", tensor).dim() > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {index} has {tensor.dim()} "
                "dimensions"
            )
    if not tensors:
        return empty(1, 0)
    blocks = [_atleast_2d(tensor) for tensor in tensors]
    width, left, bands = sum(block.shape[1] for block in blocks), 0, []
    for block in blocks:
        rows, columns = block.shape
        parts = [block.new_zeros(rows, left), block, block.new_zeros(rows, width - left - columns)]
        bands.append(OPS["cat"](parts, 1))
        left += columns
    return OPS["cat"](bands, 0)


def _chunk_cat(tensors: Sequence[Tensor], dim: int, num_chunks: int) -> Any:
    """Cut axis `dim` of each tensor into `num_chunks` pieces, filled up with zeros, and join pieces of the same number.

    The axes from `dim` on are flattened: the result has the shape (*leading axes, num_chunks, -1).
    """
    if num_chunks < 1:
        raise RuntimeError(f"_chunk_cat expects positive num_chunks, got {num_chunks}")
    given = _listed("_chunk_cat", tensors)
    axis = normalize_dim(dim, given[0].ndim)
    parts = []
    for tensor in given:
        if tensor.numel() == 0:
            raise RuntimeError("_chunk_cat expects non-empty tensor")
        if tensor.dtype is not given[0].dtype:
            raise RuntimeError("_chunk_cat expects all input tensors with the same dtype")
        if tensor.ndim <= axis or tensor.shape[:axis] != given[0].shape[:axis]:
            raise RuntimeError("_chunk_cat expects same sizes of 0,...,dim-1 dimensions for all tensors")
        shape = list(tensor.shape)
        missing = -shape[axis] % num_chunks
        if missing:
            filler = tensor.new_zeros([*shape[:axis], missing, *shape[axis + 1 :]])
            tensor = OPS["cat"]([tensor, filler], axis)
        parts.append(tensor.reshape([*shape[:axis], num_chunks, -1]))
    return OPS["cat"](parts, axis + 1)
