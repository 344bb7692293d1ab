"""Activations: one call of an op each, or a composite of few."""

from __future__ import annotations

import warnings
from typing import Any

from gradwire import random
from gradwire.tensor import Tensor
from gradwire_protocol.ops import OPS

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "hardtanh_", "implicit_dim", "leaky_relu", "leaky_relu_", "log_softmax", "logsigmoid", "mish", "prelu", "relu", "relu6",
    "relu_", "rrelu", "rrelu_", "selu", "selu_", "sigmoid", "silu", "softmax", "softmin", "softplus", "softshrink", "softsign",
    "tanh", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip


# --- straight lines ---
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return max(x, 0) of each element."""
    return input.relu_() if inplace else input.relu()


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Return min(max(x, 0), 6) of each element."""
    result: Tensor = input.relu6_() if inplace else input.relu6()
    return result


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """Return each element clamped to [min_val, max_val]."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return input.hardtanh_(min_val, max_val) if inplace else input.hardtanh(min_val, max_val)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Return each element that is above the threshold, and `value` for the others."""
    return input.threshold_(threshold, value) if inplace else input.threshold(threshold, value)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Return x where it is positive, else x * negative_slope."""
    return input.leaky_relu_(negative_slope) if inplace else input.leaky_relu(negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Return x where it is positive, else x * weight; the weight is one number, or one per channel (axis 1)."""
    result: Tensor = input.prelu(weight)
    return result


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Return x where it is positive, else x times a slope: random in [lower, upper) in training, their mean otherwise."""
    for name, bound in (("lower", lower), ("upper", upper)):
        if bound != bound or abs(bound) == float("inf"):
            raise RuntimeError(f"rrelu: {name} bound must be finite, got {bound}")
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    drawn = random.default_generator.take(input.numel())
    result: Tensor = OPS["gw::rrelu"](input, float(lower), float(upper), *drawn)[0]
    return input.copy_(result) if inplace else result


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Return min(max(x + 3, 0), 6) / 6 of each element."""
    return input.hardsigmoid_() if inplace else input.hardsigmoid()


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x * hardsigmoid(x) of each element."""
    return input.hardswish_() if inplace else input.hardswish()


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return each element, those within `lambd` of 0 as 0."""
    return input.hardshrink(lambd)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return each element moved towards 0 by `lambd`, and no further."""
    return input.softshrink(lambd)


# --- curves ---
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return x where it is positive, else alpha * (exp(x) - 1)."""
    return input.elu_(alpha) if inplace else input.elu(alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return elu with the two constants that keep layers normalized."""
    result: Tensor = input.selu_() if inplace else input.selu()
    return result


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return x where it is positive, else alpha * (exp(x / alpha) - 1)."""
    return input.celu_(alpha) if inplace else input.celu(alpha)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x * sigmoid(x) of each element."""
    return input.silu_() if inplace else input.silu()


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x * tanh(softplus(x)) of each element."""
    return input.mish_() if inplace else input.mish()


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return x * Phi(x) of each element; `approximate="tanh"` for the cheaper formula."""
    return input.gelu(approximate=approximate)


def tanh(input: Tensor) -> Tensor:
    """Return the hyperbolic tangent of each element."""
    return input.tanh()


def tanhshrink(input: Tensor) -> Tensor:
    """Return x - tanh(x) of each element."""
    return input - input.tanh()


def sigmoid(input: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x)) of each element."""
    return input.sigmoid()


def logsigmoid(input: Tensor) -> Tensor:
    """Return log(sigmoid(x)) of each element, without overflow."""
    result: Tensor = input.logsigmoid()
    return result


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return log(1 + exp(beta * x)) / beta of each element; x itself where beta * x is above the threshold."""
    return input.softplus(beta, threshold)


def softsign(input: Tensor) -> Tensor:
    """Return x / (1 + |x|) of each element."""
    result: Tensor = input / (input.abs() + 1)
    return result


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Return a * sigmoid(b), where a and b are the halves of `input` along `dim`."""
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    return input.glu(dim)


# --- along a dim ---
def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Return the probabilities of the scores along `dim`, computed in `dtype` if given."""
    dim = implicit_dim("softmax", input, _stacklevel) if dim is None else dim
    return input.softmax(dim, dtype=dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Return the softmax of the negated scores."""
    dim = implicit_dim("softmin", input, _stacklevel) if dim is None else dim
    return (-input).softmax(dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Return the logarithms of `softmax`, without computing it on the way."""
    dim = implicit_dim("log_softmax", input, _stacklevel) if dim is None else dim
    return input.log_softmax(dim, dtype=dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """Return a random softmax that tends to a one-hot sample of the categories as `tau` goes to 0.

    With `hard` it is one-hot, but has the gradient of the soft one. E. Jang, S. Gu, B. Poole, "Categorical
    reparameterization with Gumbel-softmax", 2017.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    # Of a uniform draw u, 1 - u is above 0; where it is 1, the exponential is kept off 0, whose logarithm is infinite.
    exponential = (1 - random.rand_like(logits)).log().neg().clamp(min=float(logits.dtype.numpy.type(1e-7)))
    soft: Tensor = ((logits - exponential.log()) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot: Tensor = logits.zeros_like().scatter(dim, index, 1.0) - soft.detach() + soft
    return one_hot


def implicit_dim(name: str, input: Tensor, stacklevel: int = 3) -> int:
    """Return the dim that PyTorch chooses where none is given, and warn."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if input.dim() in (0, 1, 3) else 1


# --- in place under a name of its own ---
def relu_(input: Tensor) -> Tensor:
    """Compute `relu` in place."""
    return relu(input, True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """Compute `threshold` in place."""
    return input.threshold_(threshold, value)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Compute `hardtanh` in place."""
    return hardtanh(input, min_val, max_val, True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Compute `leaky_relu` in place."""
    return leaky_relu(input, negative_slope, True)


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """Compute `rrelu` in place."""
    return rrelu(input, lower, upper, training, True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Compute `elu` in place."""
    return elu(input, alpha, True)


def selu_(input: Tensor) -> Tensor:
    """Compute `selu` in place."""
    return selu(input, True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Compute `celu` in place."""
    return celu(input, alpha, True)
