"""Tensor methods about shapes that the contract's composites cannot have: they wait for a value, or change a tensor in place."""

from __future__ import annotations

from typing import Any

from gradwire.memory import check_memory_format
from gradwire_protocol.dtypes import Category, DType, int64
from gradwire_protocol.meta import contiguous_strides
from gradwire_protocol.registry import torch_type_name
from gradwire_protocol.tape import Variable

__all__ = ["ShapeMethods", "strided_zeros"]


def _start(start: Any) -> Any:
    """Return where `narrow` begins; a tensor is waited for."""
    if not isinstance(start, Variable):
        return start
    if start.meta.ndim or start.meta.dtype.category is not Category.INT:
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    return int(start.item())  # type: ignore[attr-defined]


def _cuts(given: Any) -> Any:
    """Return what `tensor_split` cuts by; a tensor is waited for."""
    if not isinstance(given, Variable):
        return given
    if given.meta.dtype is not int64:
        raise RuntimeError(
            "tensor_split expected tensor_indices_or_sections to have dtype of long, but got "
            f"{torch_type_name(given.meta.dtype)}"
        )
    if given.meta.ndim > 1:
        raise RuntimeError(
            "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a "
            f"tensor with {given.meta.ndim} dims"
        )
    return given.tolist()  # type: ignore[attr-defined]


def strided_zeros(like: Any, size: Any, stride: Any) -> Any:
    """Return zeros of `like`'s dtype and session with the given strides; see `empty` for why zeros."""
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError(
            f"dimensionality of sizes ({len(size)}) must match dimensionality of strides ({len(stride)})"
        )
    if min((*size, *stride), default=0) < 0:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(size)} and strides={list(stride)}")
    reached = 0 if 0 in size else 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    return like.new_full((reached,), 0).as_strided(size, stride).detach()


class ShapeMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    def narrow(self: Any, dim: int, start: Any, length: int) -> Any:
        """Return `length` places of axis `dim` from `start` on. Waits if `start` is a tensor."""
        return super().narrow(dim, _start(start), length)  # type: ignore[misc]

    def narrow_copy(self: Any, dim: int, start: int, length: int) -> Any:
        """Return a copy of `narrow(dim, start, length)`."""
        if self.meta.ndim and dim >= self.meta.ndim:
            raise RuntimeError("Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false.")
        return super().narrow(dim, start, length).clone()  # type: ignore[misc]

    def tensor_split(
        self: Any, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None, sections: Any = None
    ) -> Any:
        """Return views of pieces of axis `dim`: so many of nearly one length, or cut before places. Waits for a tensor."""
        return super().tensor_split(_cuts(indices_or_sections), dim, indices=indices, sections=sections)  # type: ignore[misc]

    def new_empty_strided(
        self: Any,
        size: Any,
        stride: Any,
        *,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Any:
        """Return zeros in the given sizes and strides, in this dtype unless another is given."""
        made = strided_zeros(self.detach() if dtype is None else self.new_full((), 0, dtype=dtype), size, stride)
        return (made if device is None else made.to(device)).requires_grad_(requires_grad)

    def resize_(self: Any, *sizes: Any, memory_format: Any = None) -> Any:
        """Become a tensor of other sizes on the same memory, in C order.

        More elements than the tensor reaches are refused with RuntimeError: memory does not grow in place here.
        """
        size = tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
        if self.requires_grad:
            raise RuntimeError("cannot resize variables that require grad")
        check_memory_format("resize_", memory_format, len(size))
        if size == self.meta.shape:
            return self
        return self.as_strided_(size, contiguous_strides(size))

    def resize_as_(self: Any, other: Any, *, memory_format: Any = None) -> Any:
        """Do `resize_(other.shape)`."""
        return self.resize_(other.meta.shape, memory_format=memory_format)
