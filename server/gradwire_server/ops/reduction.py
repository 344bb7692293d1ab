"""Kernels and gradients of `gradwire_protocol.ops.reduction`.

float16 is computed in float32, as PyTorch does. Formulas of gradients: pytorch/torch/csrc/autograd/FunctionsManual.cpp.
"""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.dtypes import DType, complex64, complex128, float16, float32, float64, from_numpy
from gradwire_protocol.infer import normalize_dim, normalize_dims
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS
from gradwire_server.rules import gradient, kernel, speaks_complex

Array = Any
Dims = tuple[int, ...] | int | None

# numpy adds rows one after the other wherever it does not reduce along contiguous memory. Of 100,000 times 0.1 that
# makes 9998.557 in float32; from this many terms on, such sums are made in the wider type (at most twice the time).
_NAIVE_TERMS = 1024
_WIDER = {float32: float64, complex64: complex128}
_COMPLEX = {float32: complex64, float64: complex128}


def axes_of(self: Array, dim: Dims) -> tuple[int, ...] | int | None:
    """Return `axis=` of an array function for a `dim`: None for all axes, which a 0-dim array needs."""
    return None if dim is None or dim == () or self.ndim == 0 else dim


def is_inner(self: Array, axes: tuple[int, ...] | int | None) -> bool:
    """Return whether a reduction over `axes` runs along contiguous memory."""
    if not self.flags.c_contiguous:
        return False
    if axes is None:
        return True
    given = (axes,) if isinstance(axes, int) else axes
    return bool(min(axis % self.ndim for axis in given) == self.ndim - len(given))


def accumulator(self: Array, axes: tuple[int, ...] | int | None, result: Meta) -> DType:
    """Return the dtype to sum in, such that the error of a long sum stays near that of one rounding."""
    if result.dtype is float16:
        return float32
    wider = _WIDER.get(result.dtype)
    if wider is None or self.size <= _NAIVE_TERMS * max(result.numel, 1) or is_inner(self, axes):
        return result.dtype
    return wider


def real_for(self: Array, dtype: DType) -> Array:
    """Return what is summed in `dtype`: of complex numbers in a real one the real part, without numpy's warning."""
    return self.real if self.dtype.kind == "c" and not dtype.is_complex else self


def total(self: Array, dim: Dims, keepdim: bool, result: Meta) -> Array:
    """Sum in the dtype of `accumulator`; the caller casts."""
    axes = axes_of(self, dim)
    dtype = accumulator(self, axes, result)
    return real_for(self, dtype).sum(axis=axes, dtype=dtype.numpy, keepdims=keepdim)


def widened(array: Array) -> Array:
    """Return float16 as float32, all else as it is."""
    return array.astype(float32.numpy) if array.dtype == float16.numpy else array


def in_dtype(array: Array, result: Meta) -> Array:
    """Cast to the dtype of `result`, without a copy where it is that already."""
    return array if array.dtype == result.dtype.numpy else real_for(array, result.dtype).astype(result.dtype.numpy)


# ---------------------------------------------------------------- sums and products
@kernel("sum")
def sum_all(xp: Any, self: Array, dtype: DType | None, result: Meta) -> Array:
    """Sum all elements, in `dtype`."""
    return in_dtype(total(self, None, False, result), result)


@kernel("sum.dim_IntList")
def sum_dim(
    xp: Any, self: Array, dim: Dims, keepdim: bool, dtype: DType | None, result: Meta, out: Array | None = None
) -> Array:
    """Sum over `dim`, in `dtype`."""
    if out is None:
        return in_dtype(total(self, dim, keepdim, result), result)
    axes = axes_of(self, dim)
    if accumulator(self, axes, result) is result.dtype:
        return real_for(self, result.dtype).sum(axis=axes, dtype=result.dtype.numpy, keepdims=keepdim, out=out)
    out[...] = total(self, dim, keepdim, result)
    return out


@kernel("mean")
def mean_all(xp: Any, self: Array, dtype: DType | None, result: Meta) -> Array:
    """Compute sum(self) / n; NaN of nothing."""
    return mean_dim(xp, self, None, False, dtype, result)


