"""Hooks of tensors and graph nodes. They run on the client, with real gradients, between two parts of a backward."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradwire.removable_handle import RemovableHandle
from gradwire_protocol.tape import Node

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "LeafHooks",
    "NodeHooks",
    "SavedOnClient",
    "hooks_of_leaf",
    "hooks_of_node",
    "made_for_leaf",
    "register_tensor_hook",
    "replaced",
]

Hook = Callable[..., Any]
Gradients = Sequence[Any]


class SavedOnClient:
    """What a node keeps, where that is not on the worker."""

    __slots__ = ()

    def restore(self, node: Node) -> None:
        """Bring it to the worker, before the node runs."""
        raise NotImplementedError

    def drop(self, node: Node) -> None:
        """Let the worker forget it, after the node ran."""
        raise NotImplementedError


class NodeHooks:
    """What runs around a node: per output on its gradient, then before the node, then after it."""

    __slots__ = ("__weakref__", "after", "before", "outputs", "saved")

    def __init__(self) -> None:
        """Start with none."""
        self.outputs: dict[int, OrderedDict[int, Hook]] = {}
        self.before: OrderedDict[int, Hook] = OrderedDict()
        self.after: OrderedDict[int, Hook] = OrderedDict()
        self.saved: SavedOnClient | None = None

    def on_outputs(self, grads: Gradients) -> list[Any]:
        """Pass the gradients that arrived through the tensors' hooks, then through those before the node."""
        changed = list(grads)
        for output, hooks in self.outputs.items():
            if changed[output] is not None:
                changed[output] = replaced(hooks, changed[output])
        for hook in list(self.before.values()):
            found = hook(tuple(changed))
            if found is not None:
                changed = list(found) if isinstance(found, tuple | list) else [found]
        return changed

    def on_inputs(self, grads: Gradients, outputs: Gradients) -> list[Any]:
        """Pass the gradients that the node made through the hooks after it."""
        changed = list(grads)
        for hook in list(self.after.values()):
            found = hook(tuple(changed), tuple(outputs))
            if found is not None:
                changed = list(found) if isinstance(found, tuple | list) else [found]
        return changed


class LeafHooks:
    """What runs at a leaf: on its whole gradient, and after that was accumulated."""

    __slots__ = ("__weakref__", "accumulated", "after", "before", "gradient")

    def __init__(self) -> None:
        """Start with none."""
        self.gradient: OrderedDict[int, Hook] = OrderedDict()
        self.before: OrderedDict[int, Hook] = OrderedDict()
        self.after: OrderedDict[int, Hook] = OrderedDict()
        self.accumulated: OrderedDict[int, Hook] = OrderedDict()

    def on_gradient(self, gradient: Any) -> Any:
        """Pass the leaf's gradient through its hooks."""
        changed = replaced(self.gradient, gradient)
        for hook in list(self.before.values()):
            found = hook((changed,))
            if found is not None:
                changed = found[0] if isinstance(found, tuple | list) else found
        return changed

    def on_accumulated(self, leaf: Tensor, gradient: Tensor) -> None:
        """Run what waits for the gradient to be in `grad`."""
        for hook in list(self.after.values()):
            hook((), (gradient,))
        for hook in list(self.accumulated.values()):
            hook(leaf)


# By id, since == of tensors is elementwise; an entry goes with its leaf.
_leaves: dict[int, LeafHooks] = {}


def hooks_of_leaf(leaf: Any) -> LeafHooks | None:
    """Return the hooks of a leaf, None where it has none."""
    return _leaves.get(id(leaf))


def made_for_leaf(leaf: Any) -> LeafHooks:
    """Return the hooks of a leaf, to add to."""
    found = _leaves.get(id(leaf))
    if found is None:
        found = _leaves[id(leaf)] = LeafHooks()
        weakref.finalize(leaf, _leaves.pop, id(leaf), None).atexit = False
    return found


def hooks_of_node(node: Node) -> NodeHooks:
    """Return the hooks of a node, to add to."""
    if node.hooks is None:
        node.hooks = NodeHooks()
    hooks: NodeHooks = node.hooks
    return hooks


def replaced(hooks: OrderedDict[int, Hook], gradient: Any) -> Any:
    """Pass a gradient through hooks; raise what PyTorch raises for a replacement that does not fit."""
    for hook in list(hooks.values()):
        found = hook(gradient)
        if found is not None:
            _check_replacement(hook, gradient, found)
            gradient = found
    return gradient


def _check_replacement(hook: Hook, gradient: Any, found: Any) -> None:
    name = getattr(hook, "__name__", type(hook).__name__)
    if not hasattr(found, "meta"):
        raise TypeError(f"hook '{name}' has returned an incorrect type (got {type(found).__name__}, expected Tensor)")
    if found.meta.dtype is not gradient.meta.dtype:
        raise RuntimeError(f"hook '{name}' has changed the type of value (was {gradient.dtype} got {found.dtype})")
    if found.meta.shape != gradient.meta.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")


def register_tensor_hook(tensor: Any, hook: Hook) -> RemovableHandle:
    """Call `hook` with each gradient of a tensor; what it returns replaces that gradient."""
    if tensor.node is None:
        return RemovableHandle.register(made_for_leaf(tensor).gradient, hook)
    hooks = hooks_of_node(tensor.node).outputs.setdefault(tensor.output_nr, OrderedDict())
    return RemovableHandle.register(hooks, hook)
