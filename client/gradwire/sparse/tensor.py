"""`SparseTensor`: the places of the elements that are not 0, and their values; both are ordinary tensors on the worker.

Only the client knows of it: what it computes with are its places and values, so autograd goes through the values, and a
gradient of a sparse leaf is that of its values at the same places. What no kernel of `gradwire.sparse.kernels` computes is
refused in PyTorch's words; nothing is made dense unasked.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gradwire import memory
from gradwire.properties import PropertyMethods
from gradwire.sparse.places import distinct, numbered, summed
from gradwire.sparse_methods import SparseMeta
from gradwire.tensor import Tensor
from gradwire.transfer import moved
from gradwire_protocol.dtypes import DType, bool_, int64

if TYPE_CHECKING:
    from gradwire.session import Session

__all__ = ["SparseTensor", "sparse"]


def sparse(places: Any, held: Any, shape: tuple[int, ...], coalesced: bool = False, made_by: str = "") -> SparseTensor:
    """Return a sparse tensor: places (axes, N), values (N, ...), sizes; `coalesced` if the places increase strictly."""
    made: SparseTensor = object.__new__(SparseTensor)
    made.session = held.session
    made.places, made.held, made.made_by = places, held, made_by
    made.coalesced = coalesced
    tensor: Any = made  # the slot is Variable's
    tensor.meta = SparseMeta(tuple(shape), held.dtype)
    return made


def _of_values(name: str) -> property:
    """Return autograd's view of a sparse tensor: that of its values."""

    def get(self: Any) -> Any:
        return getattr(self.held, name)

    def put(self: Any, value: Any) -> None:
        setattr(self.held, name, value)

    return property(get, put)


def _refused(message: str, kind: type[Exception] = RuntimeError) -> Any:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise kind(message)

    return refuse


_NO_DATA = "Cannot access data pointer of Tensor that doesn't have storage"
_NO_STORAGE = "Cannot access storage of SparseTensorImpl"


