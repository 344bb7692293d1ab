"""Creation of tensors by a rule for their numbers, or for their place in memory, beyond what `creation` has."""

from __future__ import annotations

import math
import warnings
from typing import Any

from gradwire.creation import endpoints, finish, zeros
from gradwire.shape_methods import strided_zeros
from gradwire.tensor import Tensor, call, expect_tensor, get_default_dtype
from gradwire_protocol.dtypes import DType
from gradwire_protocol.ops import OPS

__all__ = ["empty_permuted", "empty_strided", "logspace", "range", "resize_as_"]


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return `steps` numbers from base**start to base**end, with evenly spaced exponents. Waits for tensor ends."""
    first, last = endpoints("logspace", start, end, steps)
    made = call(OPS["gw::logspace"], steps, first, last, base, dtype or get_default_dtype())
    return finish(made, requires_grad, device)


def range(
    start: float = 0,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return start, start + step, ... up to and with `end`, as floats by default. Deprecated in PyTorch: use `arange`."""
    if end is None:
        raise TypeError('range() missing 1 required positional arguments: "end"')
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with "
        "Python's range builtin. Instead, use torch.arange, which produces values in [start, end).",
        stacklevel=2,
    )
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not math.isfinite(start) or not math.isfinite(end):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    dtype = dtype or get_default_dtype()
    length = math.floor((end - start) / step) + 1
    if not dtype.is_floating_point and not dtype.is_complex:
        start, step = int(start), int(step)
    return finish(call(OPS["gw::arange"], length, start, step, dtype), requires_grad, device)


def empty_strided(
    size: Any, stride: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return zeros with the given strides."""
    return finish(strided_zeros(zeros((), dtype=dtype), size, stride), requires_grad, device)


def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return zeros without gaps whose axes lie in memory in the order `physical_layout`, the outermost first."""
    size, order = tuple(size), tuple(physical_layout)
    if len(size) != len(order):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = "
            f"{len(size)} is not equal to len(physical_layout) = {len(order)}"
        )
    for index, dim in enumerate(order):
        if not 0 <= dim < len(size):
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {len(size) - 1}, but got {dim} at index {index}).  "
                "NB: negative dims not currently supported; file an issue if you want it."
            )
    if len(set(order)) < len(order):
        raise RuntimeError("Duplicate dim not allowed")
    made: Any = zeros([size[dim] for dim in order], dtype=dtype)
    return finish(made.permute([order.index(dim) for dim in sorted(order)]), requires_grad, device)


def resize_as_(input: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Any:
    """Call `input.resize_as_(the_template)`."""
    return expect_tensor("resize_as_", input).resize_as_(the_template, memory_format=memory_format)
