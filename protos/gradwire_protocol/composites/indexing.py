"""Composites and overload resolution of the indexing family: `x[...]`, `x[...] = ...`, and what is built on them.

An index is taken apart as PyTorch does (torch/csrc/autograd/python_variable_indexing.cpp): numbers, slices, None and
Ellipsis make a view; index tensors are then applied to that view by one `index` or `index_put_`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_, Number
from gradwire_protocol.dtypes import Category, bool_, int64, uint8
from gradwire_protocol.infer import broadcast_shapes, normalize_dim
from gradwire_protocol.registry import OPS, torch_type_name

__all__ = ["IndexingComposites"]

_ALIAS, _SELECT, _SLICE, _UNSQUEEZE = OPS["alias"], OPS["select.int"], OPS["slice.Tensor"], OPS["unsqueeze"]
_INDEX, _INDEX_PUT, _GATHER = OPS["index.Tensor"], OPS["index_put_"], OPS["gather"]

Found = dict[int, Any]  # index tensors by the axis of the view that they index


def _plain(self: Any, item: Any) -> Any:
    """Return an entry of an index as int, bool, slice, None, Ellipsis or tensor."""
    if item is None or item is Ellipsis or isinstance(item, int | slice | Callable_):
        return item
    if isinstance(item, list | tuple | range) or getattr(item, "ndim", None):
        return self._tensor_from(item)
    if getattr(item, "dtype", None) == "bool":
        return bool(item)
    try:
        return operator.index(item)
    except TypeError:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
            f"{type(item).__name__})"
        ) from None


def _axes_used(item: Any) -> int:
    """Return how many axes an entry of an index stands for."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    if isinstance(item, Callable_) and item.meta.dtype in (bool_, uint8):
        return item.meta.ndim
    return 1


class _Index:
    """An index on its way through a tensor's axes: the view so far, and the tensors that are left to apply to it."""

    def __init__(self, tensor: Any, index: Any, writing: bool) -> None:
        """Take `index` apart; raise IndexError in PyTorch's words."""
        items = [_plain(tensor, item) for item in (index if isinstance(index, tuple) else (index,))]
        self.view = tensor
        self.found: Found = {}
        self.at = 0  # the next axis of the view
        self.whole_slices = writing or len(items) > 1
        self.skipped = tensor.meta.ndim - sum(map(_axes_used, items))
        if self.skipped < 0:
            raise IndexError(_too_many(tensor.meta.ndim, index))
        for position, item in enumerate(items):
            self._apply(item, position)

    def _apply(self, item: Any, position: int) -> None:
        if isinstance(item, bool):
            self._tensor(self._added().new_zeros(int(item), dtype=int64))
        elif isinstance(item, int):
            self._number(item, position)
        elif isinstance(item, slice):
            self._slice(item)
        elif item is None:
            self._added()
            self.at += 1
        elif item is Ellipsis:
            self.at += self.skipped
        elif item.meta.dtype in (bool_, uint8):
            self._mask(item if item.meta.dtype is bool_ else item.ne(0))
        elif item.meta.ndim == 0 and item.meta.dtype.category is Category.INT:
            self._number(operator.index(item), position)  # a view's place is metadata, so this waits, as in PyTorch
        else:
            self._tensor(item)

    def _added(self) -> Any:
        self.view = self.view._call(_UNSQUEEZE, (self.view,), (self.at,))
        return self.view

    def _number(self, item: int, position: int) -> None:
        size = self.view.meta.shape[self.at]
        if not -size <= item < size:
            # PyTorch names the position in the index, which is the dimension unless there is None or Ellipsis.
            raise IndexError(f"index {item} is out of bounds for dimension {position} with size {size}")
        self.view = self.view._call(_SELECT, (self.view,), (self.at, item % size))

    def _slice(self, item: slice) -> None:
        size = self.view.meta.shape[self.at]
        start, stop, step = (None if x is None else operator.index(x) for x in (item.start, item.stop, item.step))
        if step is not None and step <= 0:
            raise ValueError("step must be greater than zero")
        first, last, step = slice(start, stop, step).indices(size)
        if not self.whole_slices or (first, last, step) != (0, size, 1):
            self.view = self.view._call(_SLICE, (self.view,), (self.at, first, max(first, last), step))
        self.at += 1

    def _mask(self, mask: Any) -> None:
        if not mask.meta.ndim:
            self._added()
            mask = mask.view(1)
        _check_mask(mask.meta.shape, self.view.meta.shape, self.at)
        self._tensor(mask, mask.meta.ndim)

    def _tensor(self, tensor: Any, axes: int = 1) -> None:
        self.found[self.at] = tensor
        self.at += axes

    def only_mask(self) -> Any:
        """Return the one mask that is the whole of `found`, in a shape that broadcasts to the view's; else None."""
        if len(self.found) != 1:
            return None
        ((axis, mask),) = self.found.items()
        if mask.meta.dtype is not bool_:
            return None
        after = self.view.meta.ndim - axis - mask.meta.ndim
        return mask.view(*mask.meta.shape, *(1,) * after) if after else mask

    def indices(self) -> tuple[Any, ...]:
        """Return an integer index tensor or None for each axis of the view; masks need their values for that."""
        order: list[Any] = [None] * self.view.meta.ndim
        for axis, tensor in self.found.items():
            parts = self.view._mask_to_indices(tensor) if tensor.meta.dtype is bool_ else (tensor,)
            order[axis : axis + len(parts)] = parts
        while order and order[-1] is None:
            order.pop()
        return tuple(order)


