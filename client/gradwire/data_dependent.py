"""Tensor methods whose result's size depends on values: they wait for one number, never for the elements."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.dtypes import Category, bool_, int64
from gradwire_protocol.infer import broadcast_shapes, normalize_dim
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.pointwise import unsupported
from gradwire_protocol.ops.searching import check_bincount
from gradwire_protocol.tape import Variable

__all__ = ["DataDependentMethods", "repeated_places"]

_NONZERO, _MASKED_SELECT = OPS["nonzero_static"], OPS["gw::masked_select"]


def _first(padded: Any, dim: int, size: int) -> Any:
    """Return the first `size` places of an axis in memory of their own."""
    return padded if padded.meta.shape[dim] == size else padded.narrow(dim, 0, size).clone()


def _distinct(self: Any, name: str, dim: int | None, return_inverse: bool, return_counts: bool) -> Any:
    """Run a `unique` op, wait for the number of distinct elements, and cut to it."""
    if dim is None:
        found = OPS[f"gw::{name}"](self, return_inverse, return_counts)
    else:
        found = OPS[f"gw::{name}_dim"](self, dim, return_inverse, return_counts)
    values, inverse, counts, size = found
    size = int(size.item())
    results = [_first(values, dim or 0, size)]
    if return_inverse:
        results.append(inverse)
    if return_counts:
        results.append(_first(counts, 0, size))
    return tuple(results) if len(results) > 1 else results[0]


class DataDependentMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    def nonzero(self: Any, *, as_tuple: bool = False) -> Any:
        """Return the places of the elements that are not 0, a row each; as a tuple, an index vector per axis. Waits."""
        if as_tuple:
            return (self if self.meta.ndim else self.view(1)).nonzero().unbind(1)
        return self._call(_NONZERO, (self,), (int(self.count_nonzero().item()), -1))

    def argwhere(self: Any) -> Any:
        """Return the places of the elements that are not 0, a row each. Waits."""
        return self.nonzero()

    def _mask_to_indices(self: Any, mask: Any) -> tuple[Any, ...]:
        """Return the places where `mask` is True: an int64 vector per axis. Waits."""
        return mask.nonzero().unbind(1)  # type: ignore[no-any-return]

    def masked_select(self: Any, mask: Any) -> Any:
        """Return the elements where `mask`, which broadcasts with self, is True, as a vector. Waits."""
        if mask.meta.dtype is not bool_:
            raise RuntimeError("masked_select: expected BoolTensor for mask")
        shape = broadcast_shapes(self.meta.shape, mask.meta.shape)
        whole = mask if mask.meta.shape == shape else mask.expand(shape)
        return self._call(_MASKED_SELECT, (self, mask), (int(whole.count_nonzero().item()),))

    def unique(
        self: Any,
        sorted: bool = True,
        return_inverse: bool = False,
        return_counts: bool = False,
        dim: int | None = None,
    ) -> Any:
        """Return the distinct elements (slices with `dim`) in order; with inverse and counts as asked. Waits.

        With sorted=False they come in order all the same.
        """
        return _distinct(self, "unique", dim, return_inverse, return_counts)

    def unique_consecutive(
        self: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        """Return the first of each run of equal elements (slices with `dim`); inverse, counts as asked. Waits."""
        return _distinct(self, "unique_consecutive", dim, return_inverse, return_counts)

    def bincount(self: Any, weights: Any = None, minlength: int = 0) -> Any:
        """Count how often each number from 0 on occurs, or sum the weights of its places. Waits for the largest."""
        check_bincount(self.meta, None if weights is None else weights.meta, minlength)
        if not self.meta.numel:
            return self.new_zeros(minlength, dtype=int64)
        size = max(int(self.max().item()) + 1, minlength, 0)
        return OPS["gw::bincount"](self, weights, size)

    def repeat_interleave(
        self: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
    ) -> Any:
        """Repeat each element (slice with `dim`) `repeats` times, a number or one for each; alone, repeat its index.

        Waits for the sum of a tensor of repeats, unless `output_size` is given.
        """
        if repeats is None:
            return repeated_places(self, output_size)
        if dim is None:
            return self.flatten().repeat_interleave(repeats, 0, output_size=output_size)
        axis = normalize_dim(dim, self.meta.ndim)
        rows = self if self.meta.ndim else self.view(1)
        if not isinstance(repeats, Variable):
            return _repeated_evenly(rows, repeats, axis, output_size)
        places = _places(rows, repeats, axis, output_size)
        return rows.index_select(axis, places)

    def allclose(self: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
        """Wait for whether all elements are close to those of `other`, as `isclose` says."""
        return bool(self.isclose(other, rtol, atol, equal_nan).all().item())


def repeated_places(repeats: Any, output_size: int | None = None) -> Any:
    """Return each index as often as `repeats` says. Waits for their sum, unless `output_size` is given."""
    if repeats.meta.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if output_size is None:
        if repeats.meta.dtype.category is not Category.INT:
            raise unsupported("repeat_interleave_cpu", repeats.meta.dtype)
        output_size = max(int(repeats.sum().item()), 0)
    return OPS["gw::repeat_interleave"](repeats, output_size)


def _places(rows: Any, repeats: Any, axis: int, output_size: int | None) -> Any:
    """Return the index of each slice as often as it is repeated."""
    if repeats.meta.ndim > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    size = rows.meta.shape[axis]
    if repeats.meta.numel == 1:
        repeats = repeats.reshape(1).expand(size)
    elif repeats.meta.numel != size:
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{repeats.meta.numel} and input.size({axis}) = {size}"
        )
    return repeated_places(repeats, output_size)


def _repeated_evenly(rows: Any, repeats: int, axis: int, output_size: int | None) -> Any:
    """Repeat each slice the same number of times: no index is needed, and nothing to wait for."""
    if isinstance(repeats, bool) or not isinstance(repeats, int):
        raise TypeError(f"repeat_interleave() needs repeats to be an int or a Tensor; got {type(repeats).__name__}")
    if repeats < 0:
        raise RuntimeError("Repeats must be non-negative")
    shape = rows.meta.shape
    if output_size not in (None, shape[axis] * repeats):
        raise RuntimeError(
            f"repeat_interleave: Invalid output_size, expected {shape[axis] * repeats} but got {output_size}"
        )
    wide = rows.unsqueeze(axis + 1).expand(*shape[: axis + 1], repeats, *shape[axis + 1 :])
    return wide.clone().view(*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :])
