"""Random numbers. The client chooses key and offset of a counter-based generator, so a replay draws the same numbers.

`seed` and `offset` are unsigned 64-bit values, sent as the signed integers of the same bits.
"""

from __future__ import annotations

from typing import Any

from gradwire_protocol.dtypes import DType, bool_, int64
from gradwire_protocol.infer import broadcast_shapes, expect_floating
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.creation import made
from gradwire_protocol.registry import check_no_overlap, op, torch_type_name

# PyTorch's limit, from the float32 indices of its first GPU kernel.
_MOST_CATEGORIES = 1 << 24

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


def _written_floating(name: str) -> Any:
    def rule(self: Meta, *rest: Any) -> tuple[()]:
        _floats(name, self)
        return _written(self)

    return rule


def _floats(name: str, *metas: Meta) -> None:
    for meta in metas:
        if not meta.dtype.is_floating_point:
            raise _no_kernel(name, meta)


def _no_kernel(name: str, self: Meta) -> NotImplementedError:
    return NotImplementedError(f"\"{name}\" not implemented for '{torch_type_name(self.dtype)}'")


# Written tensors lose their graph as in PyTorch: their gradient with respect to what they held is zero.
op(
    "gw::uniform_(Tensor(a!) self, float from_, float to, SymInt seed, SymInt offset) -> Tensor(a!)",
    _written_floating("check_uniform_bounds"),
    {"self": ""},
)
op(
    "gw::normal_(Tensor(a!) self, float mean, float std, SymInt seed, SymInt offset) -> Tensor(a!)",
    _written_floating("normal_kernel_cpu"),
    {"self": ""},
)
op("gw::bernoulli_(Tensor(a!) self, float p, SymInt seed, SymInt offset) -> Tensor(a!)", _written, {"self": ""})
op(
    "gw::random_(Tensor(a!) self, SymInt low, SymInt high, SymInt seed, SymInt offset) -> Tensor(a!)",
    _written,
    {"self": ""},
)


def _drawn_by(name: str) -> Any:
    """Return the rule of a draw whose parameter has the shape and dtype of the result."""

    def rule(self: Meta, *rest: Any) -> Meta:
        _floats(name, self)
        return Meta.of(self.shape, self.dtype)

    return rule


op("gw::bernoulli(Tensor self, SymInt seed, SymInt offset) -> Tensor", _drawn_by("bernoulli_tensor_cpu_p_"),
   {"self": ""})  # fmt: skip


def _dropout(input: Meta, p: type, seed: type, offset: type) -> tuple[Meta, Meta]:
    expect_floating("bernoulli_scalar_cpu_", input)
    return Meta.of(input.shape, input.dtype), Meta.of(input.shape, bool_)


op("gw::dropout(Tensor input, float p, SymInt seed, SymInt offset) -> (Tensor result, Tensor mask)", _dropout,
   {"input": "result1"}, node="NativeDropoutBackward0")  # fmt: skip


# --- other distributions ---------------------------------------------------------------------------------------------
def _exponential(self: Meta, *rest: Any) -> tuple[()]:
    if not self.dtype.is_floating_point:
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. dtype must be a floating point but you "
            f"specified {torch_type_name(self.dtype)}"
        )
    return _written(self)


def _cauchy(self: Meta, *rest: Any) -> tuple[()]:
    if not self.dtype.is_floating_point:
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. dtype must be a floating point but you specified "
            f"{torch_type_name(self.dtype)}"
        )
    return _written(self)


def _geometric(self: Meta, *rest: Any) -> tuple[()]:
    if self.dtype is bool_ or self.dtype.is_complex:
        raise _no_kernel("geometric_cpu", self)
    return _written(self)


def _bernoulli_by(self: Meta, p: Meta, *rest: Any) -> tuple[()]:
    _floats("bernoulli_tensor_cpu_p_", p)
    if broadcast_shapes(self.shape, p.shape) != self.shape:
        raise RuntimeError(
            f"output with shape {list(self.shape)} doesn't match the broadcast shape "
            f"{list(broadcast_shapes(self.shape, p.shape))}"
        )
    return _written(self)


