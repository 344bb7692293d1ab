"""Reductions and scans: sums, extremes, moments, norms. A `dim` of None or () means all axes; a 0-dim tensor has one.

Integers and bools are summed in int64. Extremes propagate NaN and name the first of equals.
Shapes and refusals: pytorch/aten/src/ATen/native/ReduceOps.cpp and TensorCompare.cpp.
"""

from __future__ import annotations

from collections.abc import Callable

from gradwire_protocol import infer
from gradwire_protocol.dtypes import Category, DType, bool_, complex64, float32, float64, int64, promote_types, uint8
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name
from gradwire_protocol.signature import default_dtype

Dims = tuple[int, ...] | None


def _reduced(self: Meta, dim: Dims | int, keepdim: bool, dtype: DType) -> Meta:
    return Meta.of(infer.reduced_shape(self.shape, infer.normalize_dims(dim, self.ndim), keepdim), dtype)


def _summed_dtype(self: Meta, dtype: DType | None) -> DType:
    return dtype or (int64 if self.dtype.category < Category.FLOAT else self.dtype)


def _averaged_dtype(self: Meta, dtype: DType | None) -> DType:
    result = dtype or self.dtype
    if result.category < Category.FLOAT:
        which = "Input dtype" if dtype is None else "Optional dtype"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {which} must be either a floating point or complex dtype. Got: "
            f"{torch_type_name(result)}"
        )
    return result


# ---------------------------------------------------------------- sums and products
def _sum(self: Meta, dtype: DType | None) -> Meta:
    return Meta.of((), _summed_dtype(self, dtype))


def _sum_dim(self: Meta, dim: Dims | int, keepdim: bool, dtype: DType | None) -> Meta:
    return _reduced(self, dim, keepdim, _summed_dtype(self, dtype))


def _mean(self: Meta, dtype: DType | None) -> Meta:
    return Meta.of((), _averaged_dtype(self, dtype))


def _mean_dim(self: Meta, dim: Dims, keepdim: bool, dtype: DType | None) -> Meta:
    return _reduced(self, dim, keepdim, _averaged_dtype(self, dtype))


def _nansum(self: Meta, dim: Dims, keepdim: bool, dtype: DType | None) -> Meta:
    if self.dtype.is_complex:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    return _sum_dim(self, dim, keepdim, dtype)


_DIMS = "int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None"
op("sum(Tensor self, *, ScalarType? dtype=None) -> Tensor", _sum, {"self": ""})
op(f"sum.dim_IntList(Tensor self, {_DIMS}) -> Tensor", _sum_dim, {"self": ""}, node="SumBackward1")
op("mean(Tensor self, *, ScalarType? dtype=None) -> Tensor", _mean, {"self": ""})
op(f"mean.dim(Tensor self, {_DIMS}) -> Tensor", _mean_dim, {"self": ""}, node="MeanBackward1")
op("nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", _nansum,
   {"self": "self"})  # fmt: skip
op("prod(Tensor self, *, ScalarType? dtype=None) -> Tensor", _sum, {"self": "self"})
op("prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", _sum_dim,
   {"self": "self"}, node="ProdBackward1")  # fmt: skip


# ---------------------------------------------------------------- extremes
def _ordered(kernel: str, self: Meta) -> None:
    """Refuse complex numbers, which have no order."""
    if self.dtype.is_complex:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{torch_type_name(self.dtype)}'")


def _identity_needed(name: str, self: Meta, axes: tuple[int, ...]) -> None:
    """Refuse to reduce an empty axis, since an extreme has no identity."""
    for axis in axes:
        if self.ndim and self.shape[axis] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")


def _nonempty(name: str, self: Meta) -> None:
    if self.numel == 0:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with "
            "the 'dim' argument."
        )


