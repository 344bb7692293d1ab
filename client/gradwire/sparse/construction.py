"""Sparse tensors from places and values, and from dense tensors."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from gradwire import creation, memory
from gradwire.sparse.places import gathered, numbered
from gradwire.sparse.tensor import SparseTensor, sparse
from gradwire.tensor import Tensor, get_default_dtype
from gradwire_protocol.dtypes import DType, int64

__all__ = ["check_sparse_tensor_invariants", "empty_sparse", "sparse_coo_tensor", "sparse_mask", "to_sparse"]


class check_sparse_tensor_invariants:
    """Check the places of new sparse tensors, or not, within a `with` block; `enable` and `disable` for the process.

    A check waits for the places. Without, a place outside of the sizes is an IndexError of the op that reads it.
    """

    _enabled = False

    def __init__(self, enable: bool = True) -> None:
        self._wanted, self._before = enable, False

    @classmethod
    def is_enabled(cls) -> bool:
        """Return whether new sparse tensors are checked."""
        return check_sparse_tensor_invariants._enabled

    @classmethod
    def enable(cls) -> None:
        """Check new sparse tensors from now on."""
        check_sparse_tensor_invariants._enabled = True

    @classmethod
    def disable(cls) -> None:
        """Check new sparse tensors no longer."""
        check_sparse_tensor_invariants._enabled = False

    def __enter__(self) -> Self:
        self._before = check_sparse_tensor_invariants._enabled
        check_sparse_tensor_invariants._enabled = self._wanted
        return self

    def __exit__(self, *exception: object) -> None:
        check_sparse_tensor_invariants._enabled = self._before


def sparse_coo_tensor(
    indices: Any = None,
    values: Any = None,
    size: Any = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> Any:
    """Return a sparse tensor: places (axes, N), values (N, ...), sizes. With sizes alone, one of zeros.

    Gradients flow into values that require them. Without sizes it waits, for the largest places.
    """
    if values is None:
        made = empty_sparse(tuple(indices if size is None else size), dtype or get_default_dtype())
        return creation.finish(made, requires_grad, device)
    places, held = _places(indices), _values(values, dtype)
    held = held if device is None else held.to(device)
    places = places.to(held.device)
    shape = _inferred(places, held) if size is None else tuple(size)
    _check_sizes(places, held, shape)
    if check_sparse_tensor_invariants.is_enabled() if check_invariants is None else check_invariants:
        _check_places(places, shape, bool(is_coalesced))
    made = sparse(
        places, held, shape, bool(is_coalesced) or held.shape[0] < 2, "SparseCooTensorWithDimsAndTensorsBackward0"
    )
    return made.requires_grad_() if requires_grad else made


def empty_sparse(shape: tuple[int, ...], dtype: DType, sparse_dim: int | None = None) -> SparseTensor:
    """Return a sparse tensor without values; its last axes are dense where `sparse_dim` is less than all."""
    axes = len(shape) if sparse_dim is None else sparse_dim
    places = creation.zeros(axes, 0, dtype=int64)
    return sparse(places, creation.zeros(0, *shape[axes:], dtype=dtype), shape, True)


def _places(indices: Any) -> Any:
    found = indices.detach() if isinstance(indices, Tensor) else creation.tensor(np.asarray(indices))
    if found.dim() != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(found.shape)}")
    return found.to(int64)


def _values(values: Any, dtype: DType | None) -> Any:
    """Return values as an alias, a recorded one if they require grad, in the dtype wanted."""
    if not isinstance(values, Tensor):
        held: Any = creation.tensor(values, dtype=dtype)
    else:
        held = values.alias() if values.requires_grad else values.detach()
        held = held if dtype is None else held.to(dtype)
    return held if held.dim() else held.reshape(1)


def _inferred(places: Any, held: Any) -> tuple[int, ...]:
    """Return the least sizes that have all places. Waits."""
    rest: tuple[int, ...] = tuple(held.shape[1:])
    if not places.shape[1]:
        return (*(0 for _ in range(places.shape[0])), *rest)
    least = places.amin(1).tolist() if places.shape[0] else []
    for dim, found in enumerate(least):
        if found < 0:
            raise RuntimeError(f"found negative index {found} for dim {dim}")
    return (*(found + 1 for found in (places.amax(1).tolist() if places.shape[0] else [])), *rest)


def _check_sizes(places: Any, held: Any, shape: tuple[int, ...]) -> None:
    axes, dense = places.shape[0], held.dim() - 1
    if len(shape) != axes + dense:
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(shape)}, sparse_dim = {axes}, "
            f"dense_dim = {dense}"
        )
    if places.shape[1] != held.shape[0]:
        raise RuntimeError(
            f"indices and values must have same nnz, but got nnz from indices: {places.shape[1]}, nnz from values: "
            f"{held.shape[0]}"
        )
    expected = [held.shape[0], *shape[axes:]]
    if expected != list(held.shape):
        raise RuntimeError(f"values has incorrect size, expected {expected}, got {list(held.shape)}")


def _check_places(places: Any, shape: tuple[int, ...], coalesced: bool) -> None:
    """Wait for the places, and raise what PyTorch raises if they are outside of the sizes, or not in order if said so."""
    if not places.numel():
        return
    least, most = places.amin(1).tolist(), places.amax(1).tolist()
    for dim, (low, high) in enumerate(zip(least, most, strict=True)):
        if low < 0:
            raise RuntimeError(f"found negative index {low} for dim {dim}")
        if high >= shape[dim]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {dim}, size is {shape[dim]} but found index {high}"
            )
    if coalesced and bool((numbered(places, shape[: places.shape[0]]).diff() <= 0).any()):
        raise RuntimeError("cannot set is_coalesced to true if indices correspond to uncoalesced COO tensor")


def to_sparse(dense: Any, sparse_dim: int | None, layout: Any, dense_dim: int | None) -> Any:
    """Return the elements that are not 0 with their places. Waits for their number."""
    if layout not in (None, memory.sparse_coo):
        raise NotImplementedError(f"to_sparse makes torch.sparse_coo tensors; got layout={layout}")
    ndim = dense.dim()
    if dense_dim is not None:
        sparse_dim = ndim - dense_dim
    axes = ndim if sparse_dim is None else sparse_dim
    if not 0 <= axes <= ndim:
        raise RuntimeError(f"dense_to_sparse: sparse_dim argument must be in [0,{ndim}] range, but {axes} is given")
    if ndim and not axes:
        raise RuntimeError("dense_to_sparse: sparse_dim argument must be in >0 when self.dim()>0")
    found = dense.detach() != 0
    if axes < ndim:
        found = found.flatten(axes).any(axes)
    places = (
        found.nonzero().t().contiguous()
        if ndim
        else creation.zeros(0, int(bool(found)), dtype=int64, device=dense.device)
    )
    held = gathered(dense, places) if ndim else dense.reshape(1).narrow(0, 0, places.shape[1])
    return sparse(
        places, held, dense.shape, True, "ToSparseBackward0" if sparse_dim is not None else "ToSparseBackward1"
    )


def sparse_mask(values: Any, mask: Any) -> Any:
    """Return the elements of a tensor at the places of `mask`."""
    if not isinstance(mask, SparseTensor):
        raise RuntimeError("sparse_mask: expected mask to be a sparse tensor")
    if values.shape != mask.shape:
        raise RuntimeError(
            "sparse_mask(): operands have incompatible sizes; self has size "
            f"{list(values.shape)} but mask has size {list(mask.shape)}"
        )
    dense = values.to_dense() if isinstance(values, SparseTensor) else values
    return sparse(mask.places, gathered(dense, mask.places), mask.shape, mask.coalesced, "SparseMaskBackward0")
