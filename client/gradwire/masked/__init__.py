"""Reductions and normalizations that leave masked elements out, as in `torch.masked`.

`mask` is bool, and True where an element counts. It broadcasts to the input. What no element counts for is the identity of
the reduction (0 of a sum, -inf of a maximum, NaN of a mean).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire._functions import argmax as _argmax
from gradwire._functions import argmin as _argmin
from gradwire.creation import full_like, ones_like
from gradwire.functions.joining import where
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import Category, DType, int64
from gradwire_protocol.infer import normalize_dims
from gradwire_protocol.ops import OPS

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median", "norm",
    "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip

Dims = int | Sequence[int] | None


def _spread(input: Tensor, mask: Tensor | None) -> Any:
    """Return the mask in the shape of the input, all True for None."""
    if mask is None:
        return ones_like(input, dtype=input.bool().dtype)
    if mask.dim() > input.dim():
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)")
    if mask.shape != input.shape:
        mask = mask.broadcast_to(input.shape)
    return mask if mask.dtype is input.bool().dtype else mask.ne(0)


def _filled(input: Any, mask: Tensor | None, value: Any) -> Any:
    return input if mask is None else where(_spread(input, mask), input, full_like(input, value))


def _extreme(input: Any, lowest: bool) -> Any:
    """Return the number below, or above, all others of a dtype."""
    dtype = input.dtype
    if dtype.is_floating_point:
        return float("-inf") if lowest else float("inf")
    if dtype.category is Category.BOOL:
        return not lowest
    bits = dtype.itemsize * 8
    if not dtype.is_signed:
        return 0 if lowest else 2**bits - 1
    return -(2 ** (bits - 1)) if lowest else 2 ** (bits - 1) - 1


def _wide(input: Any, dtype: DType | None) -> DType:
    """Return the dtype that a sum or product comes in: int64 for integers and bools."""
    if dtype is not None:
        return dtype
    return int64 if input.dtype.category < Category.FLOAT else input.dtype


def _running(input: Any, dtype: DType | None) -> DType:
    """Return the dtype of a running sum or product: the input's own, but int64 for bools."""
    return dtype or (int64 if input.dtype.category is Category.BOOL else input.dtype)


def _dims(input: Any, dim: Dims) -> tuple[int, ...]:
    if isinstance(dim, tuple | list) and not dim:
        dim = None
    return normalize_dims(dim, input.dim())


def sum(
    input: Any,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: DType | None = None,
    mask: Tensor | None = None,
) -> Any:
    """Sum what counts."""
    return _filled(input, mask, 0).sum(_dims(input, dim), bool(keepdim), dtype=_wide(input, dtype))


def prod(
    input: Any,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: DType | None = None,
    mask: Tensor | None = None,
) -> Any:
    """Multiply what counts."""
    result = _filled(input, mask, 1).to(_wide(input, dtype))
    for axis in reversed(_dims(input, dim)):
        result = result.prod(axis, bool(keepdim)) if input.dim() else result.prod()
    return result


def cumsum(input: Any, dim: int, *, dtype: DType | None = None, mask: Tensor | None = None) -> Any:
    """Sum along `dim` what counts so far."""
    return _filled(input, mask, 0).cumsum(_dims(input, dim)[0] if input.dim() else 0, dtype=_running(input, dtype))


def cumprod(input: Any, dim: int, *, dtype: DType | None = None, mask: Tensor | None = None) -> Any:
    """Multiply along `dim` what counts so far."""
    return _filled(input, mask, 1).cumprod(_dims(input, dim)[0] if input.dim() else 0, dtype=_running(input, dtype))


def _bound(name: str, input: Any, dim: Dims, keepdim: bool | None, dtype: DType | None, mask: Tensor | None) -> Any:
    values = _filled(input, mask, _extreme(input, name == "amax"))
    result = getattr(values, name)(_dims(input, dim), bool(keepdim))
    return result if dtype is None else result.to(dtype)


def amax(
    input: Any,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: DType | None = None,
    mask: Tensor | None = None,
) -> Any:
    """Return the largest that counts."""
    return _bound("amax", input, dim, keepdim, dtype, mask)


def amin(
    input: Any,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: DType | None = None,
    mask: Tensor | None = None,
) -> Any:
    """Return the smallest that counts."""
    return _bound("amin", input, dim, keepdim, dtype, mask)


def argmax(
    input: Any, dim: int | None = None, *, keepdim: bool | None = False, dtype: DType | None = None,
    mask: Tensor | None = None,
) -> Any:  # fmt: skip
    """Return the place of the largest that counts, in `dtype`, by default the input's."""
    return _argmax(_filled(input, mask, _extreme(input, True)), dim, bool(keepdim)).to(dtype or input.dtype)


def argmin(
    input: Any, dim: int | None = None, *, keepdim: bool | None = False, dtype: DType | None = None,
    mask: Tensor | None = None,
) -> Any:  # fmt: skip
    """Return the place of the smallest that counts, in `dtype`, by default the input's."""
    return _argmin(_filled(input, mask, _extreme(input, False)), dim, bool(keepdim)).to(dtype or input.dtype)


