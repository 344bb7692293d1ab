"""Composites of statistics: quantiles, covariance, histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_, Number
from gradwire_protocol.composites.results import return_type
from gradwire_protocol.dtypes import Category, bool_, float32, float64, int64
from gradwire_protocol.infer import normalize_dim
from gradwire_protocol.registry import OPS, torch_type_name

__all__ = ["StatisticsComposites"]

_HistogramResult = return_type("histogram", "hist", "bin_edges")
_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


# ---------------------------------------------------------------- quantiles
def _level(self: Any, q: Any) -> Any:
    """Return `q` as a tensor beside self; the worker checks values that are there, this function those that are here."""
    if isinstance(q, Callable_):
        tensor: Any = q
        levels = tensor.detach()
        inside = levels.ge(0).logical_and(levels.le(1))
        return OPS["gw::require"](tensor, inside, "quantile() q values must be in the range [0, 1]")
    if not 0 <= q <= 1:
        raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q:g}")
    return OPS["new_full"](self, (), float(q))


def _check_quantile(self: Any, q: Any, interpolation: str) -> None:
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            f"quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if not self.meta.numel:
        raise RuntimeError("quantile() input tensor must be non-empty")
    if isinstance(q, Callable_) and q.meta.ndim > 1:
        raise RuntimeError("quantile() q must be a scalar or 1D tensor")
    if self.meta.dtype not in (float32, float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if isinstance(q, Callable_) and q.meta.dtype is not self.meta.dtype:
        raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")


def _ranks(rows: Any, q: Any, ignore_nan: bool) -> Any:
    """Return where in each sorted row the quantiles lie; NaN, if it counts, is what lies at the last place."""
    missing = rows.isnan()
    if ignore_nan:
        present = missing.logical_not().sum(-1, True)
        ranks = q * (present - 1)
        return ranks.masked_fill(ranks < 0, 0)
    last = rows.meta.shape[-1] - 1
    found = missing.any(-1, True)
    ranks = (q * last).expand((*found.meta.shape[:-1], q.meta.numel))
    return ranks.masked_fill(found, last)


_ROUNDINGS = {"lower": "floor", "higher": "ceil", "nearest": "round"}


def _between(rows: Any, ranks: Any, interpolation: str) -> Any:
    """Pick from sorted rows at ranks, which may lie between two places."""
    if interpolation in _ROUNDINGS:
        return rows.gather(-1, getattr(ranks, _ROUNDINGS[interpolation])()._to_dtype(int64))
    below = ranks._to_dtype(int64)
    weights = ranks.new_full(ranks.meta.shape, 0.5) if interpolation == "midpoint" else ranks - below
    above = ranks.ceil()._to_dtype(int64)
    return rows.gather(-1, below).lerp(rows.gather(-1, above), weights)


def _quantile(self: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool) -> Any:
    """Sort, and pick between the two neighbours; `quantile_compute` in pytorch/aten/src/ATen/native/Sorting.cpp."""
    _check_quantile(self, q, interpolation)
    shape = self.meta.shape
    axis = normalize_dim(dim or 0, len(shape))
    q = _level(self, q)
    if dim is None:
        rows, kept = self.flatten(), (1,) * len(shape) if keepdim else ()
    else:
        rows = self.unsqueeze(-1).transpose(axis, -1) if shape else self.view(1)
        kept = tuple(1 if i == axis else size for i, size in enumerate(shape) if keepdim or i != axis)
    rows = rows.sort().values
    rows = rows.reshape((*kept, rows.meta.shape[-1]))
    levels = q if q.meta.ndim else q.unsqueeze(0)
    values = _between(rows, _ranks(rows, levels, ignore_nan), interpolation)
    return values.movedim(-1, 0) if q.meta.ndim else values.squeeze(-1)


# ---------------------------------------------------------------- covariance
def _checked_weights(self: Any, name: str, weights: Any, count: int) -> Any:
    """Refuse weights that do not fit the observations, or are negative."""
    dtype = weights.meta.dtype
    kind, words = (Category.INT, "integral") if name == "fweights" else (Category.FLOAT, "floating point")
    if weights.meta.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with {weights.meta.ndim} dimensions"
        )
    if dtype.category is not kind:
        raise RuntimeError(
            f"cov(): expected {name} to have {words} dtype but got {name} with {torch_type_name(dtype)} dtype"
        )
    if weights.meta.numel != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input but got "
            f"{weights.meta.numel} != {count}"
        )
    return OPS["gw::require"](weights, weights.detach().ge(0), f"cov(): {name} cannot be negative")


def _weights(self: Any, fweights: Any, aweights: Any, count: int) -> tuple[Any, Any]:
    """Return (product of both weights, aweights), each None if absent."""
    both = None
    if fweights is not None:
        both = fweights = _checked_weights(self, "fweights", fweights, count)
    if aweights is not None:
        aweights = _checked_weights(self, "aweights", aweights, count)
        both = aweights if both is None else both * aweights
    return both, aweights


def _normalizer(total: Any, both: Any, aweights: Any, correction: int) -> Any:
    """Return what a sum of products is divided by: the weight of all observations, less the correction, at least 0."""
    if aweights is not None and correction != 0:
        return (total - correction * (both * aweights).sum() / total).clamp(min=0)
    return (total - correction).clamp(min=0)


def _cov(self: Any, correction: int, fweights: Any, aweights: Any) -> Any:
    rows = self if self.meta.ndim == 2 else self.view((1, -1))
    count = rows.meta.shape[1]
    both, aweights = _weights(self, fweights, aweights, count)
    if both is None:
        average, norm = rows.sum(1) / count if count else rows.sum(1), max(count - correction, 0)
        rows = rows - average.unsqueeze(1)
        product = rows.mm(rows.t().conj())
        return product.div(product.new_full((), norm)).squeeze()
    total = both.sum()
    total = OPS["gw::require"](total, total.detach().ne(0), "cov(): weights sum to zero, can't be normalized")
    rows = rows - ((rows * both).sum(1) / total).unsqueeze(1)
    product = rows.mm((rows * both).t().conj())
    return product.div(_normalizer(total, both, aweights, correction)).squeeze()


class StatisticsComposites(Callable_):
    """Methods of the statistics family."""

    __slots__ = ()

    def quantile(
        self, q: Number | Self, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
    ) -> Self:
        """Return the elements that part the fraction `q` of a row from the rest; several `q` make a first axis."""
        return _quantile(self, q, dim, keepdim, interpolation, False)  # type: ignore[no-any-return]

    def nanquantile(
        self, q: Number | Self, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
    ) -> Self:
        """Compute `quantile` of what is not NaN; NaN where nothing else is."""
        return _quantile(self, q, dim, keepdim, interpolation, True)  # type: ignore[no-any-return]

    def cov(self, *, correction: int = 1, fweights: Self | None = None, aweights: Self | None = None) -> Self:
        """Return the covariance matrix of variables (rows) over observations (columns), weighted by how often and how much."""
        if self.meta.ndim > 2:
            raise RuntimeError(
                "cov(): expected input to have two or fewer dimensions but got an input with "
                f"{self.meta.ndim} dimensions"
            )
        if self.meta.dtype is bool_:
            raise RuntimeError("cov(): bool dtype is not supported for input")
        return _cov(self, correction, fweights, aweights)  # type: ignore[no-any-return]

    def corrcoef(self) -> Self:
        """Return the correlation matrix of variables (rows) over observations (columns)."""
        if self.meta.ndim > 2:
            raise RuntimeError(
                "corrcoef(): expected input to have two or fewer dimensions but got an input with "
                f"{self.meta.ndim} dimensions"
            )
        found: Any = self.cov()
        if not found.meta.ndim:
            return found / found  # type: ignore[no-any-return]
        variance = found.diagonal()
        is_complex = found.meta.dtype.is_complex
        deviation = (OPS["real"](variance) if is_complex else variance).sqrt()
        found = found / deviation.unsqueeze(1) / deviation.unsqueeze(0)
        if is_complex:
            parts = [OPS[part](found).clamp(-1, 1) for part in ("real", "imag")]
            return OPS["complex"](*parts)  # type: ignore[no-any-return]
        return found.clamp(-1, 1)  # type: ignore[no-any-return]

    def histogram(
        self, bins: int | Self, *, range: Sequence[float] | None = None, weight: Self | None = None,
        density: bool = False,
    ) -> Any:  # fmt: skip
        """Return (hist, bin_edges): the elements, or their weights, counted in `bins` (a number, or their edges)."""
        me: Any = self
        rows = me.reshape((-1, 1))
        edges: Any = bins
        if not isinstance(bins, Callable_):
            if range is not None and len(range) != 2:
                raise RuntimeError(
                    "torch.histogramdd: for a 1-dimensional histogram range should have 2 elements, but got "
                    f"{len(range)}"
                )
            low, high = (None, None) if range is None else range
            edges = OPS["gw::bin_edges"](self, bins, low, high)
        elif range is not None:
            raise TypeError("histogram() takes range only with a number of bins; got range and a tensor of bins")
        flat: Any = weight
        if flat is not None and flat.meta.shape == self.meta.shape:
            flat = flat.reshape((-1,))
        counts = OPS["_histogramdd_from_bin_tensors"](rows, [edges], weight=flat, density=density)
        return _HistogramResult(counts, edges)