def _declare_extreme(name: str) -> None:
    title = name.capitalize()

    def full(self: Meta) -> Meta:
        _ordered(f"{name}_all", self)
        _nonempty(name, self)
        return Meta.of((), self.dtype)

    def dim(self: Meta, dim: int, keepdim: bool) -> tuple[Meta, Meta]:
        if self.dtype.is_complex:
            raise RuntimeError(f"{name}(): does not support complex input")
        axis = infer.normalize_dim(dim, self.ndim)
        _identity_needed(name, self, (axis,))
        return _reduced(self, axis, keepdim, self.dtype), _reduced(self, axis, keepdim, int64)

    def plain(self: Meta, dim: tuple[int, ...], keepdim: bool) -> Meta:
        _ordered(f"{name}_values_cpu", self)
        if not dim:
            _nonempty(f"a{name}", self)
        _identity_needed(f"a{name}", self, infer.normalize_dims(dim, self.ndim))
        return _reduced(self, dim, keepdim, self.dtype)

    def where(self: Meta, dim: int | None, keepdim: bool) -> Meta:
        return _position(f"arg{name}", self, dim, keepdim)

    # The gradient of `max.dim` goes to the place that `indices` names; that of `max` and `amax` to all equals alike.
    op(f"{name}(Tensor self) -> Tensor", full, {"self": "self result"}, node=f"{title}Backward1")
    op(f"{name}.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", dim,
       {"self": "result1"})  # fmt: skip
    op(f"a{name}(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", plain, {"self": "self result"})
    op(f"arg{name}(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", where)


def _position(name: str, self: Meta, dim: int | None, keepdim: bool) -> Meta:
    if self.dtype.is_complex or self.dtype is bool_:
        raise RuntimeError(f"{name}(): does not support {'complex' if self.dtype.is_complex else 'bool'} input")
    if dim is None and self.numel == 0:
        raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
    if dim is not None:
        _identity_needed(name, self, (infer.normalize_dim(dim, self.ndim),))
    return _reduced(self, dim, keepdim, int64)


def _aminmax(self: Meta, dim: int | None, keepdim: bool) -> tuple[Meta, Meta]:
    _ordered("aminmax_cpu", self)
    if dim is not None and self.ndim and self.shape[infer.normalize_dim(dim, self.ndim)] == 0:
        axis = infer.normalize_dim(dim, self.ndim)
        raise IndexError(f"aminmax: Expected reduction dim {axis} to have non-zero size.")
    if dim is None and self.numel == 0:
        raise RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity")
    result = _reduced(self, dim, keepdim, self.dtype)
    return result, result


def _median_type(kernel: str, self: Meta) -> None:
    if self.dtype.is_complex or self.dtype is bool_:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{torch_type_name(self.dtype)}'")


def _median(self: Meta) -> Meta:
    _median_type("median_cpu", self)
    return Meta.of((), self.dtype)


def _median_dim(self: Meta, dim: int, keepdim: bool) -> tuple[Meta, Meta]:
    _median_type("median_out", self)
    axis = infer.normalize_dim(dim, self.ndim)
    _identity_needed("median", self, (axis,))
    return _reduced(self, axis, keepdim, self.dtype), _reduced(self, axis, keepdim, int64)


_declare_extreme("max")
_declare_extreme("min")
op("aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)", _aminmax,
   {"self": "self result0 result1"})  # fmt: skip
op("median(Tensor self) -> Tensor", _median, {"self": "self result"})
op("median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", _median_dim,
   {"self": "result1"}, node="MedianBackward1")  # fmt: skip


# ---------------------------------------------------------------- moments and norms
_REAL = {complex64: float32}


def _real_dtype(dtype: DType) -> DType:
    return _REAL.get(dtype, float64) if dtype.is_complex else dtype


def _variance(self: Meta, dim: Dims, correction: type, keepdim: bool, name: str = "std and var") -> Meta:
    if self.dtype.category < Category.FLOAT:
        raise RuntimeError(f"{name} only support floating point and complex dtypes")
    return _reduced(self, dim, keepdim, _real_dtype(self.dtype))


