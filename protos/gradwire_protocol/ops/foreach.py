"""Ops on lists of tensors: one call where a loop would make one per tensor. What clips gradients needs of ATen's.

Written tensors change all together or not at all. None has a gradient here: they serve where nothing is recorded.
"""

from __future__ import annotations

from typing import Any

import gradwire_protocol.ops.reduction  # noqa: F401  (declares the norm that is taken of each)
from gradwire_protocol import infer
from gradwire_protocol.dtypes import DType
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS, check_no_overlap, op, torch_type_name

Metas = tuple[Meta, ...]
_norm = OPS["linalg_vector_norm"].infer


def _norms(self: Metas, ord: type, dtype: DType | None) -> Metas:
    return tuple(_norm(tensor, ord, None, False, dtype) for tensor in self)


def _scaled(self: Metas, other: Any) -> tuple[()]:
    if isinstance(other, Meta) and other.ndim:
        raise RuntimeError(
            f"scalar tensor expected to be 0 dim but it has {other.ndim} dimensions and {other.numel} elements."
        )
    for tensor in self:
        result = infer.pointwise(tensor, other)
        if result.dtype.category > tensor.dtype.category:
            raise RuntimeError(
                f"result type {torch_type_name(result.dtype)} can't be cast to the desired output type "
                f"{torch_type_name(tensor.dtype)}"
            )
        check_no_overlap(tensor)
    return ()


op("_foreach_norm.Scalar(Tensor[] self, Scalar ord=2, ScalarType? dtype=None) -> Tensor[]", _norms)
op("_foreach_mul_.Tensor(Tensor(a!)[] self, Tensor other) -> ()", _scaled)
for _name in ("clamp_min", "clamp_max"):
    op(f"_foreach_{_name}_.Scalar(Tensor(a!)[] self, Scalar scalar) -> ()", _scaled)
