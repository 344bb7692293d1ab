"""Tensors made from nothing but their shape: no argument holds elements."""

from __future__ import annotations

from gradwire_protocol import limits
from gradwire_protocol.dtypes import DType
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op

Shape = tuple[int, ...]


def made(size: Shape, dtype: DType) -> Meta:
    """Return the meta of a new tensor; refuse sizes that no tensor can have before anything is allocated."""
    numel = 1
    for axis in size:
        if axis < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {axis}: {list(size)}")
        numel *= axis
    if numel > limits.MAX_NUMEL:
        raise RuntimeError(f"a tensor may have {limits.MAX_NUMEL} elements; {list(size)} has {numel}")
    return Meta.of(size, dtype)


op(
    "full(int[] size, Scalar fill_value, *, ScalarType dtype) -> Tensor",
    lambda size, fill_value, dtype: made(size, dtype),
)
op("eye.m(int n, int m, *, ScalarType dtype) -> Tensor", lambda n, m, dtype: made((n, m), dtype))

# ATen's arange and linspace take the end; the length is worked out where the numbers are known, so that it is static.
op("gw::arange(int length, Scalar start, Scalar step, *, ScalarType dtype) -> Tensor",
   lambda length, start, step, dtype: made((length,), dtype))  # fmt: skip
op("gw::linspace(int steps, Scalar start, Scalar end, *, ScalarType dtype) -> Tensor",
   lambda steps, start, end, dtype: made((steps,), dtype))  # fmt: skip

op("gw::logspace(int steps, Scalar start, Scalar end, float base, *, ScalarType dtype) -> Tensor",
   lambda steps, start, end, base, dtype: made((steps,), dtype))  # fmt: skip

op("new_full(Tensor self, int[] size, Scalar fill_value, *, ScalarType? dtype=None) -> Tensor",
   lambda self, size, fill_value, dtype: made(size, dtype or self.dtype))  # fmt: skip
op("full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None) -> Tensor",
   lambda self, fill_value, dtype: made(self.shape, dtype or self.dtype))  # fmt: skip
