"""Pointwise ops as LLVM instructions, of those whose result IEEE 754 fixes to the bit: sums, products, roots, choices.

An op is written as its kernel in `gradwire_server.ops` computes it, operation by operation, so that compiled steps have the
bits of numpy's calls. Exponentials and their kin stay numpy's: another library's differ in the last bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["ACCESS", "ENDING", "INSTRUCTIONS", "Constant", "Unwritable", "Writer"]

# What loads and stores of a loop are marked with, and how a module ends. The access group says that no turn of a loop reads what
# another one writes. Results may lie in the memory of inputs, element for element, and the vectorizer would otherwise test for that
# and give up.
ACCESS = "!llvm.access.group !1"
_INTRINSICS = ("fabs", "sqrt", "floor", "ceil", "trunc")
ENDING = "".join(
    f"declare {kind} @llvm.{name}.{suffix}({kind})\n" for name in _INTRINSICS
    for kind, suffix in (("float", "f32"), ("double", "f64"))
) + """!0 = distinct !{!0, !2}
!1 = distinct !{}
!2 = !{!"llvm.loop.parallel_accesses", !1}
"""  # fmt: skip

_NUMPY = {"float": np.float32, "double": np.float64}


class Unwritable(Exception):
    """A call that no instructions are there for."""


class Constant:
    """A number of a call."""

    def __init__(self, value: Any) -> None:
        """Take a real number; raise Unwritable for another."""
        if isinstance(value, complex | np.complexfloating):
            raise Unwritable("a complex number")
        self.value = float(value)


class Writer:
    """Instructions in order, each with a name of its own. `type` is what the present op computes in."""

    def __init__(self) -> None:
        """Start with none."""
        self.lines: list[str] = []
        self.type = "float"
        self._count = 0

    def new(self, text: str) -> str:
        """Add an instruction and return the name of its result."""
        self._count += 1
        self.lines.append(f"%t{self._count} = {text}")
        return f"%t{self._count}"

    def text(self, operand: str | Constant) -> str:
        """Return an operand as LLVM writes it; numbers are rounded to the type, and written as the bits of a double."""
        if isinstance(operand, str):
            return operand
        with np.errstate(over="ignore"):
            rounded: Any = _NUMPY[self.type](operand.value)
        return "0x" + struct.pack(">d", float(rounded)).hex()

    def two(self, name: str, first: Any, second: Any) -> str:
        """Write an instruction of two operands of the present type."""
        return self.new(f"{name} {self.type} {self.text(first)}, {self.text(second)}")

    def function(self, name: str, operand: Any) -> str:
        """Call an intrinsic function of one operand."""
        suffix = "f32" if self.type == "float" else "f64"
        return self.new(f"call {self.type} @llvm.{name}.{suffix}({self.type} {self.text(operand)})")

    def choose(self, condition: str, first: Any, second: Any) -> str:
        """Return the first operand where the condition holds, else the second."""
        return self.new(f"select i1 {condition}, {self.type} {self.text(first)}, {self.type} {self.text(second)}")

    def extreme(self, comparison: str, first: Any, second: Any) -> str:
        """Return numpy's maximum (ogt) or minimum (olt): NaN wins, and of equals, such as 0 and -0, the second."""
        is_beyond, is_nan = self.two(f"fcmp {comparison}", first, second), self.two("fcmp uno", first, first)
        return self.choose(self.new(f"or i1 {is_beyond}, {is_nan}"), first, second)


Instruction = Callable[..., str]
ZERO, ONE = Constant(0), Constant(1)


def _named(name: str) -> Instruction:
    return lambda w, first, second: w.two(name, first, second)


def _intrinsic(name: str) -> Instruction:
    return lambda w, self: w.function(name, self)


def _maximum(w: Writer, self: Any, other: Any) -> str:
    return w.extreme("ogt", self, other)


def _minimum(w: Writer, self: Any, other: Any) -> str:
    return w.extreme("olt", self, other)


def _clamp(w: Writer, self: Any, low: Any, high: Any) -> str:
    raised = self if low is None else _maximum(w, self, low)
    return raised if high is None else _minimum(w, raised, high)


