"""Pointwise ops as CUDA C++: what a generated kernel computes for one element.

An expression follows the common kernel of `gradwire_server.ops` operation by operation, so that a fused step has the bits of
a single one. It is a function of the op's arguments in schema order: names of variables for tensors, `Number`s, statics.
`T` is the type that the step computes in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["EXPRESSIONS", "HELPERS", "Number", "Unwritable"]

Expression = Callable[..., str]


class Unwritable(Exception):
    """A step that no expression is there for."""


class Number:
    """A constant number, written so that reading it gives the same bits."""

    def __init__(self, value: Any) -> None:
        """Take a finite real number; raise Unwritable for others."""
        if isinstance(value, complex) or not math.isfinite(value):
            raise Unwritable(f"a constant of a kernel is a finite real number; got {value}")
        self.value = float(value)

    def __format__(self, spec: str) -> str:
        return f"T({self.value!r})"


# As numpy's and CuPy's functions of these names: NaN wins, and of equals the first.
HELPERS = """
template <typename T> __device__ T maximum(T a, T b) { return a >= b || a != a ? a : b; }
template <typename T> __device__ T minimum(T a, T b) { return a <= b || a != a ? a : b; }
template <typename T> __device__ T sigmoid(T x) { return T(1) / (T(1) + exp(-x)); }
"""

_TANH_SCALE, _TANH_CUBE = math.sqrt(2 / math.pi), 0.044715
_INV_SQRT2, _DENSITY = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)


def _scaled_sum(sign: str) -> Expression:
    def write(self: str, other: Any, alpha: Number) -> str:
        return f"{self} {sign} {other}" if alpha.value == 1 else f"{self} {sign} {other} * {alpha}"

    return write


_POWERS = {2: "{0} * {0}", 3: "{0} * {0} * {0}", 0.5: "sqrt({0})", -0.5: "T(1) / sqrt({0})", -1: "T(1) / {0}"}


def _power(self: str, exponent: Number) -> str:
    return _POWERS.get(exponent.value, f"pow({{0}}, {exponent})").format(self)


def _clamp(self: str, low: Any, high: Any) -> str:
    raised = self if low is None else f"maximum({self}, {low})"
    return raised if high is None else f"minimum({raised}, {high})"


def _addition(sign: str) -> Expression:
    def write(self: str, first: str, second: str, value: Number) -> str:
        return f"{self} + {first if value.value == 1 else f'({first} * {value})'} {sign} {second}"

    return write


def _inner(x: str) -> str:
    """Return the argument of the tanh of gelu's tanh form."""
    return f"(({x} * {x} * T({_TANH_CUBE!r}) + T(1)) * {x} * T({_TANH_SCALE!r}))"


def _gelu(self: str, approximate: str) -> str:
    normal = f"tanh({_inner(self)})" if approximate == "tanh" else f"erf({self} * T({_INV_SQRT2!r}))"
    return f"{self} * T(0.5) * ({normal} + T(1))"


def _gelu_backward(grad: str, self: str, approximate: str) -> str:
    if approximate == "tanh":
        t = f"tanh({_inner(self)})"
        cubic = f"({self} * {self} * T({3 * _TANH_CUBE!r}) + T(1))"
        density = f"(T(1) - {t} * {t}) * {cubic} * T({0.5 * _TANH_SCALE!r})"
    else:
        t = f"erf({self} * T({_INV_SQRT2!r}))"
        density = f"exp({self} * {self} * T(-0.5)) * T({_DENSITY!r})"
    return f"{grad} * (({t} + T(1)) * T(0.5) + {density} * {self})"


def _plain(form: str) -> Expression:
    """Return the expression of a form with {0}, {1}, ... for the arguments."""
    return lambda *arguments: form.format(*arguments)


def _functions() -> dict[str, Expression]:
    named = ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt",
             "asin", "acos", "atan", "asinh", "acosh", "atanh", "floor", "ceil", "trunc")  # fmt: skip
    found = {name: _plain(f"{name}({{0}})") for name in named}
    forms = {
        "neg": "-{0}", "abs": "fabs({0})", "reciprocal": "T(1) / {0}", "rsqrt": "T(1) / sqrt({0})", "round": "rint({0})",
        "relu": "maximum({0}, T(0))", "sigmoid": "sigmoid({0})", "silu": "{0} / (T(1) + exp(-{0}))",
        "silu_backward": "{0} * (sigmoid({1}) * (T(1) + {1} * (T(1) - sigmoid({1}))))",
        "sigmoid_backward": "{0} * ((T(1) - {1}) * {1})", "tanh_backward": "{0} * (T(1) - {1} * {1})",
        "threshold_backward": "{1} <= {2} ? T(0) : {0}", "log_sigmoid": "minimum({0}, T(0)) - log1p(exp(-fabs({0})))",
        "leaky_relu": "maximum({0}, T(0)) + minimum({0}, T(0)) * {1}",
        "leaky_relu_backward": "{1} > T(0) ? {0} : {0} * {2}",
        "hardtanh": "minimum(maximum({0}, {1}), {2})", "maximum": "maximum({0}, {1})", "minimum": "minimum({0}, {1})",
        "atan2": "atan2({0}, {1})", "logical_not": "!{0}", "logical_and": "{0} && {1}", "logical_or": "{0} || {1}",
        "isnan": "{0} != {0}",
    }  # fmt: skip
    return found | {name: _plain(form) for name, form in forms.items()}


def _overloads() -> dict[str, Expression]:
    found: dict[str, Expression] = {}
    for overload in ("Tensor", "Scalar"):
        found |= {
            f"add.{overload}": _scaled_sum("+"), f"sub.{overload}": _scaled_sum("-"),
            f"mul.{overload}": _plain("{0} * {1}"), f"div.{overload}": _plain("{0} / {1}"),
        }  # fmt: skip
        for name, sign in (("eq", "=="), ("ne", "!="), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")):
            found[f"{name}.{overload}"] = _plain(f"{{0}} {sign} {{1}}")
    for overload in ("self", "ScalarOther", "ScalarSelf"):
        found[f"where.{overload}"] = _plain("{0} ? {1} : {2}")
    for overload in ("", ".Tensor"):
        found |= {
            f"clamp{overload}": _clamp, f"clamp_min{overload}": _plain("maximum({0}, {1})"),
            f"clamp_max{overload}": _plain("minimum({0}, {1})"),
        }  # fmt: skip
    return found


EXPRESSIONS: dict[str, Expression] = {
    **_functions(), **_overloads(), "pow.Tensor_Scalar": _power, "addcmul": _addition("*"), "addcdiv": _addition("/"),
    "gelu": _gelu, "gelu_backward": _gelu_backward,
}  # fmt: skip