def _too_many(ndim: int, index: Any) -> str:
    if ndim == 0 and isinstance(index, int):
        return (
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
            "0-dim tensor to a number"
        )
    if ndim == 0 and isinstance(index, slice):
        return "slice() cannot be applied to a 0-dim tensor."
    return f"too many indices for tensor of dimension {ndim}"


def _as_stored(view: Any, value: Number) -> Number:
    """Return a number as an assignment stores it: PyTorch truncates floats for integer tensors."""
    category = view.meta.dtype.category
    if category is Category.INT and isinstance(value, float):
        return int(value)
    if category is Category.BOOL and not isinstance(value, complex):
        return bool(value)
    if isinstance(value, complex) and category is not Category.COMPLEX:
        name = torch_type_name(view.meta.dtype).lower()
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")
    return value


def _assigned(view: Any, value: Any) -> Any:
    """Return an assigned value as a number or a tensor; raise TypeError for what is neither."""
    if isinstance(value, Callable_):
        return value
    if not isinstance(value, bool | int | float | complex):
        if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0:  # a scalar of numpy's
            return _as_stored(view, value.item())
        raise TypeError(f"can't assign a {type(value).__name__} to a torch.{torch_type_name(view.meta.dtype)}Tensor")
    return _as_stored(view, value)


def _without_leading_ones(value: Any, ndim: int) -> Any:
    """Drop axes of size 1 that a tensor has in front of the `ndim` that fit."""
    shape = value.meta.shape
    surplus = 0
    while len(shape) - surplus > ndim and shape[surplus] == 1:
        surplus += 1
    return value.view(shape[surplus:]) if surplus else value


