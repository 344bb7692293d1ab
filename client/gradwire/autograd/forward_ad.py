"""`torch.autograd.forward_ad`: dual tensors, a value with a tangent, whose tangents are asked for later.

A dual tensor is a tensor that a gradient can be taken by; `unpack_dual` differentiates twice to push the tangents of all
duals forward (see `Pushforward`). So ops need no rules for it, and, unlike in PyTorch: a dual tensor requires grad inside of
its level; `no_grad` stops tangents as it stops gradients; a custom Function is differentiated by its `backward`.
"""

from __future__ import annotations

from contextlib import ContextDecorator
from types import TracebackType
from typing import Any, NamedTuple

from gradwire.autograd.grad_mode import enable_grad
from gradwire.autograd.grad_mode import state as grad_state
from gradwire.autograd.levels import Level, Pushforward
from gradwire_protocol.planning import reach
from gradwire_protocol.tape import Variable, gradient_edge

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """A value, and its tangent: None where it depends on no dual tensor."""

    primal: Any
    tangent: Any


class _DualLevel:
    """The dual tensors between entering and leaving a level."""

    def __init__(self) -> None:
        self.level = Level()
        self.duals: list[Any] = []
        self.tangents: list[Any] = []

    def depends(self, tensor: Any) -> bool:
        """Return whether `tensor` has a tangent here."""
        nodes, edges = reach([gradient_edge(tensor)])
        found = {id(node) for node in nodes} | {id(edge.target) for edge in edges if edge is not None}
        return any(dual is tensor or id(gradient_edge(dual).target) in found for dual in self.duals)  # type: ignore[union-attr]

    def tangent_of(self, tensor: Any) -> Any:
        """Return the tangent of a tensor that depends on some dual ones. Waits once."""
        for dual, tangent in zip(self.duals, self.tangents, strict=True):
            if dual is tensor:
                return tangent
        return Pushforward(self.level, [tensor], self.duals)(self.tangents)[0]


# For the whole process, as in PyTorch; levels do not nest, in PyTorch either.
_levels: list[_DualLevel] = []


def enter_dual_level() -> int:
    """Begin a level, and return its number, 0."""
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.append(_DualLevel())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level: its dual tensors lose their tangents."""
    if level is not None and level != len(_levels) - 1:
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    if not _levels:
        raise RuntimeError("Dual level must be a positive number.")
    for leaf in _levels.pop().level.own:
        leaf.requires_grad_(False)


def _check(tensor: Any, tangent: Any) -> None:
    for name, given in (("primal", tensor), ("tangent", tangent)):
        if not isinstance(given, Variable):
            raise TypeError(f"make_dual(): the {name} must be Tensor, not {type(given).__name__}")
        if not given.meta.dtype.is_differentiable:
            dtype = f"torch.{given.meta.dtype.name}"
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {dtype}")
    if tensor.meta.shape != tangent.meta.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
            f"supported. Tensor is of size {list(tensor.meta.shape)} while the given forward gradient is of size "
            f"{list(tangent.meta.shape)}."
        )


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """Return a tensor on the memory of `tensor` that has `tangent`, of the same shape, until the level ends."""
    if not _levels or (level is not None and level < 0):
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    current = _current(level)
    _check(tensor, tangent)
    if current.depends(tensor):
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not supported."
        )
    if current.depends(tangent):
        raise RuntimeError(
            "Setting a forward grad that itself has a forward gradient at the same level 0 is not supported."
        )
    with enable_grad():
        dual = current.level.fresh(tensor)
    current.duals.append(dual)
    current.tangents.append(tangent)
    return dual


def _current(level: int | None) -> _DualLevel:
    """Return the one level there can be, checked to be the one that is meant and able to record."""
    if level not in (None, 0):
        raise RuntimeError(f"Invalid level given: levels do not nest, so it is 0 or None; got {level}")
    if not grad_state.recording:
        raise RuntimeError(
            "forward mode AD needs calls to be recorded, and they are not inside of no_grad or inference_mode. Leave the "
            "block, or use func.jvp, which records by itself."
        )
    return _levels[-1]


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """Return the value of a tensor and the tangent that it has by those of the level's dual tensors. Waits once."""
    if not isinstance(tensor, Variable):
        raise TypeError(f"_unpack_dual(): argument 'dual' (position 1) must be Tensor, not {type(tensor).__name__}")
    if not _levels or (level is not None and level < 0):
        return UnpackedDualTensor(tensor, None)
    current = _current(level)
    tangent = current.tangent_of(tensor) if current.depends(tensor) else None
    return UnpackedDualTensor(current.level.let_out(tensor), tangent)


class dual_level(ContextDecorator):
    """The block, or the function, in which dual tensors have their tangents."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        exit_dual_level()