@kernel("mean.dim")
def mean_dim(xp: Any, self: Array, dim: Dims, keepdim: bool, dtype: DType | None, result: Meta) -> Array:
    """Compute sum(self) / n over `dim`; NaN of nothing."""
    summed = total(self, dim, keepdim, result)
    return in_dtype(xp.true_divide(summed, self.size // max(result.numel, 1)), result)


@kernel("nansum")
def nansum(xp: Any, self: Array, dim: Dims, keepdim: bool, dtype: DType | None, result: Meta) -> Array:
    """Sum over `dim`, NaN counting as 0."""
    present = xp.where(xp.isnan(self), self.dtype.type(0), self) if self.dtype.kind == "f" else self
    return in_dtype(total(present, dim, keepdim, result), result)


@kernel("prod")
def prod_all(xp: Any, self: Array, dtype: DType | None, result: Meta) -> Array:
    """Multiply all elements, in `dtype`."""
    return prod_dim(xp, self, None, False, dtype, result)


@kernel("prod.dim_int")
def prod_dim(xp: Any, self: Array, dim: int | None, keepdim: bool, dtype: DType | None, result: Meta) -> Array:
    """Multiply over `dim`, in `dtype`."""
    compute = float32 if result.dtype is float16 else result.dtype
    self = real_for(self, compute)
    return in_dtype(self.prod(axis=axes_of(self, dim), dtype=compute.numpy, keepdims=keepdim), result)


# ---------------------------------------------------------------- extremes
def _extreme(name: str) -> None:
    """Register the kernels of `max` or `min`; the array library propagates NaN and finds the first of equals."""

    def plain(xp: Any, self: Array, dim: Dims, keepdim: bool) -> Array:
        return getattr(self, name)(axis=axes_of(self, dim), keepdims=keepdim)

    def position(xp: Any, self: Array, dim: int | None, keepdim: bool, result: Meta) -> Array:
        return getattr(self, f"arg{name}")(axis=axes_of(self, dim)).reshape(result.shape)

    def selected(xp: Any, self: Array, dim: int, keepdim: bool, result: tuple[Meta, Meta]) -> tuple[Array, Array]:
        return plain(xp, self, dim, keepdim), position(xp, self, dim, keepdim, result[1])

    kernel(name)(lambda xp, self: getattr(self, name)())
    kernel(f"{name}.dim")(selected)
    kernel(f"a{name}")(plain)
    kernel(f"arg{name}")(position)


_extreme("max")
_extreme("min")


@kernel("aminmax")
def aminmax(xp: Any, self: Array, dim: int | None, keepdim: bool) -> tuple[Array, Array]:
    """Return (minimum, maximum) over `dim`."""
    axes = axes_of(self, dim)
    return self.min(axis=axes, keepdims=keepdim), self.max(axis=axes, keepdims=keepdim)


@kernel("median")
def median_all(xp: Any, self: Array) -> Array:
    """Return the lower of the two middle elements; NaN where there is one, or nothing at all."""
    if self.size == 0:
        return xp.full((), math.nan if self.dtype.kind == "f" else 0, dtype=self.dtype)
    return _median(xp, self.reshape(-1))[0]


@kernel("median.dim")
def median_dim(xp: Any, self: Array, dim: int, keepdim: bool, result: tuple[Meta, Meta]) -> tuple[Array, Array]:
    """Return the lower middle element of each row along `dim`, and its index."""
    rows = xp.moveaxis(self.reshape(1) if self.ndim == 0 else self, dim, -1)
    values, indices = _median(xp, rows)
    return values.reshape(result[0].shape), indices.reshape(result[1].shape)


def _median(xp: Any, rows: Array) -> tuple[Array, Array]:
    indices = xp.argsort(rows, axis=-1)[..., (rows.shape[-1] - 1) // 2]
    if rows.dtype.kind == "f":
        missing = xp.isnan(rows)
        indices = xp.where(missing.any(axis=-1), missing.argmax(axis=-1), indices)
    return xp.take_along_axis(rows, indices[..., None], axis=-1)[..., 0], indices


# ---------------------------------------------------------------- moments and norms
def _squared(xp: Any, array: Array) -> Array:
    """Return |array| ** 2, real."""
    if array.dtype.kind == "c":
        return xp.square(array.real) + xp.square(array.imag)
    return xp.square(array)


def moments(
    xp: Any, self: Array, dim: Dims, correction: float | None, keepdim: bool, result: Meta
) -> tuple[Array, Array]:
    """Return (variance, mean): sum |self - mean|^2 / max(0, n - correction), in two passes."""
    x, count = widened(self), self.size // max(result.numel, 1)
    mean_dtype = _COMPLEX[result.dtype] if x.dtype.kind == "c" else result.dtype
    mean = xp.true_divide(total(x, dim, True, Meta.of(result.shape, mean_dtype)), count).astype(x.dtype)
    squares = total(_squared(xp, x - mean), dim, keepdim, result)
    variance = xp.true_divide(squares, max(count - (1 if correction is None else correction), 0))
    return variance, mean.reshape(result.shape)


@kernel("var.correction")
def var(xp: Any, self: Array, dim: Dims, correction: float | None, keepdim: bool, result: Meta) -> Array:
    """Compute the variance; NaN of one element at the default correction."""
    return in_dtype(moments(xp, self, dim, correction, keepdim, result)[0], result)


@kernel("std.correction")
def std(xp: Any, self: Array, dim: Dims, correction: float | None, keepdim: bool, result: Meta) -> Array:
    """Compute the root of the variance."""
    return in_dtype(xp.sqrt(moments(xp, self, dim, correction, keepdim, result)[0]), result)


@kernel("var_mean.correction")
def var_mean(
    xp: Any, self: Array, dim: Dims, correction: float | None, keepdim: bool, result: tuple[Meta, Meta]
) -> tuple[Array, Array]:
    """Return (variance, mean)."""
    variance, mean = moments(xp, self, dim, correction, keepdim, result[0])
    return in_dtype(variance, result[0]), in_dtype(mean, result[1])


@kernel("std_mean.correction")
def std_mean(
    xp: Any, self: Array, dim: Dims, correction: float | None, keepdim: bool, result: tuple[Meta, Meta]
) -> tuple[Array, Array]:
    """Return (standard deviation, mean)."""
    variance, mean = moments(xp, self, dim, correction, keepdim, result[0])
    return in_dtype(xp.sqrt(variance), result[0]), in_dtype(mean, result[1])


@kernel("linalg_vector_norm")
def linalg_vector_norm(
    xp: Any, self: Array, ord: float, dim: Dims, keepdim: bool, dtype: DType | None, result: Meta
) -> Array:
    """Compute (sum |self|^ord)^(1/ord); for 0 the count of non-zeros, for inf and -inf the extremes."""
    x = widened(self if dtype is None else self.astype(dtype.numpy, copy=False))
    if ord == math.inf or ord < 0:
        _check_nonempty(self, ord, dim)
    if ord in (math.inf, -math.inf):
        size = xp.abs(x)
        return in_dtype((size.max if ord > 0 else size.min)(axis=axes_of(x, dim), keepdims=keepdim), result)
    if ord == 2:
        return in_dtype(xp.sqrt(total(_squared(xp, x), dim, keepdim, result)), result)
    if ord == 0:
        return in_dtype(total(xp.not_equal(x, 0), dim, keepdim, result), result)
    size = xp.abs(x)
    if ord == 1:
        return in_dtype(total(size, dim, keepdim, result), result)
    return in_dtype(xp.power(total(xp.power(size, ord), dim, keepdim, result), 1 / ord), result)


@kernel("renorm")
def renorm(xp: Any, self: Array, p: float, dim: int, maxnorm: float) -> Array:
    """Scale the slices along `dim` whose p-norm is above `maxnorm` down to it."""
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    x = widened(self)
    axes = tuple(axis for axis in range(self.ndim) if axis != dim % self.ndim)
    size = xp.abs(x)
    largest = size.max(axis=axes, keepdims=True) if p == math.inf else None
    norm = xp.power(xp.power(size, p).sum(axis=axes, keepdims=True), 1 / p) if largest is None else largest
    factor = xp.where(norm > maxnorm, maxnorm / (norm + 1e-7), norm.dtype.type(1))
    return (x * factor).astype(self.dtype)


def _check_nonempty(self: Array, order: float, dim: Dims) -> None:
    """Refuse a norm of nothing that has no identity. Here, not in the shape rule, because the order varies by call."""
    for axis in normalize_dims(dim, self.ndim):
        if self.shape[axis] == 0:
            where = f"the dimension {axis} because this dimension is empty and" if dim else "an empty tensor because"
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {order:g} norm on {where} the operation does not have "
                "an identity"
            )


# ---------------------------------------------------------------- truth and counts
def _truth(name: str) -> None:
    def whole(xp: Any, self: Array, result: Meta) -> Array:
        return in_dtype(getattr(self, name)(), result)

    def along(xp: Any, self: Array, dim: Dims, keepdim: bool, result: Meta) -> Array:
        if dim == ():
            return xp.not_equal(self, 0).astype(result.dtype.numpy)
        return in_dtype(getattr(self, name)(axis=axes_of(self, dim), keepdims=keepdim), result)

    kernel(name)(whole)
    kernel(f"{name}.dim", f"{name}.dims")(along)


_truth("all")
_truth("any")


@kernel("count_nonzero", "count_nonzero.dim_IntList")
def count_nonzero(xp: Any, self: Array, dim: Dims, result: Meta) -> Array:
    """Count the elements that are not 0."""
    return xp.not_equal(self, 0).sum(axis=axes_of(self, dim), dtype=result.dtype.numpy)


# ---------------------------------------------------------------- scans and logsumexp
@kernel("cumsum")
def cumsum(xp: Any, self: Array, dim: int, dtype: DType | None, result: Meta) -> Array:
    """Sum along `dim` up to each element."""
    self = real_for(self, result.dtype)
    if self.ndim == 0:
        return self.astype(result.dtype.numpy)
    compute = float32 if result.dtype is float16 else result.dtype
    if self.shape[dim] > _NAIVE_TERMS:
        compute = _WIDER.get(compute, compute)
    return in_dtype(self.cumsum(axis=dim, dtype=compute.numpy), result)


@kernel("cumprod")
def cumprod(xp: Any, self: Array, dim: int, dtype: DType | None, result: Meta) -> Array:
    """Multiply along `dim` up to each element."""
    self = real_for(self, result.dtype)
    if self.ndim == 0:
        return self.astype(result.dtype.numpy)
    compute = float32 if result.dtype is float16 else result.dtype
    return in_dtype(self.cumprod(axis=dim, dtype=compute.numpy), result)


def _inplace_scan(name: str, scan: Any) -> None:
    def write(xp: Any, self: Array, dim: int, dtype: DType | None) -> None:
        self[...] = scan(xp, self, dim, dtype, Meta.of(self.shape, from_numpy(self.dtype)))

    kernel(name)(write)


_inplace_scan("cumsum_", cumsum)
_inplace_scan("cumprod_", cumprod)


@kernel("logsumexp")
def logsumexp(xp: Any, self: Array, dim: tuple[int, ...], keepdim: bool, result: Meta) -> Array:
    """Compute m + log(sum(exp(self - m))) with m the maximum (of the real parts), or 0 where that is infinite."""
    if self.size == 0:
        return xp.full(result.shape, -math.inf, dtype=result.dtype.numpy)
    self = self.astype(float32.numpy if result.dtype is float16 else result.dtype.numpy, copy=False)
    axes = axes_of(self, dim)
    largest = (self.real if self.dtype.kind == "c" else self).max(axis=axes, keepdims=True)
    largest = xp.where(xp.isinf(largest), largest.dtype.type(0), largest)
    summed = total(xp.exp(self - largest), dim, keepdim, result)
    return in_dtype(xp.log(summed) + largest.reshape(result.shape), result)


# ---------------------------------------------------------------- gradients
def restored(g: Array, meta: Meta, dim: Dims, keepdim: bool) -> Array:
    """Return `g` with the reduced axes of `meta` put back as size 1, so that it broadcasts to `meta`."""
    if keepdim or g.ndim in (0, meta.ndim):  # a 0-dim tensor broadcasts as it is
        return g
    for axis in normalize_dims(dim, meta.ndim):
        g = g.unsqueeze(axis)
    return g


def _expanded(g: Array, call: Any) -> Array:
    """Give each summed element the gradient of its sum."""
    meta = call.meta("self")
    return restored(g, meta, call.dim, call.keepdim).expand(meta.shape)


def _terms(call: Any) -> int:
    """Return how many elements went into each result; at least 1, since an empty gradient is not divided by 0."""
    return max(int(call.meta("self").numel // max(call.output_meta().numel, 1)), 1)


gradient("sum", self=lambda g, call: g.expand(call.meta("self").shape))
gradient("sum.dim_IntList", self=_expanded)
# Divided before it is expanded: one division per result instead of one per element.
gradient("mean", self=lambda g, call: (g / _terms(call)).expand(call.meta("self").shape))
gradient("mean.dim", self=lambda g, call: _expanded(g / _terms(call), call))
gradient("nansum", self=lambda g, call: _expanded(g, call) * call.self.isnan().logical_not())
gradient("cumsum", self=lambda g, call: g.flip(call.dim).cumsum(call.dim).flip(call.dim) if g.ndim else g)


def _products_before(x: Array, axis: int) -> Array:
    """Return, for each element, the product of those before it along `axis`."""
    size = x.shape[axis]
    one = x.new_ones(tuple(1 if i == axis else n for i, n in enumerate(x.shape)))
    return OPS["cat"]((one, x.narrow(axis, 0, size - 1)), axis).cumprod(axis)


def prod_gradient(g: Array, x: Array, axis: int) -> Array:
    """Return g * (product of all the other elements), without a division, so zeros need no case of their own."""
    if x.shape[axis] == 0:
        return x
    after = _products_before(x.flip(axis), axis).flip(axis)
    return g * (_products_before(x, axis) * after)


def _factors(call: Any) -> Array:
    """Return `self` in the dtype that was multiplied in."""
    x = call.self
    return x if call.dtype is None else x._to_dtype(call.dtype)


def _prod_gradient(g: Array, call: Any) -> Array:
    x = _factors(call)
    return prod_gradient(g, x.reshape((-1,)), 0).reshape(x.shape)


def _prod_dim_gradient(g: Array, call: Any) -> Array:
    x = _factors(call)
    if x.ndim == 0:
        return g
    axis = normalize_dim(call.dim, x.ndim)
    return prod_gradient(restored_axis(g, call, axis), x, axis)


def restored_axis(g: Array, call: Any, axis: int) -> Array:
    """Put one reduced axis back as size 1."""
    return g if call.keepdim else g.unsqueeze(axis)


def cumprod_gradient(g: Array, x: Array, axis: int) -> Array:
    """Return the gradient of `cumprod`, in log2(n) steps and without a division.

    dx_i = (product before i) * r_i with r_i = sum_{k >= i} g_k * x_{i+1} ... x_k, that is r_i = g_i + x_{i+1} r_{i+1}.
    Composed with itself, the recurrence has twice the stride: r_i = (g_i + a_i g_{i+s}) + (a_i a_{i+s}) r_{i+2s}.
    """
    size, stride, r = x.shape[axis], 1, g
    if size == 0:
        return g
    a = x.narrow(axis, 1, size - 1)
    while stride < size:
        reached = r.narrow(axis, 0, size - stride) + a * r.narrow(axis, stride, size - stride)
        r = OPS["cat"]((reached, r.narrow(axis, size - stride, stride)), axis)
        if 2 * stride < size:
            a = a.narrow(axis, 0, size - 2 * stride) * a.narrow(axis, stride, size - 2 * stride)
        stride *= 2
    return _products_before(x, axis) * r


def _cumprod_gradient(g: Array, call: Any) -> Array:
    x = _factors(call)
    return cumprod_gradient(g, x, normalize_dim(call.dim, x.ndim)) if x.ndim else g


gradient("prod", self=_prod_gradient)
gradient("prod.dim_int", self=_prod_dim_gradient)
gradient("cumprod", self=_cumprod_gradient)


def evenly_distributed(g: Array, self: Array, result: Array) -> Array:
    """Share the gradient of an extreme among all elements equal to it (all NaN, if it is NaN)."""
    mask = self.eq(result).logical_or(self.isnan().logical_and(result.isnan()))
    return mask * (g / mask.sum())


def value_selecting_reduction_backward(g: Array, call: Any) -> Array:
    """Put the gradient of a selected value where `indices` says that it was selected."""
    meta, indices = call.meta("self"), call.result1
    if meta.ndim == 0:
        return g
    axis = normalize_dim(call.dim, meta.ndim)
    zeros = g.new_zeros(meta.shape)
    return zeros.scatter(axis, restored_axis(indices, call, axis), restored_axis(g, call, axis))


def _shared(g: Array, result: Array, call: Any) -> Array:
    """Share the gradient of an extreme along `dim` among its equals."""
    meta, dims, axes = call.meta("self"), call.dim, normalize_dims(call.dim, call.meta("self").ndim)
    mask = call.self.eq(restored(result, meta, dims, call.keepdim))
    count = mask.sum(axes, True) if axes else mask.sum()
    return restored(g, meta, dims, call.keepdim) * mask / count


for _name in ("max", "min"):
    gradient(_name, self=lambda g, call: evenly_distributed(g, call.self, call.result))
    gradient(f"{_name}.dim", self=value_selecting_reduction_backward)
    gradient(f"a{_name}", self=lambda g, call: _shared(g, call.result, call))
gradient("median", self=lambda g, call: evenly_distributed(g, call.self, call.result))
gradient("median.dim", self=value_selecting_reduction_backward)


def _aminmax_gradient(g: Array, call: Any) -> Array:
    of_min, of_max = _shared(g, call.result0, call), call.grads[1]
    return of_min if of_max is None else of_min + _shared(of_max, call.result1, call)


gradient("aminmax", self=_aminmax_gradient)


def _var_gradient(g: Array, call: Any) -> Array:
    """Return g * 2 (self - mean) / (n - correction); inf, or NaN at the mean, without degrees of freedom."""
    meta, x = call.meta("self"), call.self
    g = restored(g, meta, call.dim, call.keepdim)
    free = _terms(call) - (1 if call.correction is None else call.correction)
    centred = x - x.mean(call.dim, True)
    if free <= 0:
        return g * (centred / centred * math.inf)
    return g * (2 / free) * centred


def _std_gradient(g: Array, result: Array, call: Any) -> Array:
    """Go through the variance: d std = d var / (2 std), and 0 where std is 0."""
    return _var_gradient((g / (result * 2)).masked_fill(result.eq(0), 0), call)


def _mean_part(g: Array | None, call: Any) -> Array | None:
    return None if g is None else _expanded(g / _terms(call), call)


def _both(first: Array, second: Array | None) -> Array:
    return first if second is None else first + second


gradient("var.correction", self=_var_gradient)
gradient("std.correction", self=lambda g, call: _std_gradient(g, call.result, call))
gradient("var_mean.correction", self=lambda g, call: _both(_var_gradient(g, call), _mean_part(call.grads[1], call)))
gradient("std_mean.correction",
         self=lambda g, call: _both(_std_gradient(g, call.result0, call), _mean_part(call.grads[1], call)))  # fmt: skip


def _norm_extreme(g: Array, self: Array, norm: Array, axes: tuple[int, ...]) -> Array:
    """Share the gradient of the inf norms among the elements of that size."""
    mask = self.abs().eq(norm)
    return self.sgn() * (g * mask / (mask.sum(axes, True) if axes else mask.sum()))


def _norm_power(g: Array, self: Array, norm: Array, p: float) -> Array:
    """Return g * sign(self) * (|self| / norm)^(p - 1), without 0 to a negative power."""
    if p == 1:
        return self.sgn() * g
    if p < 1:
        return (self.sgn() * self.abs().pow(p - 1)).masked_fill(self.eq(0), 0) * g * norm.pow(1 - p)
    # Where the norm is 0 all elements are, so any other divisor gives the 0 that PyTorch gives.
    norm = norm.masked_fill(norm.eq(0), 1)
    if p == 2:
        return self * (g / norm)
    shape = self.sgn() * self.abs().pow(p - 1) if p < 2 else self * self.abs().pow(p - 2)
    return shape * (g / norm.pow(p - 1))


def _vector_norm_gradient(g: Array, call: Any) -> Array | None:
    """Choose by `ord`; the count that `ord` 0 makes has no gradient."""
    order, meta = call.ord, call.meta("self")
    if order == 0:
        return None
    g = restored(g, meta, call.dim, call.keepdim)
    norm = restored(call.result, meta, call.dim, call.keepdim)
    if order in (math.inf, -math.inf):
        return _norm_extreme(g, call.self, norm, normalize_dims(call.dim, meta.ndim))
    return _norm_power(g, call.self, norm, order)


def _renorm_gradient(g: Array, call: Any) -> Array:
    """Differentiate self * maxnorm / (norm + 1e-7) where the norm is above maxnorm.

    Formula: renorm_backward in pytorch/torch/csrc/autograd/FunctionsManual.cpp.
    """
    x, p = call.self, float(call.p)
    axes = tuple(axis for axis in range(x.ndim) if axis != call.dim % x.ndim)
    norm = x.norm(p, axes, True)
    inverse = (norm + 1e-7).reciprocal()
    along = (x.conj() * g).sum(axes, True)
    along = OPS["real"](along) if along.dtype.is_complex else along
    through = _norm_extreme(along, x, norm, axes) if p == math.inf else _norm_power(along, x, norm, p)
    return OPS["where.self"](norm.gt(call.maxnorm), inverse * call.maxnorm * (g - inverse * through), g)


def _logsumexp_gradient(g: Array, call: Any) -> Array:
    """Return g * softmax(self)."""
    meta = call.meta("self")
    result = restored(call.result, meta, call.dim, call.keepdim)
    return restored(g, meta, call.dim, call.keepdim) * (call.self - result).exp()


gradient("linalg_vector_norm", self=_vector_norm_gradient)
gradient("logsumexp", self=_logsumexp_gradient)
gradient("renorm", self=_renorm_gradient)
speaks_complex("renorm")
speaks_complex("linalg_vector_norm", "var.correction", "std.correction", "var_mean.correction", "std_mean.correction")
