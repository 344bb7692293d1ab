"""Functions that write over their first argument, as `torch` has of some elementwise ops; and two that have no method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire.tensor import Tensor, expect_tensor

__all__ = [
    "abs_", "acos_", "acosh_", "arccos_", "arccosh_", "arcsin_", "arcsinh_", "arctan_", "arctanh_", "asin_", "asinh_",
    "atan_", "atanh_", "ceil_", "celu_", "clamp_", "clamp_max_", "clamp_min_", "clip_", "conj_physical_", "cos_", "cosh_",
    "deg2rad_", "erf_", "erfc_", "exp2_", "exp_", "expm1_", "fill", "fill_", "fix_", "floor_", "frac_", "gcd_", "i0_",
    "lcm_", "ldexp_", "log1p_", "log2_", "log10_", "log_", "logit_", "nan_to_num_", "neg_", "negative_", "rad2deg_",
    "reciprocal_", "relu_", "round_", "rrelu", "rrelu_", "rsqrt_", "selu_", "sigmoid_", "sin_", "sinc_", "sinh_", "sqrt_",
    "square_", "tan_", "tanh_", "threshold_", "trunc_", "xlogy_", "zero_",
]  # fmt: skip


def fill(input: Tensor, value: Any) -> Any:
    """Return a tensor like `input` that holds `value`, a number or a tensor without axes, everywhere."""
    return expect_tensor("fill", input).clone().fill_(value)


def rrelu(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Any:
    """Return x where it is positive, else x times a slope: random in [lower, upper) in training, their mean otherwise."""
    from gradwire.nn import functional

    return functional.rrelu(input, lower, upper, training)


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Any:
    """Compute `rrelu` in place."""
    from gradwire.nn import functional

    return functional.rrelu(input, lower, upper, training, inplace=True)


def _inplace(name: str) -> Callable[..., Any]:
    """Return the function that calls an in-place method of its first argument."""

    def function(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        return getattr(expect_tensor(name, input), name)(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Call the method `{name}` of `input`, which it writes over, and return it."
    return function


abs_ = _inplace("abs_")
acos_ = _inplace("acos_")
acosh_ = _inplace("acosh_")
arccos_ = _inplace("arccos_")
arccosh_ = _inplace("arccosh_")
arcsin_ = _inplace("arcsin_")
arcsinh_ = _inplace("arcsinh_")
arctan_ = _inplace("arctan_")
arctanh_ = _inplace("arctanh_")
asin_ = _inplace("asin_")
asinh_ = _inplace("asinh_")
atan_ = _inplace("atan_")
atanh_ = _inplace("atanh_")
ceil_ = _inplace("ceil_")
celu_ = _inplace("celu_")
clamp_ = _inplace("clamp_")
clamp_max_ = _inplace("clamp_max_")
clamp_min_ = _inplace("clamp_min_")
clip_ = _inplace("clip_")
conj_physical_ = _inplace("conj_physical_")
cos_ = _inplace("cos_")
cosh_ = _inplace("cosh_")
deg2rad_ = _inplace("deg2rad_")
erf_ = _inplace("erf_")
erfc_ = _inplace("erfc_")
exp2_ = _inplace("exp2_")
exp_ = _inplace("exp_")
expm1_ = _inplace("expm1_")
fill_ = _inplace("fill_")
fix_ = _inplace("fix_")
floor_ = _inplace("floor_")
frac_ = _inplace("frac_")
gcd_ = _inplace("gcd_")
i0_ = _inplace("i0_")
lcm_ = _inplace("lcm_")
ldexp_ = _inplace("ldexp_")
log10_ = _inplace("log10_")
log1p_ = _inplace("log1p_")
log2_ = _inplace("log2_")
log_ = _inplace("log_")
logit_ = _inplace("logit_")
nan_to_num_ = _inplace("nan_to_num_")
neg_ = _inplace("neg_")
negative_ = _inplace("negative_")
rad2deg_ = _inplace("rad2deg_")
reciprocal_ = _inplace("reciprocal_")
relu_ = _inplace("relu_")
round_ = _inplace("round_")
rsqrt_ = _inplace("rsqrt_")
selu_ = _inplace("selu_")
sigmoid_ = _inplace("sigmoid_")
sin_ = _inplace("sin_")
sinc_ = _inplace("sinc_")
sinh_ = _inplace("sinh_")
sqrt_ = _inplace("sqrt_")
square_ = _inplace("square_")
tan_ = _inplace("tan_")
tanh_ = _inplace("tanh_")
threshold_ = _inplace("threshold_")
trunc_ = _inplace("trunc_")
xlogy_ = _inplace("xlogy_")
zero_ = _inplace("zero_")
