"""What the autograd tests look at, in words that are the same for gradwire and PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["graph", "names", "refusal"]


def refusal(action: Callable[[], Any]) -> str:
    """Return the class and the message of the error that `action` raises."""
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return "nothing was raised"


def names(tensor: Any) -> list[str]:
    """Return the names of the nodes that lead from `tensor` along first inputs."""
    found, node = [], tensor.grad_fn
    while node is not None:
        found.append(type(node).__name__)
        node = node.next_functions[0][0] if node.next_functions else None
    return found


def graph(node: Any) -> Any:
    """Return a node as (name, inputs), each input as (node, output number), all the way down."""
    if node is None:
        return None
    return type(node).__name__, [(graph(target), number) for target, number in node.next_functions]
