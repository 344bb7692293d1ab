"""Kernels and gradient rules: two tables keyed by op name, filled by `gradwire_server.ops` and checked at import.

A kernel is written once over `xp`: `kernel(xp, *arguments)` with arrays, statics and numbers in schema order; with a
keyword `result` it is also given the inferred meta (a tuple of them where there are several). A pointwise kernel takes
`out=` (None, or an array to write). A kernel never writes to an input that its schema does not declare written.
A gradient rule is written in PyTorch's method names on differentiable arrays: `rule(g, call)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.registry import OPS, Op
from gradwire_server.blocks import blockwise

__all__ = [
    "GRADIENTS", "KERNELS", "Kernel", "Rule", "gradient", "joint_gradient", "kernel", "kernel_for", "pointwise",
    "speaks_complex",
]  # fmt: skip

Rule = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A registered kernel. `compares`: inputs are promoted among themselves, since the result is bool.

    `ufunc` is the name in `xp` of a kernel that is one ufunc. `takes_out`: it writes its one result where `out=` says.
    """

    function: Callable[..., Any]
    is_pointwise: bool
    ufunc: str
    compares: bool
    wants_result: bool
    takes_out: bool


@dataclass(slots=True)
class Gradient:
    """The gradient of an op: a rule per argument, or one rule that returns a mapping of all that are needed."""

    rules: Mapping[str, Rule]
    joint: Callable[[Any, Any], Mapping[str, Any]] | None
    speaks_complex: bool = False


KERNELS: dict[str, Kernel] = {}
GRADIENTS: dict[str, Gradient] = {}
_BACKEND_KERNELS: dict[tuple[str, str], Kernel] = {}


def _op(name: str) -> Op:
    found = OPS.get(name)
    if found is None:
        raise ValueError(f"a rule must name a declared op; got {name!r}")
    return found


def _make(function: Callable[..., Any], is_pointwise: bool, compares: bool, ufunc: str = "") -> Kernel:
    parameters = inspect.signature(function).parameters
    return Kernel(function, is_pointwise, ufunc, compares, "result" in parameters, is_pointwise or "out" in parameters)


def kernel(*names: str, backend: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a kernel for the named ops; with `backend`, one that stands in for the common kernel there."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            _add(_op(name), _make(function, False, False), backend)
        return function

    return register


def _add(op: Op, made: Kernel, backend: str | None) -> None:
    if backend is not None:
        if (op.name, backend) in _BACKEND_KERNELS:
            raise ValueError(f"{op.name} has two kernels for backend {backend}")
        _BACKEND_KERNELS[op.name, backend] = made
        return
    if op.name in KERNELS:
        raise ValueError(f"{op.name} has two kernels")
    KERNELS[op.name] = made


def pointwise(name: str, function: Callable[..., Any] | str, *, compares: bool = False) -> None:
    """Register a pointwise kernel: a ufunc's name in `xp`, or `function(xp, *arrays_and_numbers, out=None)`."""
    op = _op(name)
    if not op.is_pointwise:
        raise ValueError(f"{name} must be declared with pointwise=True to have a pointwise kernel")
    ufunc = function if isinstance(function, str) else ""
    _add(op, _make(_ufunc(function) if isinstance(function, str) else blockwise(function), True, compares, ufunc), None)


def _ufunc(name: str) -> Callable[..., Any]:
    def call(xp: Any, *arguments: Any, out: Any = None) -> Any:
        return getattr(xp, name)(*arguments, out=out)

    return call


def kernel_for(op: Op, backend: str) -> Kernel | None:
    """Return the kernel that runs `op` on a backend; an in-place op without one falls back to its functional form."""
    found = _BACKEND_KERNELS.get((op.name, backend)) or KERNELS.get(op.name)
    if found is None and op.functional is not None:
        return kernel_for(op.functional, backend)
    return found


def gradient(name: str, **rules: Rule) -> None:
    """Register the gradient of an op: for each differentiable argument, `rule(g, call)`.

    `g` is the gradient of the first output. A rule returns None for no gradient, and a tuple for a tensor list. Sums
    over broadcast axes and casts to the argument's dtype are made by the engine, never by a rule.
    """
    _register(name, Gradient(rules, None), set(rules))


def joint_gradient(name: str) -> Callable[[Callable[[Any, Any], Mapping[str, Any]]], Callable[..., Any]]:
    """Register one rule that returns all gradients by argument name; for ops whose gradients share their work."""

    def register(function: Callable[[Any, Any], Mapping[str, Any]]) -> Callable[..., Any]:
        _register(name, Gradient({}, function), set(_op(name).differentiable))
        return function

    return register


def speaks_complex(*names: str) -> None:
    """Say that the rules of these ops hold for complex numbers as they are written.

    All others are written as for real numbers, g * f'(x). PyTorch's gradient of a holomorphic f is g * conj(f'(x)), which
    is conj(rule(conj(g))): the engine makes that of them. What is not holomorphic (abs, real, a norm) needs its own rule.
    """
    for name in names:
        GRADIENTS[name].speaks_complex = True


def _register(name: str, made: Gradient, given: set[str]) -> None:
    declared = set(_op(name).differentiable)
    if given != declared:
        raise ValueError(
            f"{name}: rules must cover just the arguments that the contract declares differentiable; declared "
            f"{sorted(declared)}, got {sorted(given)}"
        )
    if name in GRADIENTS:
        raise ValueError(f"{name} has two gradients")
    GRADIENTS[name] = made


def gradient_for(op: Op) -> Gradient:
    """Return the gradient of an op; an in-place op has its functional form's."""
    return GRADIENTS[op.functional.name if op.functional is not None else op.name]
