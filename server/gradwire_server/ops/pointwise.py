"""Kernels and gradients of `gradwire_protocol.ops.pointwise`."""

from __future__ import annotations

from typing import Any

from gradwire_server.rules import gradient, pointwise

Array = Any


def add(xp: Any, self: Array, other: Array, alpha: Any, out: Array | None = None) -> Array:
    """Compute self + alpha * other; the usual alpha of 1 costs nothing."""
    return xp.add(self, other if alpha == 1 else xp.multiply(other, alpha), out=out)


def sub(xp: Any, self: Array, other: Array, alpha: Any, out: Array | None = None) -> Array:
    """Compute self - alpha * other."""
    return xp.subtract(self, other if alpha == 1 else xp.multiply(other, alpha), out=out)


def sigmoid(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute 1 / (1 + exp(-self)) as (1 + tanh(self / 2)) / 2, which neither overflows nor branches."""
    result = xp.tanh(xp.multiply(self, 0.5), out=out)
    result = xp.add(result, 1, out=out)
    return xp.multiply(result, 0.5, out=out)


for _overload in ("Tensor", "Scalar"):
    pointwise(f"add.{_overload}", add)
    pointwise(f"sub.{_overload}", sub)
    pointwise(f"mul.{_overload}", "multiply")
for _name, _ufunc in (("exp", "exp"), ("sin", "sin"), ("cos", "cos"), ("tanh", "tanh"), ("log", "log"), ("neg", "negative")):
    pointwise(_name, _ufunc)
pointwise("sigmoid", sigmoid)

gradient("add.Tensor", self=lambda g, call: g, other=lambda g, call: g if call.alpha == 1 else g * call.alpha)
gradient("add.Scalar", self=lambda g, call: g)
gradient("sub.Tensor", self=lambda g, call: g, other=lambda g, call: g * -call.alpha)
gradient("sub.Scalar", self=lambda g, call: g)
gradient("mul.Tensor", self=lambda g, call: g * call.other, other=lambda g, call: g * call.self)
gradient("mul.Scalar", self=lambda g, call: g * call.other)
gradient("exp", self=lambda g, call: g * call.result)
gradient("log", self=lambda g, call: g / call.self)
gradient("sin", self=lambda g, call: g * call.self.cos())
gradient("cos", self=lambda g, call: -(g * call.self.sin()))
gradient("tanh", self=lambda g, call: g.tanh_backward(call.result))
gradient("sigmoid", self=lambda g, call: g.sigmoid_backward(call.result))
gradient("neg", self=lambda g, call: -g)
