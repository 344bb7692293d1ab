"""Composites of the distance family. Formulas and refusals: pytorch/aten/src/ATen/native/Distance.cpp and Linear.cpp."""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.composites.base import Callable_, Number
from gradwire_protocol.dtypes import Category
from gradwire_protocol.infer import broadcast_shapes, normalize_dim, result_type
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import torch_type_name

__all__ = ["DistanceComposites"]

_CDIST, _PDIST = OPS["_cdist_forward"], OPS["_pdist_forward"]
_MODES = {"use_mm_for_euclid_dist_if_necessary": 0, "use_mm_for_euclid_dist": 1, "donot_use_mm_for_euclid_dist": 2}


def _check_bilinear(input1: Meta, input2: Meta, weight: Meta, bias: Meta | None) -> None:
    if input1.ndim != input2.ndim:
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}")
    for axis, (one, other) in enumerate(zip(input1.shape[:-1], input2.shape[:-1], strict=True)):
        if one != other:
            raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {axis}: got {one} and {other}")
    if weight.ndim != 3:
        raise RuntimeError(f"bilinear(): weight must be of shape (out, in1, in2); got {weight}")
    for number, meta in ((1, input1), (2, input2)):
        size = meta.shape[-1] if meta.ndim else 1
        if size != weight.shape[number]:
            raise RuntimeError(
                f"bilinear(): input{number} size does not match weight size: got {size} but expected {weight.shape[number]}"
            )
    if bias is not None and (bias.ndim != 1 or bias.shape[0] != weight.shape[0]):
        size = bias.shape[0] if bias.ndim else 1
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {size} but expected {weight.shape[0]}"
        )


class DistanceComposites(Callable_):
    """Methods of the distance family that are written by hand."""

    __slots__ = ()

    def dist(self, other: Any, p: Number = 2) -> Any:
        """Compute the p-norm of self - other over all elements."""
        me: Any = self
        return (me - other).norm(p)

    def cdist(self, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Any:
        """Compute the p-norms of all differences of rows: (*, P, M), (*, R, M) -> (*, P, R)."""
        if compute_mode not in _MODES:
            raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
        if not p >= 0:
            raise RuntimeError("cdist only supports non-negative p values")
        return self._call(_CDIST, (self, x2), (_MODES[compute_mode],), (float(p),))

    def pdist(self, p: float = 2.0) -> Any:
        """Compute the p-norms of the differences of rows i < j: (N, M) -> (N (N - 1) / 2)."""
        if not p >= 0:
            raise RuntimeError("pdist only supports non-negative p values")
        return self._call(_PDIST, (self,), (), (float(p),))

    def pairwise_distance(self, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
        """Compute the p-norm of self - x2 + eps along the last axis: (*, D), (*, D) -> (*)."""
        me: Any = self
        difference = me - x2 + eps
        return difference.norm(p, -1 if difference.meta.ndim else None, keepdim)

    def cosine_similarity(self, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
        """Compute self . x2 / (|self| |x2|) along `dim`; no norm counts as less than `eps`."""
        dtype = result_type(self.meta, x2.meta)
        if dtype.category < Category.FLOAT:
            raise RuntimeError(
                f"expected common dtype to be floating point, yet common dtype is {torch_type_name(dtype)}"
            )
        shape = broadcast_shapes(self.meta.shape, x2.meta.shape)
        normalize_dim(dim, len(shape))
        tensors: tuple[Any, ...] = (self, x2)
        one, other = (tensor if tensor.meta.dtype is dtype else tensor._to_dtype(dtype) for tensor in tensors)
        return (_unit(one.expand(shape), dim, eps) * _unit(other.expand(shape), dim, eps)).sum(dim)

    def bilinear(self, input2: Any, weight: Any, bias: Any = None) -> Any:
        """Compute self @ weight[o] @ input2 + bias[o]: (*, I), (*, J), (O, I, J), (O) -> (*, O)."""
        me: Any = self
        _check_bilinear(self.meta, input2.meta, weight.meta, None if bias is None else bias.meta)
        outputs, rows, columns = weight.meta.shape
        batch = self.meta.shape[:-1]
        samples = math.prod(batch)
        left, right = me.reshape(samples, rows, 1), input2.reshape(samples, columns)
        mixed = right.matmul(weight.reshape(outputs * rows, columns).t()).reshape(samples, outputs, rows)
        found = mixed.matmul(left).reshape(*batch, outputs)
        return found if bias is None else found + bias


def _unit(tensor: Any, dim: int, eps: float) -> Any:
    """Divide by the norm along `dim`, which passes gradients as if it were not clamped."""
    norm = tensor.linalg_vector_norm(2, (dim,), True)
    return tensor / (norm + (norm.clamp_min(eps) - norm).detach())