class IndexingComposites(Callable_):
    """Methods of the indexing family that are written by hand."""

    __slots__ = ()

    # -- what needs values, and therefore an implementor that can wait for them
    def _mask_to_indices(self, mask: Self) -> tuple[Self, ...]:
        """Return the places where a bool tensor is True: an int64 vector per axis of `mask`, in C order."""
        raise RuntimeError(
            f"indexing with a bool mask needs its values, to know the result's shape; got {mask.meta} where they "
            "cannot be waited for; use where(), masked_fill() or integer indices"
        )

    def _tensor_from(self, data: Any) -> Self:
        """Return a list or host array as a tensor beside self; an empty list is an int64 vector."""
        raise RuntimeError(
            f"indexing with a {type(data).__name__} needs to send its values; use a tensor that is already here"
        )

    # -- x[...]
    def __getitem__(self, index: Any) -> Self:
        """Return a view for numbers, slices, None and Ellipsis; a copy if there are tensors, lists or masks too."""
        taken = _Index(self, index, writing=False)
        view = taken.view
        if taken.found:
            indices = taken.indices()
            return view._call(_INDEX, (view, *indices), (), (), (len(indices),))  # type: ignore[no-any-return]
        return self._call(_ALIAS, (self,)) if view is self else view  # type: ignore[no-any-return]

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write a number or a tensor that broadcasts; does not wait unless a mask takes more than one value."""
        taken = _Index(self, index, writing=True)
        view = taken.view
        value = _assigned(view, value)
        is_tensor = isinstance(value, Callable_)
        if not taken.found:
            if is_tensor:
                view.copy_(_without_leading_ones(value, view.meta.ndim))
            else:
                view.fill_(value)
            return
        if not is_tensor or not value.meta.ndim:
            mask = taken.only_mask()
            if mask is not None:
                view.masked_fill_(mask, value)
                return
        source = _without_leading_ones(value, 0) if is_tensor else OPS["new_full"](view, (), value)
        indices = taken.indices()
        view._call(_INDEX_PUT, (view, *indices, source), (False,), (), (len(indices),))

    # -- with index tensors given one by one, masks among them
    def index(self, indices: Sequence[Self | None]) -> Self:
        """Return the elements that index tensors, masks or None (all of an axis) pick, as `self[...]` does."""
        plain = _unmasked(self, indices)
        return self._call(_INDEX, (self, *plain), (), (), (len(plain),))  # type: ignore[no-any-return]

    def index_put(self, indices: Sequence[Self | None], values: Self, accumulate: bool = False) -> Self:
        """Return a copy with `values` written, or added, where index tensors or masks say."""
        plain = _unmasked(self, indices)
        return OPS["index_put"](self, plain, values, accumulate)  # type: ignore[no-any-return]

    def index_put_(self, indices: Sequence[Self | None], values: Self, accumulate: bool = False) -> Self:
        """Write `values`, or add them, where index tensors or masks say."""
        plain = _unmasked(self, indices)
        return self._call(_INDEX_PUT, (self, *plain, values), (accumulate,), (), (len(plain),))  # type: ignore[no-any-return]

    # -- along an axis
    def gather(self, dim: int, index: Self, *, sparse_grad: bool = False) -> Self:
        """Return self[index[i, j], j] for dim 0. There are no sparse gradients, so `sparse_grad` must be False."""
        if sparse_grad:
            raise NotImplementedError("gather() needs sparse_grad=False, since gradients here are dense; got True")
        return self._call(_GATHER, (self, index), (dim,))  # type: ignore[no-any-return]

    def scatter(
        self, dim: int, index: Self, src: Any = None, *, value: Number | None = None, reduce: str | None = None
    ) -> Self:
        """Return a copy with `src` (a tensor, or a number) at `index` along `dim`; `reduce` is "add" or "multiply"."""
        return _scatter(self, "scatter", dim, index, src, value, reduce)  # type: ignore[no-any-return]

    def scatter_(
        self, dim: int, index: Self, src: Any = None, *, value: Number | None = None, reduce: str | None = None
    ) -> Self:
        """Write `src` (a tensor, or a number) at `index` along `dim`; `reduce` is "add" or "multiply"."""
        return _scatter(self, "scatter_", dim, index, src, value, reduce)  # type: ignore[no-any-return]

    # -- PyTorch's compiler makes these, for indices that it knows to be in range
    def _unsafe_index(self, indices: Sequence[Self | None]) -> Self:
        """Return `index(indices)`; masks are refused."""
        if any(index is not None and index.meta.dtype in (bool_, uint8) for index in indices):
            raise RuntimeError("_unsafe_index found unexpected index type Bool")
        return self.index(indices)

    def _unsafe_index_put(self, indices: Sequence[Self | None], values: Self, accumulate: bool = False) -> Self:
        """Return `index_put(indices, values, accumulate)`."""
        return self.index_put(indices, values, accumulate)

    def _unsafe_masked_index(self, mask: Self, indices: Sequence[Self | None], fill: Number) -> Self:
        """Return `index(indices)` where `mask` is True, else `fill`; indices out of range are moved into it."""
        me: Any = self
        if not self.meta.numel:
            return me.new_full(mask.meta.shape, fill)  # type: ignore[no-any-return]
        return me.index(_clamped(self, indices)).masked_fill(_inverted(mask), fill)  # type: ignore[no-any-return]

    def _unsafe_masked_index_put_accumulate(self, mask: Self, indices: Sequence[Self | None], values: Self) -> Self:
        """Return a copy with `values` added at indices where `mask` is True; undoes `_unsafe_masked_index`."""
        me: Any = self
        if not self.meta.numel:
            return me.clone()  # type: ignore[no-any-return]
        chosen: Any = values
        return me.index_put(_clamped(self, indices), chosen.masked_fill(_inverted(mask), 0), True)  # type: ignore[no-any-return]

    def take_along_dim(self, indices: Self, dim: int | None = None) -> Self:
        """Gather along `dim`, where the other axes broadcast; without `dim`, from self as one vector."""
        if indices.meta.dtype is not int64:
            raise RuntimeError(
                f"torch.take_along_dim(): dtype of indices should be Long but got {torch_type_name(indices.meta.dtype)}"
            )
        if dim is None:
            flat: Any = self
            return flat.reshape(-1).gather(0, indices.reshape(-1))  # type: ignore[attr-defined,no-any-return]
        mine, theirs = self.meta.shape, indices.meta.shape
        if len(mine) != len(theirs):
            raise RuntimeError(
                "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
                f"{len(mine)} dimensions for input, and {len(theirs)} dimensions for indices"
            )
        axis = normalize_dim(dim, len(mine))
        places: Any = indices
        indices = places.remainder((mine[axis] if mine else 1) or 1)  # as PyTorch wraps them, however far out they are
        if not mine:
            return self.gather(0, indices)
        both = broadcast_shapes(_with(mine, axis, 1), _with(theirs, axis, 1))
        source = _expanded(self, _with(both, axis, mine[axis]))
        return source.gather(axis, _expanded(indices, _with(both, axis, theirs[axis])))  # type: ignore[no-any-return]


def _unmasked(tensor: Any, indices: Sequence[Any]) -> tuple[Any, ...]:
    """Return index tensors with each mask replaced by the indices of its true places, one per axis of it."""
    if all(index is None or index.meta.dtype not in (bool_, uint8) for index in indices):
        return tuple(indices)
    plain: list[Any] = []
    for index in indices:
        if index is None or index.meta.dtype not in (bool_, uint8):
            plain.append(index)
            continue
        mask = index if index.meta.dtype is bool_ else index.ne(0)
        _check_mask(mask.meta.shape, tensor.meta.shape, len(plain))
        plain += tensor._mask_to_indices(mask)
    return tuple(plain)


def _check_mask(sizes: tuple[int, ...], shape: tuple[int, ...], first: int) -> None:
    """Refuse a mask whose shape is not that of the axes from `first` on."""
    for offset, size in enumerate(sizes):
        if first + offset >= len(shape):
            raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
        if size != shape[first + offset]:
            raise IndexError(
                f"The shape of the mask {list(sizes)} at index {offset} does not match the shape of the indexed "
                f"tensor {list(shape)} at index {first + offset}"
            )


def _with(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _expanded(tensor: Any, shape: tuple[int, ...]) -> Any:
    """Broadcast; a mask or a tensor without axes becomes a vector, since indices need an axis."""
    if not shape:
        return tensor.view(1)
    return tensor if tensor.meta.shape == shape else tensor.expand(shape)


def _inverted(mask: Any) -> Any:
    return mask.logical_not()


def _clamped(tensor: Any, indices: Sequence[Any]) -> list[Any]:
    """Move indices into the range of their axes."""
    sizes = tensor.meta.shape
    return [None if index is None else index.clamp(-sizes[axis], sizes[axis] - 1) for axis, index in enumerate(indices)]


_REDUCTIONS = {"add": "sum", "multiply": "prod"}


def _scatter(self: Any, name: str, dim: int, index: Any, src: Any, value: Any, reduce: str | None) -> Any:
    if (src is None) == (value is None):
        raise TypeError(f"{name}() takes either src or value; got {'neither' if src is None else 'both'}")
    given = value if src is None else src
    if reduce is not None:
        if reduce not in _REDUCTIONS:
            raise RuntimeError("reduce argument must be either add or multiply.")
        source = given if isinstance(given, Callable_) else OPS["new_full"](self, index.meta.shape, given)
        inplace = "_" if name.endswith("_") else ""
        return OPS[f"scatter_reduce{inplace}.two"](self, dim, index, source, _REDUCTIONS[reduce])
    return OPS[f"{name}.src" if isinstance(given, Callable_) else f"{name}.value"](self, dim, index, given)
