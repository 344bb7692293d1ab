"""Activations, and the `*_backward` ops that their gradients are made of, which have gradients of their own.

Which dtypes a kernel takes, and its words for the others: pytorch/aten/src/ATen/native/Activation.cpp, cpu/Activation.cpp.
"""

from __future__ import annotations

from collections.abc import Collection

from gradwire_protocol import infer
from gradwire_protocol.dtypes import Category, bool_
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.pointwise import FLOAT, INEXACT, REAL, only, tensors_only, unary, unsupported
from gradwire_protocol.registry import op


def _clamped(name: str) -> infer.Rule:
    """Return the rule of what PyTorch makes of `clamp` for its self's dtype (`relu`, `hardtanh`)."""

    def rule(self: Meta, *rest: type) -> Meta:
        if self.dtype is bool_:
            raise RuntimeError(f"{'Boolean' if name == 'relu' else 'Bool'} inputs not supported for {name}")
        if self.dtype.is_complex:
            raise NotImplementedError("clamp is not supported for complex types")
        return infer.like(self)

    return rule


def _gelu(self: Meta, approximate: str) -> Meta:
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return infer.like(self)


def _floating(kernel: str) -> infer.Rule:
    return only((FLOAT,), kernel, infer.like)


# --- of one tensor ---------------------------------------------------------------------------------------------------

unary("relu", _clamped("relu"), "result")
unary("hardtanh", _clamped("hardtanh"), "self", arguments=", Scalar min_val=-1, Scalar max_val=1")
unary("leaky_relu", _floating("leaky_relu_cpu"), "self", arguments=", Scalar negative_slope=0.01")
unary("elu", _floating("elu_cpu"), "self", arguments=", Scalar alpha=1, Scalar scale=1, Scalar input_scale=1")
unary("celu", _floating("elu_cpu"), "self", arguments=", Scalar alpha=1.0")
unary("threshold", only(REAL, "threshold_cpu", infer.like), "self", arguments=", Scalar threshold, Scalar value")
unary("silu", only(INEXACT, "silu_cpu", infer.like), "self")
unary("gelu", only((FLOAT,), "GeluKernelImpl", _gelu), "self", arguments=", *, str approximate='none'")
for _name in ("hardswish", "hardsigmoid", "mish"):
    unary(_name, _floating(f"{_name}_cpu"), "self")
for _name, _kernel, _rest in (
    ("softplus", "softplus_cpu", ", Scalar beta=1, Scalar threshold=20"), ("log_sigmoid", "log_sigmoid_cpu", ""),
    ("hardshrink", "hardshrink_cpu", ", Scalar lambd=0.5"), ("softshrink", "softshrink_check", ", Scalar lambd=0.5"),
):  # fmt: skip
    op(f"{_name}(Tensor self{_rest}) -> Tensor", _floating(_kernel), {"self": "self"}, pointwise=True)


# --- what their gradients are made of --------------------------------------------------------------------------------


def _backward(name: str, kernel: str, allowed: Collection[Category], reads: str, rest: str = "") -> None:
    """Declare the gradient of a curve, whose own gradient depends on both arguments."""
    op(f"{name}(Tensor grad_output, Tensor {reads}{rest}) -> Tensor", only(allowed, kernel, tensors_only),
       {"grad_output": reads, reads: f"grad_output {reads}"}, node=_backward_node(name), pointwise=True)  # fmt: skip


def _piecewise_backward(
    name: str, kernel: str, rest: str = "", allowed: Collection[Category] = (FLOAT,), grad: str = "grad_output"
) -> None:
    """Declare the gradient of a function made of straight lines: linear in `grad_output`, constant in `self`."""
    op(f"{name}(Tensor {grad}, Tensor self{rest}) -> Tensor", only(allowed, kernel, tensors_only),
       {grad: "self", "self": ""}, node=_backward_node(name), pointwise=True)  # fmt: skip


