"""`torch.onnx.symbolic_*`, `torch.onnx.operators`: how ops would be exported. Nothing is, so it is only taken note of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["parse_args"]

F = TypeVar("F")


def parse_args(*arg_descriptors: str) -> Callable[[F], F]:
    """Return a decorator that returns the function: a description for an exporter."""
    return lambda function: function
