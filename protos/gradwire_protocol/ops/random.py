"""Random numbers. The client chooses key and offset of a counter-based generator, so a replay draws the same numbers.

`seed` and `offset` are unsigned 64-bit values, sent as the signed integers of the same bits.
"""

from __future__ import annotations

from typing import Any

from gradwire_protocol.dtypes import bool_
from gradwire_protocol.infer import expect_floating
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.creation import made
from gradwire_protocol.registry import check_no_overlap, op

for _name in ("uniform", "normal"):
    op(f"gw::{_name}(int[] size, SymInt seed, SymInt offset, *, ScalarType dtype) -> Tensor",
       lambda size, seed, offset, dtype: made(size, dtype))  # fmt: skip
op("gw::integers(int[] size, SymInt low, SymInt high, SymInt seed, SymInt offset, *, ScalarType dtype) -> Tensor",
   lambda size, low, high, seed, offset, dtype: made(size, dtype))  # fmt: skip
op("gw::permutation(int n, SymInt seed, SymInt offset, *, ScalarType dtype) -> Tensor",
   lambda n, seed, offset, dtype: made((n,), dtype))  # fmt: skip


def _written(self: Meta, *rest: Any) -> tuple[()]:
    check_no_overlap(self)
    return ()


def _written_floating(self: Meta, *rest: Any) -> tuple[()]:
    expect_floating("check_uniform_bounds", self)
    return _written(self)


# Written tensors lose their graph as in PyTorch: their gradient with respect to what they held is zero.
op(
    "gw::uniform_(Tensor(a!) self, float from_, float to, SymInt seed, SymInt offset) -> Tensor(a!)",
    _written_floating,
    {"self": ""},
)
op(
    "gw::normal_(Tensor(a!) self, float mean, float std, SymInt seed, SymInt offset) -> Tensor(a!)",
    _written,
    {"self": ""},
)
op("gw::bernoulli_(Tensor(a!) self, float p, SymInt seed, SymInt offset) -> Tensor(a!)", _written, {"self": ""})
op(
    "gw::random_(Tensor(a!) self, SymInt low, SymInt high, SymInt seed, SymInt offset) -> Tensor(a!)",
    _written,
    {"self": ""},
)
op(
    "gw::bernoulli(Tensor self, SymInt seed, SymInt offset) -> Tensor",
    lambda self, seed, offset: Meta.of(self.shape, self.dtype),
)


def _dropout(input: Meta, p: type, seed: type, offset: type) -> tuple[Meta, Meta]:
    expect_floating("bernoulli_scalar_cpu_", input)
    return Meta.of(input.shape, input.dtype), Meta.of(input.shape, bool_)


op("gw::dropout(Tensor input, float p, SymInt seed, SymInt offset) -> (Tensor result, Tensor mask)", _dropout,
   {"input": "result1"}, node="NativeDropoutBackward0")  # fmt: skip