class SparseTensor(Tensor):
    """A tensor in coordinate layout (`torch.sparse_coo`)."""

    __slots__ = ("coalesced", "held", "made_by", "places")

    places: Any
    held: Any
    coalesced: bool
    made_by: str  # the name of the node that PyTorch would have made here

    is_sparse = True

    # Set on Tensor's slots by name: a sparse tensor is where its values are in the graph.
    for _name in (
        "base", "base_version", "leaf_requires_grad", "node", "offset", "output_nr", "storage", "view_kind", "_grad",
        "_retains_grad",
    ):  # fmt: skip
        locals()[_name] = _of_values(_name)
    del _name

    def __del__(self) -> None:
        """Free nothing: places and values free themselves."""

    @property
    def handle(self) -> int:  # type: ignore[override]
        """Raise NotImplementedError: there is no array on the worker that is this tensor."""
        raise NotImplementedError(_NO_STORAGE)

    # ------------------------------------------------------------ what it holds
    @property
    def layout(self) -> memory.layout:
        """Return `gradwire.sparse_coo`."""
        return memory.sparse_coo

    def sparse_dim(self) -> int:
        """Return the number of axes that places are kept for."""
        return int(self.places.shape[0])

    def dense_dim(self) -> int:
        """Return the number of axes of each value."""
        return int(self.held.dim()) - 1

    def _nnz(self) -> int:
        """Return the number of values that are kept, zeros and doubles included."""
        return int(self.held.shape[0])

    def is_coalesced(self) -> bool:
        """Return whether the places are known to be in order and without doubles."""
        return self.coalesced

    def _coalesced_(self, coalesced: bool) -> SparseTensor:
        self.coalesced = coalesced
        return self

    def indices(self) -> Any:
        """Return the places: (sparse_dim, nnz), int64. Raises RuntimeError before `coalesce`."""
        self._check_coalesced("indices")
        return self.places

    def values(self) -> Any:
        """Return the values: (nnz, ...), through which gradients flow. Raises RuntimeError before `coalesce`."""
        self._check_coalesced("values")
        return self.held.alias()

    def _indices(self) -> Any:
        return self.places

    def _values(self) -> Any:
        return self.held.detach()

    def with_values(self, held: Any) -> SparseTensor:
        """Return other values at the same places."""
        return sparse(self.places, held, tuple(self.meta.shape), self.coalesced)

    def moved(self, target: Session) -> SparseTensor:
        """Return a copy on another worker; gradients of the values come back through it."""
        return sparse(moved(self.places, target), moved(self.held, target), tuple(self.meta.shape), self.coalesced)

    def _check_coalesced(self, name: str) -> None:
        if not self.coalesced:
            raise RuntimeError(f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first")

    def coalesce(self) -> SparseTensor:
        """Return this tensor with its places in order, and the values of doubles summed. Waits for the number of places."""
        if self.coalesced:
            return self
        places, groups = distinct(self.places, self._sparse_shape)
        held = self.held
        wide = held.to(int64) if held.dtype is bool_ else held
        values = summed(wide, groups, places.shape[1])
        if held.dtype is bool_:
            values = values.to(bool_)
        return sparse(places, values, self.meta.shape, True, "CoalesceBackward0")

    @property
    def _sparse_shape(self) -> tuple[int, ...]:
        return tuple(self.meta.shape[: self.places.shape[0]])

    def to_dense(self, dtype: DType | None = None, *, masked_grad: bool | None = None) -> Any:
        """Return the dense tensor. The gradient is kept at the places that are there, as PyTorch does by default."""
        if masked_grad is False:
            raise NotImplementedError(
                "to_dense(masked_grad=False) needs a dense gradient of a sparse tensor; leave it out"
            )
        values = self.held if dtype is None else self.held.to(dtype)
        is_bool = values.dtype is bool_
        flat = summed(
            values.to(int64) if is_bool else values,
            numbered(self.places, self._sparse_shape),
            math.prod(self._sparse_shape),
        )
        dense = flat.view(self.meta.shape)
        return dense.to(bool_) if is_bool else dense

    # ------------------------------------------------------------ autograd
    @property
    def grad_fn(self) -> Any:
        """Return the graph node that made the values, None for a leaf. Printing names the node that PyTorch would have."""
        return self.held.grad_fn

    @property
    def grad(self) -> Any:
        """Return the gradient of a sparse leaf: values at the same places. May be set to None or to another such."""
        found = self.held.grad
        return None if found is None else self.with_values(found)

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None and not (isinstance(value, SparseTensor) and value.held.shape == self.held.shape):
            raise RuntimeError("a sparse tensor's grad has to be None, or a sparse tensor with the same places")
        self.held.grad = None if value is None else value.held

    @grad.deleter
    def grad(self) -> None:
        self.held.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Set whether gradients of the values are wanted; see Tensor."""
        self.held.requires_grad_(requires_grad)
        return self

    def retain_grad(self) -> None:
        """Let backward fill `grad` of this non-leaf too."""
        self.held.retain_grad()

    def detach_(self) -> Any:
        """Make this tensor a leaf that requires no grad."""
        self.held.detach_()
        return self

    @property
    def data(self) -> Any:
        """Return this tensor on the same memory, without a graph."""
        return self.with_values(self.held.data)

    @data.setter
    def data(self, value: Any) -> None:
        raise NotImplementedError("setting the data of a sparse tensor is not supported; make a new one")

    def register_hook(self, hook: Any) -> Any:
        """Raise NotImplementedError: hooks are for dense tensors; the one on the values sees the same gradient."""
        raise NotImplementedError("register_hook is not supported on sparse tensors; register it on the dense values")

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = sparse(copy.deepcopy(self.places, memo), copy.deepcopy(self.held, memo), self.meta.shape, self.coalesced)
        memo[id(self)] = made
        return made

    def __copy__(self) -> Any:
        return sparse(self.places, copy.copy(self.held), self.meta.shape, self.coalesced)

    # ------------------------------------------------------------ what a dense tensor has from its memory
    def stride(self, dim: Any = None) -> Any:
        """Return zeros: the elements have no steps."""
        return (0,) * self.meta.ndim if dim is None else 0

    def storage_offset(self) -> int:
        """Return 0."""
        return 0

    def is_contiguous(self, memory_format: Any = memory.contiguous_format) -> bool:
        """Return False."""
        return False

    def to_sparse(self, sparse_dim: int | None = None, *, layout: Any = None, dense_dim: int | None = None) -> Any:
        """Return this tensor."""
        if layout not in (None, memory.sparse_coo) or sparse_dim not in (None, self.sparse_dim()):
            raise RuntimeError(
                "to_sparse: conversion from Sparse to Sparse with sparse_dim argument !=self.sparse_dim() is not supported"
            )
        return self

    def item(self) -> Any:
        """Wait for the one element."""
        if self.meta.numel != 1:
            raise RuntimeError(f"a Tensor with {self.meta.numel} elements cannot be converted to Scalar")
        return self.to_dense().item()

    def __bool__(self) -> bool:
        if self.meta.numel != 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self.item())

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """Raise TypeError: make it dense first."""
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    tolist = _refused(_NO_DATA)
    data_ptr = _refused(_NO_DATA)
    untyped_storage = _refused(_NO_STORAGE, NotImplementedError)
    contiguous = _refused("unsupported memory format option Contiguous")
    reshape = flatten = _refused("reshape is not implemented for sparse tensors")
    expand = _refused("expand is unsupported for Sparse tensors")
    __setitem__ = _refused("Cannot assign to a sparse tensor", TypeError)
    __reduce__ = __setstate__ = _refused(
        "sparse tensors are not pickled, nor saved; save indices(), values() and size(), and make it again from those",
        TypeError,
    )

    @property
    def nbytes(self) -> int:
        """Raise RuntimeError, in PyTorch's words."""
        raise RuntimeError(
            "nbytes is not defined for sparse tensors.  If you want the size of the constituent tensors, add the nbytes of "
            "the indices and values.  If you want the size of the  equivalent dense tensor, multiply numel() by "
            "element_size()"
        )

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """Return the PyTorch type name, or this tensor in another dtype."""
        found = PropertyMethods.type(self, dtype, non_blocking)
        return found.replace("torch.", "torch.sparse.", 1) if dtype is None else found

    def sparse_mask(self, mask: Any) -> Any:
        """Return the elements at the places of another sparse tensor."""
        from gradwire.sparse.construction import sparse_mask

        return sparse_mask(self, mask)

    def __getitem__(self, index: Any) -> Any:
        from gradwire.sparse.indexing import item_of

        return item_of(self, index)

    def __repr__(self) -> str:
        from gradwire.sparse.text import text_of

        return text_of(self)