def _moments(name: str) -> Callable[..., tuple[Meta, Meta]]:
    def infer_both(self: Meta, dim: Dims, correction: type, keepdim: bool) -> tuple[Meta, Meta]:
        return _variance(self, dim, correction, keepdim, name), _reduced(self, dim, keepdim, self.dtype)

    return infer_both


def _vector_norm(self: Meta, ord: type, dim: Dims, keepdim: bool, dtype: DType | None) -> Meta:
    if self.dtype.category < Category.FLOAT:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{torch_type_name(self.dtype)}"
        )
    if dtype is not None:
        _check_norm_dtype(self.dtype, dtype)
    return _reduced(self, dim, keepdim, _real_dtype(dtype or self.dtype))


def _check_norm_dtype(given: DType, dtype: DType) -> None:
    if dtype.category < Category.FLOAT:
        raise RuntimeError(
            f"linalg.vector_norm: dtype should be floating point or complex, but got {torch_type_name(dtype)}"
        )
    if promote_types(given, dtype) is not dtype:
        raise RuntimeError(
            f"linalg.vector_norm: the dtype of the input ({torch_type_name(given)}) should be convertible without "
            f"narrowing to the specified dtype ({torch_type_name(dtype)})"
        )


_MOMENT = "(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False)"
op(f"var.correction{_MOMENT} -> Tensor", _variance, {"self": "self"})
op(f"std.correction{_MOMENT} -> Tensor", _variance, {"self": "self result"})
op(f"var_mean.correction{_MOMENT} -> (Tensor, Tensor)", _moments("var_mean"), {"self": "self"})
op(f"std_mean.correction{_MOMENT} -> (Tensor, Tensor)", _moments("std_mean"), {"self": "self result0"})
op("linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, "
   "ScalarType? dtype=None) -> Tensor", _vector_norm, {"self": "self result"})  # fmt: skip


def _renorm(self: Meta, p: type, dim: int, maxnorm: type) -> Meta:
    if p is complex:
        raise RuntimeError("renorm: p must be real-valued")
    if maxnorm is complex:
        raise RuntimeError("renorm: maxnorm must be real-valued")
    if self.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {self.ndim} dimensions")
    infer.normalize_dim(dim, self.ndim)
    if self.dtype.category < Category.FLOAT:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{torch_type_name(self.dtype)}"
        )
    return infer.like(self)


op("renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor", _renorm, {"self": "self"}, inplace=True)


# ---------------------------------------------------------------- truth and counts
def _truth_dtype(self: Meta) -> DType:
    return uint8 if self.dtype is uint8 else bool_


def _truth(self: Meta) -> Meta:
    return Meta.of((), _truth_dtype(self))


def _truth_dims(self: Meta, dim: Dims | int, keepdim: bool) -> Meta:
    if dim == ():  # unlike other reductions, PyTorch's take no axis at their word
        return Meta.of(self.shape, _truth_dtype(self))
    return _reduced(self, dim, keepdim, _truth_dtype(self))


def _count(self: Meta, dim: Dims | int) -> Meta:
    return _reduced(self, dim, False, int64)


for _name in ("all", "any"):
    op(f"{_name}(Tensor self) -> Tensor", _truth)
    op(f"{_name}.dim(Tensor self, int dim, bool keepdim=False) -> Tensor", _truth_dims)
    op(f"{_name}.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor", _truth_dims)
op("count_nonzero(Tensor self, int? dim=None) -> Tensor", _count)
op("count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor", _count)


# ---------------------------------------------------------------- scans and logsumexp
def _scan(self: Meta, dim: int, dtype: DType | None) -> Meta:
    infer.normalize_dim(dim, self.ndim)
    return Meta.of(self.shape, _summed_dtype(self, dtype))


def _logsumexp(self: Meta, dim: tuple[int, ...], keepdim: bool) -> Meta:
    return _reduced(self, dim, keepdim, self.dtype if self.dtype.category >= Category.FLOAT else default_dtype())


op("cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", _scan, {"self": ""}, inplace=True)
op("cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", _scan, {"self": "self"}, inplace=True)
op("logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor", _logsumexp, {"self": "self result"})
