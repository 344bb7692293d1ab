"""Composites and overload resolution of the matmul family."""

from __future__ import annotations

import math
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.infer import broadcast_shapes
from gradwire_protocol.ops import OPS

__all__ = ["MatmulComposites"]

_ADDMM, _BMM, _DOT, _MM, _MV, _T = OPS["addmm"], OPS["bmm"], OPS["dot"], OPS["mm"], OPS["mv"], OPS["t"]
_UNSAFE_VIEW, _VIEW = OPS["_unsafe_view"], OPS["view"]


def _call(op: Any, *tensors: Any, statics: tuple[Any, ...] = (), scalars: tuple[Any, ...] = ()) -> Any:
    return tensors[0]._call(op, tensors, statics, scalars)


def _fold_matmul(self: Any, other: Any) -> Any:
    """Multiply a batch by one matrix or vector: as one matrix of all the rows."""
    shape = self.meta.shape
    rows = self.reshape(math.prod(shape[:-1]), shape[-1])
    product = _call(_MV if other.meta.ndim == 1 else _MM, rows, other)
    return _call(_UNSAFE_VIEW, product, statics=(shape[:-1] + other.meta.shape[1:],))


def _batch_matmul(self: Any, other: Any) -> Any:
    """Multiply matrices of two batches that broadcast; `other` has at least three axes."""
    left, right = self.meta.shape, other.meta.shape
    batch = broadcast_shapes(left[:-2], right[:-2])
    rows = left[-2:] if len(left) > 1 else (1, *left)
    product = _call(_BMM, _batched(self, batch, rows), _batched(other, batch, right[-2:]))
    return _call(_UNSAFE_VIEW, product, statics=((*batch, *left[-2:-1], right[-1]),))


def _batched(tensor: Any, batch: tuple[int, ...], matrix: tuple[int, ...]) -> Any:
    """Return matrices broadcast to `batch`, whose axes become one."""
    target = (*batch, *matrix)
    whole = tensor if tensor.meta.shape == target else tensor.expand(target)
    return whole if len(batch) == 1 else whole.reshape(math.prod(batch), *matrix)


class MatmulComposites(Callable_):
    """Methods of the matmul family that are written by hand."""

    __slots__ = ()

    def matmul(self, other: Self) -> Self:
        """Multiply as numpy's `@`: (..., N, K) @ (..., K, M) -> (..., N, M), where leading axes broadcast.

        A vector is a row on the left and a column on the right, and the axis that it lacks is dropped again.
        """
        left, right = self.meta.ndim, other.meta.ndim
        if not left or not right:
            raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {left}D and {right}D")
        if right > 2:
            return _batch_matmul(self, other)  # type: ignore[no-any-return]
        if left > 2:
            return _fold_matmul(self, other)  # type: ignore[no-any-return]
        if right == 1:
            return self._call(_DOT if left == 1 else _MV, (self, other))  # type: ignore[no-any-return]
        if left == 2:
            return self._call(_MM, (self, other))  # type: ignore[no-any-return]
        row = self._call(_VIEW, (self,), ((1, -1),))
        return _call(_MM, row, other).squeeze(0)  # type: ignore[no-any-return]

    def linear(self, weight: Self, bias: Self | None = None) -> Self:
        """Compute self @ weight.T + bias: (..., K), (M, K), (M) -> (..., M)."""
        shape, wide = self.meta.shape, weight.meta.ndim
        if not shape or not wide:
            raise RuntimeError(
                f"both arguments to linear need to be at least 1D, but they are {len(shape)}D and {wide}D"
            )
        turned = _call(_T, weight)
        if bias is None:
            return self.matmul(turned)
        if len(shape) == 2:
            return _call(_ADDMM, bias, self, turned, scalars=(1, 1))  # type: ignore[no-any-return]
        if not self.meta.is_contiguous:
            product: Any = self.matmul(turned)
            return product.add(bias)  # type: ignore[no-any-return]
        rows = _call(_VIEW, self, statics=((math.prod(shape[:-1]), shape[-1]),))
        product = _call(_ADDMM, bias, rows, turned, scalars=(1, 1))
        return _call(_VIEW, product, statics=((*shape[:-1], product.meta.shape[1]),))  # type: ignore[no-any-return]

    def outer(self, vec2: Self) -> Self:
        """Multiply all pairs: (N), (M) -> (N, M)."""
        for name, meta in (("self", self.meta), ("vec2", vec2.meta)):
            if meta.ndim != 1:
                raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {meta.ndim}-D")
        column: Any = self._call(_VIEW, (self,), ((self.meta.shape[0], 1),))
        return column.mul(vec2)  # type: ignore[no-any-return]

    ger = outer
