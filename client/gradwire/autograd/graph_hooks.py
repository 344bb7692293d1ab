"""`torch.autograd.graph`, what is not a node: gradient edges, and hooks of several tensors."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from gradwire.autograd.grad_mode import no_grad
from gradwire.removable_handle import RemovableHandle
from gradwire_protocol.tape import Node, Variable, gradient_edge

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "GradientEdge", "get_gradient_edge", "increment_version", "register_multi_grad_hook", "running",
]  # fmt: skip


class GradientEdge(NamedTuple):
    """Where a tensor's gradient goes, in place of the tensor in `grad` and `backward`."""

    node: Any
    output_nr: int
    ownership_token: Any = None  # the tensor: the worker knows the edge by it


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Return where the gradient of `tensor` goes. Holding the edge holds the tensor."""
    from gradwire.autograd.graph import AccumulateGrad

    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    node = tensor.grad_fn
    return GradientEdge(AccumulateGrad(tensor) if node is None else node, tensor.output_nr, tensor)


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Count a change in place of each tensor, one that autograd did not see. Rewrites its values with themselves."""
    for item in (tensor,) if isinstance(tensor, Variable) else tensor:
        if item.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        with no_grad():
            alias = item.detach()
            alias.copy_(alias.clone())


# ------------------------------------------------------------ hooks of several tensors
class _Running(threading.local):
    """The backward that hooks run in: what it visits."""

    task: _Task | None = None


class _Task:
    def __init__(self, nodes: Sequence[Node], inputs: Sequence[Any]) -> None:
        self._visited = {id(node) for node in nodes} | {id(tensor) for tensor in inputs}

    def visits(self, tensor: Any) -> bool:
        """Return whether a gradient will come to `tensor`."""
        edge = gradient_edge(tensor)
        return edge is not None and id(edge.target) in self._visited


_running = _Running()


@contextmanager
def running(nodes: Sequence[Node], inputs: Sequence[Any]) -> Iterator[None]:
    """Say which backward hooks run in: one through `nodes`, which gives the gradients of `inputs`."""
    previous, _running.task = _running.task, _Task(nodes, inputs)
    try:
        yield
    finally:
        _running.task = previous


class _Handles(RemovableHandle):
    """Several handles as one."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Take all the hooks away."""
        for handle in self.handles:
            handle.remove()


class _Once:
    """Calls a function with the first gradient of each backward."""

    def __init__(self, function: Callable[[Any], None]) -> None:
        self._function = function
        self._seen: _Task | None = None

    def __call__(self, gradient: Any) -> None:
        if self._seen is not _running.task:
            self._seen = _running.task
            self._function(gradient)


class _Together:
    """Calls a function with the gradients of several tensors, once all that a backward gives have come."""

    def __init__(self, tensors: Sequence[Any], function: Callable[[Sequence[Any]], None]) -> None:
        self._tensors, self._function = tensors, function
        self._seen: _Task | None = None
        self._missing = 0
        self._found: list[Any] = []

    def receive(self, index: int, gradient: Any) -> None:
        """Take the gradient of one tensor."""
        task = _running.task
        assert task is not None
        if self._seen is not task:
            self._seen, self._found = task, [None] * len(self._tensors)
            self._missing = sum(map(task.visits, self._tensors))
        self._found[index] = gradient
        self._missing -= 1
        if self._missing == 0:
            self._function(self._found)


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all"
) -> RemovableHandle:
    """Call `fn` once in each backward: with a list of all the tensors' gradients, None for one that it does not reach.

    With `mode="any"`, with the first gradient that comes to any of them.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    if mode == "any":
        hook = functools.wraps(fn)(_Once(fn))
        return _Handles([tensor.register_hook(hook) for tensor in tensors if tensor.requires_grad])
    together = _Together(list(tensors), fn)
    return _Handles(
        [
            tensor.register_hook(functools.wraps(fn)(functools.partial(together.receive, index)))
            for index, tensor in enumerate(tensors)
        ]
    )
