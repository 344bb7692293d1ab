"""Tensor methods whose result's size depends on values: they wait for one count, never for the elements."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.dtypes import bool_
from gradwire_protocol.infer import broadcast_shapes
from gradwire_protocol.ops import OPS

__all__ = ["DataDependentMethods"]

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
        self: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
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
