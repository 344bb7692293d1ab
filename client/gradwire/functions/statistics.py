"""Functions over samples: integrals, finite differences, histograms of several variables, sums by segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.tensor import Tensor, call, expect_tensor
from gradwire_protocol.composites.results import return_type
from gradwire_protocol.dtypes import Category, bool_, int64, uint8
from gradwire_protocol.infer import normalize_dim, normalize_dims
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.pointwise import unsupported

__all__ = [
    "_segment_reduce", "cumulative_trapezoid", "gradient", "histogramdd", "segment_reduce", "trapezoid", "trapz",
]  # fmt: skip

INF, NAN = float("inf"), float("nan")


# ---------------------------------------------------------------- integrals
def _spacing(name: str, y: Tensor, x: Tensor | None, dx: Any, axis: int) -> Any:
    """Return the distances between neighbouring samples: a number, or a tensor that broadcasts to them."""
    if x is None:
        if y.dtype is bool_:
            raise RuntimeError(f"{name}: received a bool input for `y`, but bool is not supported")
        if dx is not None and (isinstance(dx, bool | complex) or not isinstance(dx, int | float)):
            raise RuntimeError(f"{name}: Currently, we only support dx as a real number.")
        return 1 if dx is None else dx
    if dx is not None:
        raise TypeError(f"{name}() takes x or dx; got both")
    if bool_ in (x.dtype, y.dtype):
        raise RuntimeError(f"{name}: received a bool input for `x` or `y`, but bool is not supported")
    if x.ndim == 1:
        if x.shape[0] != y.shape[axis]:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        x = x.view(*(-1 if i == axis else 1 for i in range(y.ndim)))
    elif x.ndim < y.ndim:
        x = x.view(*(1,) * (y.ndim - x.ndim), *x.shape)
    return _later(x, axis) - _earlier(x, axis)


def _later(x: Any, axis: int) -> Any:
    return x.narrow(axis, 1, max(x.shape[axis] - 1, 0)) if x.shape[axis] else x


def _earlier(x: Any, axis: int) -> Any:
    return x.narrow(axis, 0, max(x.shape[axis] - 1, 0))


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Any:
    """Integrate samples along `dim` by trapezoids between neighbours, at places `x` or `dx` apart."""
    return _trapezoid("trapezoid", y, x, dx, dim)


def trapz(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Any:
    """Compute `trapezoid`."""
    return _trapezoid("trapezoid", y, x, dx, dim)


def _trapezoid(name: str, y: Tensor, x: Tensor | None, dx: float | None, dim: int) -> Any:
    samples: Any = expect_tensor(name, y)
    if not samples.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    axis = normalize_dim(dim, samples.ndim)
    if not samples.shape[axis]:
        return samples.new_zeros(tuple(size for i, size in enumerate(samples.shape) if i != axis))
    distance = _spacing(name, samples, x, dx, axis)
    if isinstance(distance, Tensor):
        return ((_earlier(samples, axis) + _later(samples, axis)) * distance).sum(axis) / 2.0
    ends = samples.select(axis, 0) + samples.select(axis, -1)
    return (samples.sum(axis) - ends * 0.5) * distance


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Any:
    """Integrate samples along `dim` by trapezoids, up to each but the first."""
    samples: Any = expect_tensor("cumulative_trapezoid", y)
    if not samples.ndim:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    axis = normalize_dim(dim, samples.ndim)
    distance = _spacing("cumulative_trapezoid", samples, x, dx, axis)
    pairs = _earlier(samples, axis) + _later(samples, axis)
    if isinstance(distance, Tensor):
        return (pairs * distance).cumsum(axis) / 2.0
    return (pairs * (distance / 2.0)).cumsum(axis)


# ---------------------------------------------------------------- finite differences
def gradient(
    input: Tensor, *, spacing: Any = None, dim: int | Sequence[int] | None = None, edge_order: int = 1
) -> tuple[Any, ...]:
    """Estimate the derivatives along each of `dim` by differences of second order; at the ends of order `edge_order`.

    `spacing` is a number, a number for each of `dim`, or the places of the samples as a tensor for each of `dim`.
    """
    x: Any = expect_tensor("gradient", input)
    if x.dtype is uint8:
        raise RuntimeError("torch.gradient does not support uint8 input.")
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    axes = (
        range(x.ndim) if dim is None else [normalize_dim(d, x.ndim) for d in ((dim,) if isinstance(dim, int) else dim)]
    )
    normalize_dims(tuple(axes), x.ndim)
    steps = _steps(x, spacing, len(axes), dim is not None)
    for axis in axes:
        if x.shape[axis] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    return tuple(
        _uneven(x, step, axis, edge_order) if isinstance(step, Tensor) else _even(x, step, axis, edge_order)
        for step, axis in zip(steps, axes, strict=True)
    )


def _steps(x: Any, spacing: Any, count: int, given: bool) -> Sequence[Any]:
    if spacing is None or isinstance(spacing, int | float):
        return [1 if spacing is None else spacing] * count
    if isinstance(spacing, Tensor):
        raise TypeError("gradient() needs spacing to be a number or a sequence of numbers or tensors; got a Tensor")
    if len(spacing) != count:
        words = "since dim argument was not given" if not given else f"which is 'len(dim) = {count}'"
        length = f"'self.dim() = {x.ndim}', {words}" if not given else f"the number of axes, {words}"
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to "
            f"{length}, but got a list of length {len(spacing)}"
        )
    return list(spacing)


def _piece(x: Any, axis: int, start: int, length: int = 1) -> Any:
    """Return `length` places from `start`, which counts from the end if negative."""
    return x.narrow(axis, start % x.shape[axis], length)


def _joined(first: Any, middle: Any, last: Any, axis: int) -> Any:
    return OPS["cat"]([first, middle, last], axis)


def _even(x: Any, step: float, axis: int, edge_order: int) -> Any:
    """Differentiate samples at equal distances."""
    inner = x.shape[axis] - 2
    center = (_piece(x, axis, 2, inner) if inner else _piece(x, axis, 0, 0)) - _piece(x, axis, 0, inner)
    if edge_order == 1:
        first = (_piece(x, axis, 1) - _piece(x, axis, 0)) / step
        last = (_piece(x, axis, -1) - _piece(x, axis, -2)) / step
    else:
        first = (_piece(x, axis, 0) * -1.5 + _piece(x, axis, 1) * 2 - _piece(x, axis, 2) * 0.5) / step
        last = (_piece(x, axis, -3) * 0.5 - _piece(x, axis, -2) * 2 + _piece(x, axis, -1) * 1.5) / step
    return _joined(first, center / step / 2, last, axis)


def _uneven(x: Any, places: Any, axis: int, edge_order: int) -> Any:
    """Differentiate samples at any places: through three neighbours goes one parabola."""
    steps = places.diff()
    before, after = steps.narrow(0, 0, steps.numel() - 1), steps.narrow(0, 1, steps.numel() - 1)
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    weights = (
        -after / (before * (before + after)), (after - before) / (before * after), before / (after * (before + after)),
    )  # fmt: skip
    inner = steps.numel() - 1
    center = sum(
        weight.reshape(shape) * (_piece(x, axis, start, inner) if inner else _piece(x, axis, 0, 0))
        for start, weight in enumerate(weights)
    )
    if edge_order == 1:
        first = (_piece(x, axis, 1) - _piece(x, axis, 0)) / steps[0]
        last = (_piece(x, axis, -1) - _piece(x, axis, -2)) / steps[-1]
    else:
        first = _edge([_piece(x, axis, i) for i in (0, 1, 2)], steps[0], steps[1])
        last = -_edge([_piece(x, axis, i) for i in (-1, -2, -3)], steps[-1], steps[-2])
    return _joined(first, center, last, axis)


def _edge(samples: Sequence[Any], near: Any, far: Any) -> Any:
    """Differentiate at the first of three samples, of which the first two are `near` apart and the last two `far`."""
    both = near + far
    return (
        samples[0] * (-(2.0 * near + far) / (near * both)) + samples[1] * (both / (near * far))
        - samples[2] * (near / (far * both))
    )  # fmt: skip


# ---------------------------------------------------------------- histograms
def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """Return (hist, bin_edges): rows of the last axis counted in boxes; `bins` are numbers of bins, or their edges."""
    x: Any = expect_tensor("histogramdd", input)
    if x.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    size = x.shape[-1]
    if isinstance(bins, int):
        bins = [bins] * size
    if not all(isinstance(edges, Tensor) for edges in bins):
        bins = _edges(x, bins, range)
    elif range is not None:
        raise TypeError("histogramdd() takes range only with numbers of bins; got range and tensors of bins")
    counts = OPS["_histogramdd_from_bin_tensors"](x, list(bins), weight=weight, density=density)
    return _HistogramddResult(counts, tuple(bins))


def _edges(x: Any, bins: Sequence[int], limits: Sequence[float] | None) -> list[Any]:
    """Return the edges of equal bins for each column."""
    size = x.shape[-1]
    if len(bins) != size:
        raise RuntimeError("histogramdd: The size of bins must be equal to the innermost dimension of the input.")
    if limits is not None and len(limits) != 2 * size:
        raise RuntimeError(
            f"torch.histogramdd: for a {size}-dimensional histogram range should have {2 * size} elements, but got "
            f"{len(limits)}"
        )
    ends = [(None, None)] * size if limits is None else list(zip(limits[::2], limits[1::2], strict=True))
    return [OPS["gw::bin_edges"](x.select(-1, column), count, *ends[column]) for column, count in enumerate(bins)]


_HistogramddResult = return_type("histogramdd", "hist", "bin_edges")


# ---------------------------------------------------------------- by segment
_IDENTITY = {"sum": 0, "mean": 0, "prod": 1, "max": -INF, "min": INF, "amax": -INF, "amin": INF}
_REDUCTION = {"max": "amax", "min": "amin"}


def segment_reduce(
    data: Tensor,
    reduce: str,
    *,
    lengths: Tensor | None = None,
    indices: Tensor | None = None,
    offsets: Tensor | None = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: float | None = None,
) -> Any:
    """Reduce segments of an axis, given by their lengths or by where they begin and end; `initial` begins each.

    With `unsafe` the lengths are not checked against the axis.
    """
    x: Any = expect_tensor("segment_reduce", data)
    if reduce not in _IDENTITY:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    given = lengths if lengths is not None else offsets
    if given is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    axis = normalize_dim(axis, x.ndim)
    if axis != given.ndim - 1:
        name = "lengths" if lengths is not None else "offsets"
        raise RuntimeError(f"segment_reduce(): Expected axis to be the last dimension of {name} but got {axis}.")
    if x.dtype.category is not Category.FLOAT:
        raise unsupported("_segment_reduce_cpu", x.dtype)
    ends, sizes = _bounds(x, lengths, offsets, axis, unsafe)
    return _segments(x, reduce, ends, sizes, axis, initial)


_segment_reduce = segment_reduce


def _bounds(x: Any, lengths: Any, offsets: Any, axis: int, unsafe: bool) -> tuple[Any, Any]:
    """Return (where each segment ends, how long it is)."""
    if lengths is None:
        return offsets.narrow(-1, 1, offsets.shape[-1] - 1), offsets.diff()
    if lengths.dtype.category is not Category.INT:
        raise unsupported("_segment_reduce_lengths_cpu_kernel1", lengths.dtype)
    lengths = OPS["gw::require"](lengths, lengths.ge(0), "lengths contains negative value!")
    if not unsafe:
        words = "segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when !unsafe."
        lengths = OPS["gw::require"](lengths, lengths.sum(-1).eq(x.shape[axis]), words)
    return lengths.cumsum(-1), lengths


def _segments(x: Any, reduce: str, ends: Any, sizes: Any, axis: int, initial: float | None) -> Any:
    count, length = ends.shape[-1], x.shape[axis]
    batch, rest = tuple(x.shape[:axis]), tuple(x.shape[axis + 1 :])
    start = _IDENTITY[reduce] if initial is None else initial
    # One more segment takes what lies behind the last end.
    total = x.new_full((*batch, count + 1, *rest), start)
    lengths = sizes.to(x.dtype).reshape(*batch, count, *(1,) * len(rest))
    if length and count:
        positions = call(OPS["gw::arange"], length, 0, 1, int64, session=x.session).expand(*batch, length)
        places = OPS["searchsorted.Tensor"](ends.contiguous(), positions.contiguous(), right=True)
        spread = places.reshape(*batch, length, *(1,) * len(rest)).expand(x.shape)
        how = "sum" if reduce == "mean" else _REDUCTION.get(reduce, reduce)
        total = total.scatter_reduce(axis, spread, x, how)
    total = total.narrow(axis, 0, count)
    if reduce == "mean":
        empty = lengths.eq(0)
        return (total / lengths.masked_fill(empty, 1)).masked_fill(empty, NAN if initial is None else initial)
    return total