for _name, _numbers, _rule in (
    ("exponential_", "float lambd", _exponential), ("cauchy_", "float median, float sigma", _cauchy),
    ("log_normal_", "float mean, float std", _written_floating("log_normal_cpu")), ("geometric_", "float p", _geometric),
):  # fmt: skip
    op(f"gw::{_name}(Tensor(a!) self, {_numbers}, SymInt seed, SymInt offset) -> Tensor(a!)", _rule, {"self": ""})
op("gw::bernoulli_by_(Tensor(a!) self, Tensor p, SymInt seed, SymInt offset) -> Tensor(a!)", _bernoulli_by,
   {"self": "", "p": ""}, node="BernoulliBackward1")  # fmt: skip


def _around(mean: Meta | type, std: Meta | type, *rest: Any) -> Meta:
    metas = [value for value in (mean, std) if isinstance(value, Meta)]
    for meta in metas[:1]:
        _floats("normal_kernel_cpu", meta)
    if isinstance(std, Meta) and std.dtype.is_complex:
        raise RuntimeError("normal expects standard deviation to be non-complex")
    return Meta.of(broadcast_shapes(*[meta.shape for meta in metas]), metas[0].dtype)


# A draw is constant in its parameters as PyTorch has it: their gradients are zeros, not those of mean + std * noise.
op("gw::normal_around(Tensor mean, Tensor std, SymInt seed, SymInt offset) -> Tensor", _around,
   {"mean": "", "std": ""}, node="NormalBackward3")  # fmt: skip
op("gw::normal_with_mean(Tensor mean, float std, SymInt seed, SymInt offset) -> Tensor", _around,
   {"mean": ""}, node="NormalBackward1")  # fmt: skip
op("gw::normal_with_std(float mean, Tensor std, SymInt seed, SymInt offset) -> Tensor", _around,
   {"std": ""}, node="NormalBackward2")  # fmt: skip


def _binomial(count: Meta, prob: Meta, *rest: Any) -> Meta:
    for name, meta in (("count", count), ("prob", prob)):
        if not meta.dtype.is_floating_point:
            kind = torch_type_name(meta.dtype)
            raise ValueError(f"binomial only supports floating-point dtypes for {name}, got: {kind}")
    return Meta.of(broadcast_shapes(count.shape, prob.shape), _agreed(count, prob))


def _agreed(self: Meta, other: Meta) -> DType:
    if self.dtype is not other.dtype:
        raise RuntimeError(f"Found dtype {torch_type_name(other.dtype)} but expected {torch_type_name(self.dtype)}")
    return self.dtype


def _standard_gamma_grad(self: Meta, output: Meta) -> Meta:
    dtype = _agreed(self, output)
    _floats("_standard_gamma_grad_cpu", self)
    return Meta.of(broadcast_shapes(self.shape, output.shape), dtype)


op("gw::poisson(Tensor self, SymInt seed, SymInt offset) -> Tensor", _drawn_by("poisson_cpu"), {"self": ""})
op("gw::binomial(Tensor count, Tensor prob, SymInt seed, SymInt offset) -> Tensor", _binomial)
op("gw::standard_gamma(Tensor self, SymInt seed, SymInt offset) -> Tensor", _drawn_by("gamma_cpu"),
   {"self": "self result"})  # fmt: skip
op("_standard_gamma_grad(Tensor self, Tensor output) -> Tensor", _standard_gamma_grad, {"self": "", "output": ""})


def _multinomial(self: Meta, num_samples: int, replacement: bool, *rest: Any) -> Meta:
    if self.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not self.dtype.is_floating_point:
        kind = torch_type_name(self.dtype)
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {kind}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > self.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if self.shape[-1] > _MOST_CATEGORIES:
        raise RuntimeError("number of categories cannot exceed 2^24")
    return Meta.of((*self.shape[:-1], num_samples), int64)


op("gw::multinomial(Tensor self, int num_samples, bool replacement, SymInt seed, SymInt offset) -> Tensor",
   _multinomial)  # fmt: skip