def _backward_node(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_")) + "Backward0"


_backward("sigmoid_backward", "sigmoid_backward_cpu", INEXACT, "output")
_backward("tanh_backward", "tanh_backward_cpu", INEXACT, "output")
_backward("silu_backward", "silu_backward_cpu", INEXACT, "self")
_backward("gelu_backward", "GeluBackwardKernelImpl", (FLOAT,), "self", ", *, str approximate='none'")
_backward("softplus_backward", "softplus_backward_cpu", (FLOAT,), "self", ", Scalar beta, Scalar threshold")
_backward("mish_backward", "mish_backward_cpu", (FLOAT,), "self")
_backward("hardswish_backward", "hardswish_backward_cpu", (FLOAT,), "self")
op("elu_backward(Tensor grad_output, Scalar alpha, Scalar scale, Scalar input_scale, bool is_result, "
   "Tensor self_or_result) -> Tensor", only((FLOAT,), "elu_backward_cpu", tensors_only),
   {"grad_output": "self_or_result", "self_or_result": "grad_output self_or_result"},
   node="EluBackwardBackward0", pointwise=True)  # fmt: skip
_piecewise_backward("threshold_backward", "threshold_cpu", ", Scalar threshold", REAL)
_piecewise_backward("hardtanh_backward", "hardshrink_backward_cpu", ", Scalar min_val, Scalar max_val")
_piecewise_backward("leaky_relu_backward", "leaky_relu_backward_cpu", ", Scalar negative_slope, bool self_is_result")
_piecewise_backward("hardsigmoid_backward", "hardsigmoid_backward")
_piecewise_backward("hardshrink_backward", "shrink_backward_cpu", ", Scalar lambd", grad="grad_out")
_piecewise_backward("softshrink_backward", "shrink_backward_cpu", ", Scalar lambd")


# --- gated, learned and random slopes --------------------------------------------------------------------------------


def _halved(self: Meta, dim: int) -> tuple[int, ...]:
    if self.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    axis = infer.normalize_dim(dim, self.ndim)
    if self.shape[axis] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {axis} is size {self.shape[axis]}")
    return (*self.shape[:axis], self.shape[axis] // 2, *self.shape[axis + 1 :])


def _glu(self: Meta, dim: int) -> Meta:
    shape = _halved(self, dim)
    if self.dtype.category is not FLOAT:
        raise unsupported("glu_cpu", self.dtype)
    return Meta.of(shape, self.dtype)


def _glu_backward(grad_output: Meta, self: Meta, dim: int) -> Meta:
    shape = _halved(self, dim)
    if grad_output.shape != shape:
        raise RuntimeError(f"Expected grad_output to have shape {list(shape)}; got {list(grad_output.shape)}")
    infer.same_dtype("glu_backward", grad_output, self)
    return infer.like(self)


def _prelu_backward(grad_output: Meta, self: Meta, weight: Meta) -> tuple[Meta, Meta]:
    made = only((FLOAT,), "prelu_backward_cpu", tensors_only)(grad_output, self, weight)
    return made, made


def _rrelu(self: Meta, *rest: type) -> tuple[Meta, Meta]:
    made = _floating("rrelu_with_noise_out_cpu")(self)
    return made, made


op("glu(Tensor self, int dim=-1) -> Tensor", _glu, {"self": "self"})
op("glu_backward(Tensor grad_output, Tensor self, int dim) -> Tensor", _glu_backward,
   {"grad_output": "self", "self": "grad_output self"}, node="GluBackwardBackward0")  # fmt: skip
op("_prelu_kernel(Tensor self, Tensor weight) -> Tensor", only((FLOAT,), "prelu_cpu", tensors_only),
   {"self": "self weight", "weight": "self weight"}, node="PreluKernelBackward0", pointwise=True)  # fmt: skip
_KEPT = "grad_output self weight"
op("_prelu_kernel_backward(Tensor grad_output, Tensor self, Tensor weight) -> (Tensor, Tensor)", _prelu_backward,
   {"grad_output": _KEPT, "self": _KEPT, "weight": _KEPT}, node="PreluKernelBackwardBackward0")  # fmt: skip
# ATen's rrelu_with_noise in training; the noise, which is 1 where self is positive, is a result and not written.
op("gw::rrelu(Tensor self, float lower, float upper, SymInt seed, SymInt offset) -> (Tensor result, Tensor noise)",
   _rrelu, {"self": "result1"}, node="RreluWithNoiseBackward0")  # fmt: skip
