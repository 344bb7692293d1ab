"""`Level`: a function's derivative inside of whatever else is being differentiated.

A level gives the function tensors of its own, so that its gradients are told apart from those of any level around it, and
lets out only what some tensor outside of it still depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradwire.autograd.engine import grad
from gradwire.autograd.grad_mode import enable_grad, is_grad_enabled, set_grad_enabled
from gradwire_protocol.planning import leaves, reach
from gradwire_protocol.tape import Variable, gradient_edge

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = ["Level", "Pushforward", "gradients"]


class Level:
    """The tensors that one derivative is taken by."""

    def __init__(self) -> None:
        """Note whether what surrounds the level records."""
        self.is_recorded = is_grad_enabled()
        # The leaves themselves, since an id alone may be another tensor's one day.
        self.own: list[Tensor] = []

    def fresh(self, tensor: Any) -> Any:
        """Return a tensor of this level on the memory of `tensor`; the levels around still reach the latter."""
        if self.is_recorded and tensor.requires_grad:
            return tensor.view_as(tensor)
        leaf = tensor.detach().requires_grad_()
        self.own.append(leaf)
        return leaf

    def variable(self, like: Any) -> Any:
        """Return zeros of this level, which something is to be linear in."""
        leaf = like.detach().zeros_like().requires_grad_()
        self.own.append(leaf)
        return leaf

    def _reached(self, tensors: Sequence[Any]) -> tuple[bool, bool]:
        """Return whether any of `tensors` depends on a leaf of this level, and on one outside of it."""
        edges = [edge for tensor in tensors if tensor is not None and (edge := gradient_edge(tensor)) is not None]
        own = {id(leaf) for leaf in self.own}
        found = [id(leaf) in own for leaf in leaves(reach(edges)[1]) if leaf.leaf_requires_grad]
        return True in found, False in found

    def is_open(self, tensors: Sequence[Any]) -> bool:
        """Return whether any of `tensors` depends on a tensor outside of this level that requires grad."""
        return self._reached(tensors)[1]

    def let_out(self, value: Any) -> Any:
        """Return what the user gets: a tensor without a graph if only this level would use it."""
        if not isinstance(value, Variable):
            return value
        is_own, is_open = self._reached([value])
        return value.detach() if is_own and not (is_open and self.is_recorded) else value  # type: ignore[attr-defined]


def gradients(
    outputs: Sequence[Any],
    inputs: Sequence[Any],
    seeds: Sequence[Any] | None = None,
    *,
    create_graph: bool,
    retain: bool,
) -> tuple[Any, ...]:
    """Return `grad` of those outputs that have one; None for an input that none leads to."""
    pairs = [
        (output, None if seeds is None else seeds[index])
        for index, output in enumerate(outputs)
        if output is not None and output.requires_grad
    ]
    if not pairs:
        return (None,) * len(inputs)
    return grad(
        [output for output, _ in pairs], inputs, [seed for _, seed in pairs],
        retain_graph=retain or create_graph, create_graph=create_graph, allow_unused=True,
    )  # fmt: skip


class Pushforward:
    """The product of the Jacobian of `outputs` by `inputs` with any tangents.

    The product with a vector from the left is linear in that vector; its gradient by the vector is the product from the
    right. Making one waits once, for the graph of the former.
    """

    def __init__(self, level: Level, outputs: Sequence[Any], inputs: Sequence[Any]) -> None:
        """Prepare it; nothing of `outputs` is freed."""
        self.level = level
        is_smooth = [output.requires_grad for output in outputs]
        self._variables = [level.variable(output) for output, flag in zip(outputs, is_smooth, strict=True) if flag]
        self._places = [index for index, flag in enumerate(is_smooth) if flag]
        self._size = len(is_smooth)
        with enable_grad():
            chosen = [outputs[index] for index in self._places]
            self._pulled = gradients(chosen, inputs, self._variables, create_graph=True, retain=True)

    def __call__(self, tangents: Sequence[Any]) -> list[Any]:
        """Return the tangent of each output, None where it depends on no input. May be called again."""
        if not self._variables:
            return [None] * self._size
        is_open = is_grad_enabled() and self.level.is_open([*self._pulled, *tangents])
        with set_grad_enabled(is_open):
            found = gradients(self._pulled, self._variables, tangents, create_graph=is_open, retain=True)
        made: list[Any] = [None] * self._size
        for index, tangent in zip(self._places, found, strict=True):
            made[index] = None if tangent is None else self.level.let_out(tangent)
        return made
