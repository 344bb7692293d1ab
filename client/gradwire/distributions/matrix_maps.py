"""Maps onto matrices, and the map that a distribution's `cdf` is."""

from __future__ import annotations

import math
from typing import Any

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.elementary import LowerCholeskyTransform
from gradwire.distributions.transform import Transform

__all__ = ["CorrCholeskyTransform", "CumulativeDistributionTransform", "PositiveDefiniteTransform"]


class PositiveDefiniteTransform(Transform):
    """Square matrices onto positive-definite ones: L L' of the lower matrix that LowerCholeskyTransform makes."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(gw.linalg.cholesky(y))


class CorrCholeskyTransform(Transform):
    """Vectors (D (D - 1) / 2) onto Cholesky factors (D, D) of correlation matrices, whose rows have length 1.

    The vector's tanh fills the places below the diagonal row by row; each takes that part of what its row has left.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        size = self.forward_shape(x.shape)[-1]
        eps = gw.finfo(x.dtype).eps
        parts = _spread(x.tanh().clamp(min=-1 + eps, max=1 - eps), size)
        left = (1 - parts.square()).sqrt().cumprod(-1)
        return (parts + gw.eye(size, dtype=x.dtype)) * _shifted(left)

    def _inverse(self, y: Any) -> Any:
        parts = _gathered(y, -1) / _gathered(_shifted(_left(y)), -1).sqrt()
        return (parts.log1p() - (-parts).log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return that of x and the places below the diagonal of y."""
        bent = -2 * (x + gw.nn.functional.softplus(-2 * x) - math.log(2.0)).sum(-1)
        return 0.5 * _gathered(_left(y), -2).log().sum(-1) + bent

    def forward_shape(self, shape: Any) -> Any:
        """Return (*, D, D) for (*, D (D - 1) / 2)."""
        if len(shape) < 1:
            raise ValueError("Too few dimensions on input")
        size = round((0.25 + 2 * shape[-1]) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != shape[-1]:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return gw.Size((*shape[:-1], size, size))

    def inverse_shape(self, shape: Any) -> Any:
        """Return (*, D (D - 1) / 2) for (*, D, D)."""
        if len(shape) < 2:
            raise ValueError("Too few dimensions on input")
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        return gw.Size((*shape[:-2], shape[-1] * (shape[-1] - 1) // 2))


def _left(y: Any) -> Any:
    """Return what the rows of length 1 have left behind each place."""
    return 1 - y.square().cumsum(-1)


def _shifted(left: Any) -> Any:
    """Return what was left before each place."""
    return gw.nn.functional.pad(left[..., :-1], [1, 0], value=1.0)


def _gathered(matrix: Any, diagonal: int) -> Any:
    """Return the places of a matrix on and below a diagonal, row by row."""
    size = matrix.shape[-1]
    rows, columns = gw.tril_indices(size, size, diagonal).unbind(0)
    return matrix.flatten(-2).index_select(-1, rows * size + columns)


def _spread(values: Any, size: int) -> Any:
    """Return the strictly lower matrix whose places, row by row, are the values."""
    rows, columns = gw.arange(size).unsqueeze(-1), gw.arange(size)
    places = (rows * (rows - 1) // 2 + columns) * (columns < rows)
    return values.index_select(-1, places.flatten()).reshape((*values.shape[:-1], size, size)).tril(-1)


class CumulativeDistributionTransform(Transform):
    """The map of a distribution's values to the probabilities of no more than them."""

    bijective = True
    codomain = constraints.unit_interval

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        """Return the distribution's support."""
        return self.distribution.support

    @property
    def sign(self) -> Any:
        """Return 1: probabilities grow."""
        return 1

    def with_cache(self, cache_size: int = 1) -> Transform:
        """Return this map with the last pair (x, y) kept, or without."""
        return self if self._cache_size == cache_size else type(self)(self.distribution, cache_size)

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _inverse(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return the logarithm of the density."""
        return self.distribution.log_prob(x)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = Transform.__hash__