def _sum(sign: int) -> Instruction:
    def write(w: Writer, self: Any, other: Any, alpha: Constant) -> str:
        if alpha.value == 1:
            return w.two("fadd" if sign > 0 else "fsub", self, other)
        return w.two("fadd", self, w.two("fmul", other, Constant(sign * alpha.value)))

    return write


def _addition(operation: str) -> Instruction:
    def write(w: Writer, self: Any, first: Any, second: Any, value: Constant) -> str:
        scaled = first if value.value == 1 else w.two("fmul", first, value)
        return w.two("fadd", self, w.two(operation, scaled, second))

    return write


def _power(w: Writer, self: Any, exponent: Constant) -> str:
    """Write the powers that the kernel has by cheaper means."""
    wanted = exponent.value
    if wanted in (2, 3, -2):
        square = w.two("fmul", self, self)
        return square if wanted == 2 else w.two("fmul", square, self) if wanted == 3 else w.two("fdiv", ONE, square)
    if wanted in (0.5, -0.5):
        root = w.function("sqrt", self)
        return root if wanted > 0 else w.two("fdiv", ONE, root)
    if wanted == -1:
        return w.two("fdiv", ONE, self)
    raise Unwritable(f"pow {wanted}")


def _rsqrt(w: Writer, self: Any) -> str:
    return w.two("fdiv", ONE, w.function("sqrt", self))


def _threshold_backward(w: Writer, grad: Any, self: Any, threshold: Any) -> str:
    return w.choose(w.two("fcmp ole", self, threshold), ZERO, grad)


def _leaky_relu(w: Writer, self: Any, slope: Any) -> str:
    return w.two("fadd", _maximum(w, self, ZERO), w.two("fmul", _minimum(w, self, ZERO), slope))


def _leaky_relu_backward(w: Writer, grad: Any, self: Any, slope: Any, self_is_result: bool) -> str:
    return w.choose(w.two("fcmp ogt", self, ZERO), grad, w.two("fmul", grad, slope))


def _tanh_backward(w: Writer, grad: Any, output: Any) -> str:
    return w.two("fmul", grad, w.two("fsub", ONE, w.two("fmul", output, output)))


def _sigmoid_backward(w: Writer, grad: Any, output: Any) -> str:
    return w.two("fmul", grad, w.two("fmul", w.two("fsub", ONE, output), output))


INSTRUCTIONS: dict[str, Instruction] = {
    "neg": lambda w, self: w.new(f"fneg {w.type} {w.text(self)}"),
    "abs": _intrinsic("fabs"), "sqrt": _intrinsic("sqrt"), "floor": _intrinsic("floor"), "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"), "rsqrt": _rsqrt, "reciprocal": lambda w, self: w.two("fdiv", ONE, self),
    "relu": lambda w, self: _maximum(w, self, ZERO), "maximum": _maximum, "minimum": _minimum, "hardtanh": _clamp,
    "clamp": _clamp, "clamp.Tensor": _clamp, "clamp_min": _maximum, "clamp_min.Tensor": _maximum, "clamp_max": _minimum,
    "clamp_max.Tensor": _minimum, "pow.Tensor_Scalar": _power, "addcmul": _addition("fmul"), "addcdiv": _addition("fdiv"),
    "threshold_backward": _threshold_backward, "leaky_relu": _leaky_relu, "leaky_relu_backward": _leaky_relu_backward,
    "tanh_backward": _tanh_backward, "sigmoid_backward": _sigmoid_backward,
    "isnan": lambda w, self: w.two("fcmp uno", self, self),
}  # fmt: skip
for _overload in ("Tensor", "Scalar"):
    INSTRUCTIONS |= {
        f"add.{_overload}": _sum(1), f"sub.{_overload}": _sum(-1), f"mul.{_overload}": _named("fmul"),
        f"div.{_overload}": _named("fdiv"),
    }  # fmt: skip
    INSTRUCTIONS |= {
        f"{_name}.{_overload}": _named(f"fcmp {_comparison}")
        for _name, _comparison in (
            ("eq", "oeq"), ("ne", "une"), ("lt", "olt"), ("le", "ole"), ("gt", "ogt"), ("ge", "oge"),
        )
    }  # fmt: skip
for _overload in ("self", "ScalarOther", "ScalarSelf"):
    INSTRUCTIONS[f"where.{_overload}"] = lambda w, condition, self, other: w.choose(condition, self, other)
