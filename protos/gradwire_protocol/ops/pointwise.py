"""Arithmetic, comparison and elementary functions: one result element per broadcast element."""

from __future__ import annotations

from gradwire_protocol import infer
from gradwire_protocol.registry import op

# The gradient of `self` is g times a number or a tensor; what it reads is in `keeps`.
for _name in ("add", "sub"):
    op(f"{_name}.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", infer.pointwise,
       {"self": "", "other": ""}, pointwise=True, inplace=True)  # fmt: skip
    op(f"{_name}.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", infer.pointwise,
       {"self": ""}, pointwise=True, inplace=True)  # fmt: skip
op("mul.Tensor(Tensor self, Tensor other) -> Tensor", infer.pointwise, {"self": "other", "other": "self"}, pointwise=True, inplace=True)
op("mul.Scalar(Tensor self, Scalar other) -> Tensor", infer.pointwise, {"self": ""}, pointwise=True, inplace=True)

for _name, _keeps in (("exp", "result"), ("sin", "self"), ("cos", "self"), ("tanh", "result"), ("sigmoid", "result"), ("log", "self")):
    op(f"{_name}(Tensor self) -> Tensor", infer.floating, {"self": _keeps}, pointwise=True, inplace=True)
op("neg(Tensor self) -> Tensor", infer.like, {"self": ""}, pointwise=True, inplace=True)
