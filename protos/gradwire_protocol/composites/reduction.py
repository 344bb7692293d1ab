"""Composites and overload resolution of the reduction family.

As in PyTorch, `dim` may be an int or several, `axis` and `keepdims` are accepted for `dim` and `keepdim`, and `max(0)`,
`max()` and `max(other)` are one name. A `dim` of None means all axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self, TypeVar

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_, Number, ints, sizes
from gradwire_protocol.composites.results import return_type
from gradwire_protocol.dtypes import DType
from gradwire_protocol.registry import OPS, Op

__all__ = ["ReductionComposites"]

T = TypeVar("T", bound=Callable_)
Dims = Sequence[int] | int | None

_SUM, _SUM_DIM, _MEAN, _MEAN_DIM = OPS["sum"], OPS["sum.dim_IntList"], OPS["mean"], OPS["mean.dim"]
_PROD, _PROD_DIM, _NANSUM, _NORM = OPS["prod"], OPS["prod.dim_int"], OPS["nansum"], OPS["linalg_vector_norm"]


def _run(self: T, op: Op, statics: tuple[Any, ...] = (), scalars: tuple[Any, ...] = ()) -> T:
    result: T = self._call(op, (self,), statics, scalars)
    return result


def _dim(name: str, dim: Any, axis: Any) -> Any:
    """Return the one of `dim` and `axis` that was given."""
    if axis is None:
        return dim
    if dim is not None:
        raise TypeError(f"{name}() takes dim or axis; got both ({dim!r} and {axis!r})")
    return axis


def _some_dims(name: str, dim: Dims, axis: Dims) -> tuple[int, ...]:
    """Return the axes of an op for which () means all."""
    return ints(_dim(name, None if dim == () else dim, axis)) or ()


_MaxResult = return_type("max", "values", "indices")
_MinResult = return_type("min", "values", "indices")
_MedianResult = return_type("median", "values", "indices")
_AminmaxResult = return_type("aminmax", "min", "max")


def _extreme(self: Any, name: str, returned: Any, dim: Any, keepdim: bool, other: Any) -> Any:
    """Choose among the three meanings of `max` and `min`."""
    other = dim if isinstance(dim, Callable_) else other
    if other is not None:
        return getattr(self, f"{name}imum")(other)
    if dim is None:
        return _run(self, OPS[name])
    return returned(*_run(self, OPS[f"{name}.dim"], (dim, keepdim)))


def _truth(self: T, name: str, dim: Dims, keepdim: bool) -> T:
    if dim is None and not keepdim:
        return _run(self, OPS[name])
    if isinstance(dim, int):
        return _run(self, OPS[f"{name}.dim"], (dim, keepdim))
    return _run(self, OPS[f"{name}.dims"], (ints(dim), keepdim))


def _moment(self: Any, name: str, dim: Any, unbiased: bool | None, keepdim: bool, correction: Number | None) -> Any:
    """Resolve `var(unbiased)`, `var(dim, unbiased, keepdim)` and `var(dim, correction=, keepdim=)` to the last."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        if correction is not None:
            raise TypeError(f"{name}() takes unbiased or correction; got both ({unbiased} and {correction})")
        correction = int(unbiased)
    return _run(self, OPS[f"{name}.correction"], (ints(dim), keepdim), (correction,))


def _nuclear(self: Any, dim: tuple[int, ...] | None, keepdim: bool, dtype: DType | None) -> Any:
    """Return the nuclear norm; here, since decompositions are declared after reductions."""
    from gradwire_protocol.composites.linalg_products import matrix_norm

    return matrix_norm(self, "nuc", tuple(range(self.meta.ndim)) if dim is None else dim, keepdim, dtype)  # type: ignore[arg-type]


def _scan_inplace(self: T, name: str, dim: int | None, dtype: DType | None) -> T:
    if dtype not in (None, self.meta.dtype):
        raise RuntimeError(
            f"Bad in-place call: input tensor dtype {self.meta.dtype.name} and output tensor dtype {dtype.name} should "
            "match"
        )
    return _run(self, OPS[name], (dim, dtype))


