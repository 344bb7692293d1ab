"""What a user sees of the graph: `grad_fn` objects, `next_functions`, `_saved_*`.

The outline is local. A `GradFn` also pins its node on the worker (a handle, no wait), so that holding one keeps the graph
behind it alive, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from gradwire.autograd.function import FunctionNode
from gradwire.autograd.graph_hooks import (
    GradientEdge,
    get_gradient_edge,
    increment_version,
    register_multi_grad_hook,
)
from gradwire.autograd.node_hooks import hooks_of_node, made_for_leaf
from gradwire.autograd.saved_tensors import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks
from gradwire.autograd.saved_values import SavedTensor, saved_tensor
from gradwire.removable_handle import RemovableHandle
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import differentiable_mask
from gradwire_protocol.tape import CopySlices, Edge, Kept, gradient_edge
from gradwire_protocol.tape import Node as TapeNode

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "AccumulateGrad", "GradFn", "GradientEdge", "Node", "SavedTensor", "disable_saved_tensors_hooks", "get_gradient_edge",
    "grad_fn_of", "increment_version", "is_differentiable", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks",
]  # fmt: skip

# PyTorch has no `Scalar` form of these: it makes a tensor of the number, which counts as an input without a gradient.
_NUMBER_AS_TENSOR = frozenset(f"{name}{form}.Scalar" for name in ("add", "sub", "mul", "div") for form in ("", "_"))

_wrappers: WeakValueDictionary[int, Any] = WeakValueDictionary()
_classes: dict[str, type] = {}


class GradFn:
    """A graph node as the user sees it."""

    def __init__(self, node: TapeNode, pin: Tensor) -> None:
        """Show `node`, kept alive on the worker by the handle of `pin`."""
        self._node = node
        self._pin = pin

    def name(self) -> str:
        """Return the node's name, such as `MulBackward0`."""
        return "torch::autograd::CopySlices" if isinstance(self._node, CopySlices) else self._node.name

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Return (node, output number) of each differentiable input; (None, 0) where no gradient is needed."""
        node, pairs = self._node, []
        for index, edge in enumerate(node.edges):
            if edge is not None:
                pairs.append((_follow(self, index, edge), edge.output_nr))
            elif is_differentiable(node, index):
                pairs.append((None, 0))
        signature = _call_of(node)
        if signature is not None and signature.op.name in _NUMBER_AS_TENSOR:
            pairs.append((None, 0))
        return tuple(pairs)

    def __repr__(self) -> str:
        return f"<{self._node.name} object at {id(self):#x}>"

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(grad_inputs, grad_outputs)` after the node ran; what it returns replaces `grad_inputs`."""
        return RemovableHandle.register(hooks_of_node(self._node).after, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(grad_outputs)` before the node runs; what it returns replaces them."""
        return RemovableHandle.register(hooks_of_node(self._node).before, hook)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_saved_"):
            return _saved(self, attribute.removeprefix("_saved_"))
        if attribute.startswith("_raw_saved_"):
            return _raw_saved(self, attribute.removeprefix("_raw_saved_"))
        if isinstance(self._node, FunctionNode):
            return getattr(self._node.ctx, attribute)
        raise AttributeError(f"'{self._node.name}' object has no attribute '{attribute}'")


# PyTorch's name of the class, for `isinstance`.
Node = GradFn


class AccumulateGrad(GradFn):
    """The end of the graph at a leaf: where its gradient is added up."""

    def __init__(self, variable: Tensor) -> None:
        """Show the leaf `variable`."""
        self.variable = variable

    def name(self) -> str:
        """Return PyTorch's name."""
        return "torch::autograd::AccumulateGrad"

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook((), grad_outputs)` after the gradient was added up."""
        return RemovableHandle.register(made_for_leaf(self.variable).after, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(grad_outputs)` before the gradient is added up; what it returns replaces it."""
        return RemovableHandle.register(made_for_leaf(self.variable).before, hook)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Return nothing: the graph ends here."""
        return ()

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"


def _call_of(node: TapeNode) -> Any:
    """Return the signature of the recorded call, None for a node that the worker made."""
    return node.function.signature if isinstance(node, CopySlices) else node.signature


def is_differentiable(node: TapeNode, index: int) -> bool:
    """Return whether a call's input is one that its op has a gradient for, such as not the index of `gather`."""
    signature = _call_of(node)
    return signature is None or bool(differentiable_mask(signature.op, signature.lengths) >> index & 1)


def _class_of(node: TapeNode) -> type:
    name = node.name
    found = _classes.get(name)
    if found is None:
        found = _classes[name] = type(name, (GradFn,), {"__module__": "gradwire.autograd.graph"})
    return found


def _wrapper(target: TapeNode | Tensor, pin: Any) -> Any:
    """Return the one object that stands for a node while anybody holds it."""
    found = _wrappers.get(id(target))
    if found is None:
        found = _class_of(target)(target, pin()) if isinstance(target, TapeNode) else AccumulateGrad(target)
        _wrappers[id(target)] = found
    return found


def grad_fn_of(tensor: Tensor) -> Any:
    """Return the node of a tensor, None for a leaf."""
    from gradwire.tensor import call

    edge = gradient_edge(tensor)
    if edge is None or not isinstance(edge.target, TapeNode):
        return None
    return _wrapper(edge.target, lambda: call(OPS["gw::grad_fn"], tensor, session=tensor.session))


def _follow(parent: GradFn, index: int, edge: Edge) -> Any:
    from gradwire.tensor import call

    def pin() -> Any:
        if parent._node.is_border:
            anchor, *_ = parent._node.anchors  # type: ignore[attr-defined]
            return call(OPS["gw::grad_fn"], anchor, session=anchor.session)
        return call(OPS["gw::next_function"], parent._pin, index, session=parent._pin.session)

    return _wrapper(edge.target, pin)  # type: ignore[arg-type]


def _saved(wrapper: GradFn, name: str) -> Any:
    node = wrapper._node
    kept = _kept(node, name)
    if type(kept) is Kept:
        return saved_tensor(wrapper._pin, node, name, kept, 0)
    if kept is not None:
        return tuple(saved_tensor(wrapper._pin, node, name, item, index) for index, item in enumerate(kept))
    return _saved_number(node, name)


def _kept(node: TapeNode, name: str) -> Any:
    if isinstance(node, CopySlices):
        raise _no_attribute(node, name)
    if node.freed and node.signature is not None and name in node.signature.kept:
        node.check()
    return node.kept.get(name)


def _raw_saved(wrapper: GradFn, name: str) -> Any:
    """Return what stands for saved tensors without unpacking them."""
    node = wrapper._node
    argument = _argument(node, name)
    if argument is None and not name.startswith("result"):
        raise _no_attribute(node, name, "_raw_saved_")
    kept = None if isinstance(node, CopySlices) else node.kept.get(name)
    if kept is None or type(kept) is Kept:
        return SavedTensor(wrapper._pin, node, name, 0)
    return tuple(SavedTensor(wrapper._pin, node, name, index) for index in range(len(kept)))


def _saved_number(node: TapeNode, name: str) -> Any:
    argument = _argument(node, name)
    if argument is None or argument.type.startswith("Tensor"):
        raise _no_attribute(node, name)
    signature = node.signature
    values = signature.op.arrange(signature.metas, signature.statics, node.scalars, signature.lengths)
    return values[signature.op.positions[name]]


def _argument(node: TapeNode, name: str) -> Any:
    """Return the declaration of an argument of the recorded call, None if it has none of that name."""
    signature = _call_of(node)
    if signature is None or name not in signature.op.positions:
        return None
    return signature.op.arguments[signature.op.positions[name]]


def _no_attribute(node: TapeNode, name: str, prefix: str = "_saved_") -> AttributeError:
    return AttributeError(f"'{node.name}' object has no attribute '{prefix}{name}'")