def _count(input: Any, dim: Dims, keepdim: bool | None, mask: Tensor | None) -> Any:
    return _spread(input, mask).sum(_dims(input, dim), bool(keepdim))


def mean(
    input: Any,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: DType | None = None,
    mask: Tensor | None = None,
) -> Any:
    """Average what counts; NaN of nothing."""
    dtype = dtype or input.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError("input tensor dtype should be floating point or complex; got " + repr(dtype))
    return sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask) / _count(input, dim, keepdim, mask)


def median(
    input: Any, dim: int = -1, *, keepdim: bool = False, dtype: DType | None = None, mask: Tensor | None = None
) -> Any:
    """Return the lower median of what counts; NaN of nothing. Raises ValueError where the input has NaN itself."""
    dtype = dtype or input.dtype
    if not dtype.is_floating_point:
        raise ValueError(f"input tensor dtype should be floating point; got {dtype!r}")
    axis = _dims(input, dim)[0] if input.dim() else 0
    values = _filled(input, mask, float("nan"))
    return OPS["nanmedian.dim"](values, axis, keepdim)[0].to(dtype)


def norm(
    input: Any, ord: float | None = 2.0, dim: Dims = None, *, keepdim: bool | None = False, dtype: DType | None = None,
    mask: Tensor | None = None,
) -> Any:  # fmt: skip
    """Return the vector norm of what counts."""
    order = float(2.0 if ord is None else ord)
    values = _filled(input, mask, float("inf") if order == float("-inf") or order < 0 else 0)
    return OPS["linalg_vector_norm"](values.to(dtype or input.dtype), order, _dims(input, dim), bool(keepdim))


def _correction(unbiased: bool | None, correction: float | None) -> float:
    if unbiased is not None and correction is not None:
        raise ValueError("Only one of unbiased and correction may be given")
    return (0 if unbiased is False else 1) if correction is None else correction


def _spread_of(
    input: Any, dim: Dims, correction: float, keepdim: bool | None, dtype: DType | None, mask: Tensor | None, root: bool
) -> Any:
    """Return the variance of what counts, or its root."""
    dtype = dtype or input.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        dtype = (input + 0.0).dtype if input.numel() == 0 else input.sum(dtype=None).div(1).dtype
    values = input.to(dtype)
    count = _count(input, dim, True, mask)
    average = sum(values, dim, keepdim=True, dtype=dtype, mask=mask) / count
    centred = values - average
    square = centred * centred.conj()
    total = sum(square.real if square.is_complex() else square, dim, keepdim=keepdim, mask=mask)
    free = count if keepdim else count.reshape(total.shape)
    free = (free - correction).clamp_min(0) if correction else free
    result = total / free
    return result.sqrt() if root else result


def var(
    input: Any, dim: Dims = None, unbiased: bool | None = None, *, correction: float | None = None,
    keepdim: bool | None = False, dtype: DType | None = None, mask: Tensor | None = None,
) -> Any:  # fmt: skip
    """Return the variance of what counts."""
    return _spread_of(input, dim, _correction(unbiased, correction), keepdim, dtype, mask, False)


def std(
    input: Any, dim: Dims = None, unbiased: bool | None = None, *, correction: float | None = None,
    keepdim: bool | None = False, dtype: DType | None = None, mask: Tensor | None = None,
) -> Any:  # fmt: skip
    """Return the standard deviation of what counts."""
    return _spread_of(input, dim, _correction(unbiased, correction), keepdim, dtype, mask, True)


def logsumexp(
    input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: DType | None = None, mask: Tensor | None = None
) -> Any:
    """Return log(sum(exp)) of what counts."""
    values = _filled(input, mask, _extreme(input, True))
    return values.logsumexp(_dims(input, dim), bool(keepdim)).to(dtype or input.dtype)


def softmax(input: Any, dim: int, *, dtype: DType | None = None, mask: Tensor | None = None) -> Any:
    """Return the softmax of what counts along `dim`; NaN where nothing does."""
    values = input.to(dtype or input.dtype)
    return _filled(values, mask, _extreme(values, True)).softmax(dim)


def log_softmax(input: Any, dim: int, *, dtype: DType | None = None, mask: Tensor | None = None) -> Any:
    """Return the logarithm of `softmax`."""
    values = input.to(dtype or input.dtype)
    return _filled(values, mask, _extreme(values, True)).log_softmax(dim)


def softmin(input: Any, dim: int, *, dtype: DType | None = None, mask: Tensor | None = None) -> Any:
    """Return the softmax of the negative."""
    values = input.to(dtype or input.dtype)
    return (-_filled(values, mask, _extreme(values, False))).softmax(dim)


def normalize(
    input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: DType | None = None, mask: Tensor | None = None
) -> Any:
    """Divide what counts by its norm along `dim`, at least `eps`."""
    values = _filled(input.to(dtype or input.dtype), mask, 0)
    return values / norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask).clamp_min(eps)


def logaddexp(
    input: Any,
    other: Any,
    *,
    dtype: DType | None = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Any:
    """Return log(exp + exp) of what counts of each."""
    dtype = dtype or input.dtype
    first = _filled(input, input_mask, float("-inf"))
    second = _filled(other, other_mask, float("-inf"))
    return first.logaddexp(second).to(dtype)
