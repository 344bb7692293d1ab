"""Composites that put vectors on diagonals, or take diagonals out."""

from __future__ import annotations

from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.infer import normalize_dim
from gradwire_protocol.ops import OPS

__all__ = ["DiagonalComposites"]

_DIAGONAL, _INTO_DIAGONAL = OPS["diagonal"], OPS["diagonal_backward"]


class DiagonalComposites(Callable_):
    """`diag` and its kin; `diagonal`, the view, is an op."""

    __slots__ = ()

    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Self:
        """Return zeros with the last axis on the diagonal of two new axes `dim1` and `dim2`: (*, N) -> (*, N, N)."""
        shape = self.meta.shape
        if not shape:
            raise IndexError("Dimension specified as -1 but tensor has no dimensions")
        first, second = (normalize_dim(dim, len(shape) + 1) for dim in (dim1, dim2))
        if first == second:
            raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
        wanted, length = list(shape[:-1]), shape[-1] + abs(offset)
        for axis in sorted((first, second)):
            wanted.insert(axis, length)
        # The gradient of a view of the diagonal: zeros with the diagonal written into them.
        return self._call(_INTO_DIAGONAL, (self,), (tuple(wanted), offset, first, second))  # type: ignore[no-any-return]

    def diag(self, diagonal: int = 0) -> Self:
        """Return a matrix with this vector on a diagonal, or a copy of a diagonal of this matrix."""
        ndim = self.meta.ndim
        if ndim == 1:
            return self.diag_embed(diagonal)
        if ndim != 2:
            raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {ndim}D")
        return self._call(_DIAGONAL, (self,), (diagonal, 0, 1)).clone()  # type: ignore[no-any-return]

    def diagflat(self, offset: int = 0) -> Self:
        """Return a matrix with all elements on a diagonal."""
        flat: Any = self
        return flat.reshape(-1).diag_embed(offset)  # type: ignore[no-any-return]
