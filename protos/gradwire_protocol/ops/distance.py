"""Distances between all pairs of rows. Shapes and refusals: pytorch/aten/src/ATen/native/Distance.cpp.

`compute_mode` is ATen's number: 0 (or None) lets the 2-norm use a product of matrices for many rows, 1 always, 2 never.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import Category, float32, float64
from gradwire_protocol.infer import broadcast_shapes
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name


def _check_points(x1: Meta, x2: Meta) -> None:
    for number, meta in ((1, x1), (2, x2)):
        if meta.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, X{number} got: {meta.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    for number, meta in ((1, x1), (2, x2)):
        if meta.dtype.category is not Category.FLOAT:
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, X{number} got: {torch_type_name(meta.dtype)}"
            )
    if x1.dtype is not x2.dtype:
        raise RuntimeError(f"expected scalar type {torch_type_name(x1.dtype)} but found {torch_type_name(x2.dtype)}")
    _expect_wide("cdist", x1)


def _expect_wide(kernel: str, meta: Meta) -> None:
    if meta.dtype not in (float32, float64):
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{torch_type_name(meta.dtype)}'")


def _batch(x1: Meta, x2: Meta) -> tuple[int, ...]:
    return broadcast_shapes(x1.shape[:-2], x2.shape[:-2])


def _cdist_forward(x1: Meta, x2: Meta, p: type, compute_mode: int | None) -> Meta:
    _check_points(x1, x2)
    if compute_mode not in (None, 0, 1, 2):
        raise RuntimeError(f"possible modes: 0, 1, 2, but was: {compute_mode}")
    return Meta.of((*_batch(x1, x2), x1.shape[-2], x2.shape[-2]), x1.dtype)


def _cdist_backward(grad: Meta, x1: Meta, x2: Meta, p: type, cdist: Meta) -> Meta:
    expected = _cdist_forward(x1, x2, p, None)
    if grad.shape != expected.shape or cdist.shape != expected.shape:
        raise RuntimeError(f"_cdist_backward needs grad and cdist like {expected}; got {grad} and {cdist}")
    return Meta.of((*_batch(x1, x2), *x1.shape[-2:]), x1.dtype)


_KEPT = "x1 x2 result"
op("_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor", _cdist_forward,
   {"x1": _KEPT, "x2": _KEPT}, node="CdistBackward0")  # fmt: skip
_KEPT = "grad x1 x2 cdist"
op("_cdist_backward(Tensor grad, Tensor x1, Tensor x2, float p, Tensor cdist) -> Tensor", _cdist_backward,
   {"grad": "x1 x2 cdist", "x1": _KEPT, "x2": _KEPT})  # fmt: skip


# ---------------------------------------------------------------- within one set
def _pdist_forward(self: Meta, p: type) -> Meta:
    if self.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {self.ndim}D")
    if self.dtype.category is not Category.FLOAT:
        raise RuntimeError("pdist only supports floating-point dtypes")
    _expect_wide("pdist", self)
    rows = self.shape[0]
    return Meta.of((rows * (rows - 1) // 2 if rows else 0,), self.dtype)


def _pdist_backward(grad: Meta, self: Meta, p: type, pdist: Meta) -> Meta:
    expected = _pdist_forward(self, p)
    if grad.shape != expected.shape or pdist.shape != expected.shape:
        raise RuntimeError(f"_pdist_backward needs grad and pdist like {expected}; got {grad} and {pdist}")
    return Meta.of(self.shape, self.dtype)


op("_pdist_forward(Tensor self, float p=2.) -> Tensor", _pdist_forward, {"self": "self result"}, node="PdistBackward0")
# Differentiable in name only, so that a second backward is refused instead of wrong.
op("_pdist_backward(Tensor grad, Tensor self, float p, Tensor pdist) -> Tensor", _pdist_backward,
   {"grad": "", "self": "", "pdist": ""})  # fmt: skip