@lru_cache(maxsize=4096)
def _sum_plan(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[tuple[int, ...], bool]:
    """Return the axes to sum so that `shape` becomes `size`, and whether to keep them; RuntimeError if none do."""
    new = len(shape) - len(size)
    if new < 0 or any(kept not in (1, had) for kept, had in zip(size, shape[new:], strict=True)):
        raise RuntimeError(f"size {{{list(size)}}} is not expandable to size {{{list(shape)}}}.")
    repeated = tuple(axis for axis in range(new, len(shape)) if size[axis - new] == 1 and shape[axis] != 1)
    return (*range(new), *repeated), bool(repeated)


class ReductionComposites(Callable_):
    """Methods of the reduction family that are written by hand."""

    __slots__ = ()

    # ---------------------------------------------------------------- sums and products
    def sum(
        self, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None, axis: Dims = None,
        keepdims: bool = False,
    ) -> Self:  # fmt: skip
        """Sum over `dim`, in `dtype`, or in int64 for integers and bools."""
        dim, keepdim = _dim("sum", dim, axis), keepdim or keepdims
        if dim is None and not keepdim:
            return _run(self, _SUM, (dtype,))
        return _run(self, _SUM_DIM, (ints(dim), keepdim, dtype))

    def sum_to_size(self, *size: int | Sequence[int]) -> Self:
        """Sum over the axes along which a tensor of this size would be expanded to this one: undo a broadcast."""
        shape, wanted = self.meta.shape, sizes(size)
        if not wanted:
            return _run(self, _SUM, (None,))  # of no axes too, where PyTorch's dtype shows that it sums
        if shape == wanted:
            return self
        axes, keepdim = _sum_plan(shape, wanted)
        summed: Any = self
        # PyTorch sums over leading axes of size 1 too, which shows in the dtype alone.
        if axes or (len(shape) > len(wanted) and not self.meta.dtype.is_differentiable):
            summed = _run(self, _SUM_DIM, (axes or tuple(range(len(shape) - len(wanted))), keepdim, None))
        return summed if summed.meta.shape == wanted else summed.view(wanted)  # type: ignore[no-any-return]

    def mean(
        self, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None, axis: Dims = None,
        keepdims: bool = False,
    ) -> Self:  # fmt: skip
        """Average over `dim`, in `dtype`; integers need one. NaN of no elements."""
        dim, keepdim = _dim("mean", dim, axis), keepdim or keepdims
        if dim is None and not keepdim:
            return _run(self, _MEAN, (dtype,))
        return _run(self, _MEAN_DIM, (ints(dim), keepdim, dtype))

    def prod(
        self, dim: int | None = None, keepdim: bool = False, *, dtype: DType | None = None, axis: int | None = None,
        keepdims: bool = False,
    ) -> Self:  # fmt: skip
        """Multiply over `dim`, in `dtype`, or in int64 for integers and bools."""
        dim, keepdim = _dim("prod", dim, axis), keepdim or keepdims
        if dim is None and not keepdim:
            return _run(self, _PROD, (dtype,))
        return _run(self, _PROD_DIM, (dim, keepdim, dtype))

    def nansum(
        self, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None, axis: Dims = None,
        keepdims: bool = False,
    ) -> Self:  # fmt: skip
        """Sum over `dim`, NaN counting as 0."""
        return _run(self, _NANSUM, (ints(_dim("nansum", dim, axis)), keepdim or keepdims, dtype))

    def nanmean(
        self, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None, axis: Dims = None,
        keepdims: bool = False,
    ) -> Self:  # fmt: skip
        """Average over `dim` what is not NaN."""
        me: Any = self
        dim, keepdim = _dim("nanmean", dim, axis), keepdim or keepdims
        counted = me.isnan().logical_not().sum(dim, keepdim)
        return me.nansum(dim, keepdim, dtype=dtype).div(counted)  # type: ignore[no-any-return]

    # ---------------------------------------------------------------- extremes
    def max(
        self, dim: int | Self | None = None, keepdim: bool = False, *, other: Self | None = None,
        axis: int | None = None, keepdims: bool = False,
    ) -> Any:  # fmt: skip
        """Return the largest element; with `dim` (values, indices) along it; of two tensors `maximum`. NaN wins."""
        return _extreme(self, "max", _MaxResult, _dim("max", dim, axis), keepdim or keepdims, other)

    def min(
        self, dim: int | Self | None = None, keepdim: bool = False, *, other: Self | None = None,
        axis: int | None = None, keepdims: bool = False,
    ) -> Any:  # fmt: skip
        """Return the smallest element; with `dim` (values, indices) along it; of two tensors `minimum`. NaN wins."""
        return _extreme(self, "min", _MinResult, _dim("min", dim, axis), keepdim or keepdims, other)

    def amax(self, dim: Dims = (), keepdim: bool = False, *, axis: Dims = None, keepdims: bool = False) -> Self:
        """Return the largest element over `dim`. Its gradient is shared evenly among equals."""
        return _run(self, OPS["amax"], (_some_dims("amax", dim, axis), keepdim or keepdims))

    def amin(self, dim: Dims = (), keepdim: bool = False, *, axis: Dims = None, keepdims: bool = False) -> Self:
        """Return the smallest element over `dim`. Its gradient is shared evenly among equals."""
        return _run(self, OPS["amin"], (_some_dims("amin", dim, axis), keepdim or keepdims))

    def aminmax(self, *, dim: int | None = None, keepdim: bool = False) -> Any:
        """Return (min, max) over `dim`."""
        return _AminmaxResult(*_run(self, OPS["aminmax"], (dim, keepdim)))  # type: ignore[misc]

    def argmax(
        self, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
    ) -> Self:
        """Return where the largest element is along `dim`, or in the flattened tensor; the first of equals."""
        return _run(self, OPS["argmax"], (_dim("argmax", dim, axis), keepdim or keepdims))

    def argmin(
        self, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
    ) -> Self:
        """Return where the smallest element is along `dim`, or in the flattened tensor; the first of equals."""
        return _run(self, OPS["argmin"], (_dim("argmin", dim, axis), keepdim or keepdims))

    def median(
        self, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
    ) -> Any:
        """Return the lower of the two middle elements; with `dim` (values, indices) along it."""
        dim = _dim("median", dim, axis)
        if dim is None:
            return _run(self, OPS["median"])
        return _MedianResult(*_run(self, OPS["median.dim"], (dim, keepdim or keepdims)))  # type: ignore[misc]

    # ---------------------------------------------------------------- moments and norms
    def var(
        self, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: Number | None = None, axis: Dims = None, keepdims: bool = False,
    ) -> Self:  # fmt: skip
        """Compute sum |self - mean|^2 / max(0, n - correction) over `dim`. `correction` is 1, or int(unbiased)."""
        found: Self = _moment(self, "var", _dim("var", dim, axis), unbiased, keepdim or keepdims, correction)
        return found

    def std(
        self, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: Number | None = None, axis: Dims = None, keepdims: bool = False,
    ) -> Self:  # fmt: skip
        """Compute the root of `var`."""
        found: Self = _moment(self, "std", _dim("std", dim, axis), unbiased, keepdim or keepdims, correction)
        return found

    def var_mean(
        self, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: Number | None = None, axis: Dims = None, keepdims: bool = False,
    ) -> tuple[Self, Self]:  # fmt: skip
        """Return (var, mean)."""
        dim, keepdim = _dim("var_mean", dim, axis), keepdim or keepdims
        found: tuple[Self, Self] = _moment(self, "var_mean", dim, unbiased, keepdim, correction)
        return found

    def std_mean(
        self, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: Number | None = None, axis: Dims = None, keepdims: bool = False,
    ) -> tuple[Self, Self]:  # fmt: skip
        """Return (std, mean)."""
        dim, keepdim = _dim("std_mean", dim, axis), keepdim or keepdims
        found: tuple[Self, Self] = _moment(self, "std_mean", dim, unbiased, keepdim, correction)
        return found

    def norm(
        self, p: Number | str | None = "fro", dim: Dims = None, keepdim: bool = False, dtype: DType | None = None
    ) -> Self:
        """Compute (sum |self|^p)^(1/p) over `dim`; "fro" and None are 2, inf and -inf the extremes, 0 counts.

        "nuc" is the sum of the singular values of the matrices that two axes span.
        """
        if isinstance(p, str):
            if p == "nuc":
                return _nuclear(self, ints(dim), keepdim, dtype)  # type: ignore[no-any-return]
            if p != "fro":
                raise RuntimeError(f"linalg.matrix_norm: Order {p} not supported.")
            p = 2.0
        return _run(self, _NORM, (ints(dim), keepdim, dtype), (2.0 if p is None else p,))

    # ---------------------------------------------------------------- truth and counts
    def all(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None, keepdims: bool = False) -> Self:
        """Return whether all elements over `dim` are true."""
        return _truth(self, "all", _dim("all", dim, axis), keepdim or keepdims)

    def any(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None, keepdims: bool = False) -> Self:
        """Return whether any element over `dim` is true."""
        return _truth(self, "any", _dim("any", dim, axis), keepdim or keepdims)

    def count_nonzero(self, dim: Dims = None, *, axis: Dims = None) -> Self:
        """Count the elements over `dim` that are not 0."""
        dim = _dim("count_nonzero", dim, axis)
        if dim is None or isinstance(dim, int):
            return _run(self, OPS["count_nonzero"], (dim,))
        return _run(self, OPS["count_nonzero.dim_IntList"], (ints(dim),))

    # ---------------------------------------------------------------- scans and logsumexp
    def cumsum(self, dim: int | None = None, *, dtype: DType | None = None, axis: int | None = None) -> Self:
        """Sum along `dim` up to each element."""
        return _run(self, OPS["cumsum"], (_dim("cumsum", dim, axis), dtype))

    def cumprod(self, dim: int | None = None, *, dtype: DType | None = None, axis: int | None = None) -> Self:
        """Multiply along `dim` up to each element."""
        return _run(self, OPS["cumprod"], (_dim("cumprod", dim, axis), dtype))

    def cumsum_(self, dim: int | None = None, *, dtype: DType | None = None, axis: int | None = None) -> Self:
        """Sum along `dim` up to each element, in place."""
        return _scan_inplace(self, "cumsum_", _dim("cumsum_", dim, axis), dtype)

    def cumprod_(self, dim: int | None = None, *, dtype: DType | None = None, axis: int | None = None) -> Self:
        """Multiply along `dim` up to each element, in place."""
        return _scan_inplace(self, "cumprod_", _dim("cumprod_", dim, axis), dtype)

    def logsumexp(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None, keepdims: bool = False) -> Self:
        """Compute log(sum(exp(self))) over `dim`, without overflow."""
        return _run(self, OPS["logsumexp"], (ints(_dim("logsumexp", dim, axis)), keepdim or keepdims))
