"""Scans along an axis: running extremes and running log-sum-exp. `cumsum` and `cumprod` are in `reduction`."""

from __future__ import annotations

from gradwire_protocol import infer
from gradwire_protocol.dtypes import Category, int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.pointwise import unsupported
from gradwire_protocol.registry import op

__all__: list[str] = []


def _extreme(name: str) -> None:
    def rule(self: Meta, dim: int) -> tuple[Meta, Meta]:
        infer.normalize_dim(dim, self.ndim)
        if self.dtype.is_complex:
            raise unsupported(f"{name}_cpu", self.dtype)
        return infer.like(self), Meta.of(self.shape, int64)

    op(f"{name}(Tensor self, int dim) -> (Tensor values, Tensor indices)", rule, {"self": "result1"})


def _logcumsumexp(self: Meta, dim: int) -> Meta:
    infer.normalize_dim(dim, self.ndim)
    if self.dtype.category < Category.FLOAT:
        raise unsupported("logcumsumexp_out_cpu", self.dtype)
    return infer.like(self)


_extreme("cummax")
_extreme("cummin")
op("logcumsumexp(Tensor self, int dim) -> Tensor", _logcumsumexp, {"self": "self result"})
