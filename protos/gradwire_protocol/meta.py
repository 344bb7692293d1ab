"""The abstract value of a tensor: shape, dtype and strides, never its elements.

A `Meta` is interned: one object per kind of tensor, so that both sides compare by identity and a dispatch cache needs
no hashing of shapes. Results of ops that are not views are always C-contiguous; views have PyTorch's strides.
"""

from __future__ import annotations

import math
import threading
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from gradwire_protocol import limits
from gradwire_protocol.dtypes import DType

__all__ = ["Meta", "View", "contiguous_strides"]

Shape = tuple[int, ...]


def contiguous_strides(shape: Shape) -> Shape:
    """Return C-order strides in elements, with PyTorch's rule that an empty axis counts as one."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1)
    return tuple(strides)


class Meta:
    """Shape, dtype and strides (in elements) of a tensor; interned, so identity is equality."""

    __slots__ = ("__weakref__", "dtype", "encoded", "is_contiguous", "ndim", "numel", "shape", "strides")

    shape: Shape
    dtype: DType
    strides: Shape
    ndim: int
    numel: int
    is_contiguous: bool
    encoded: Any  # its message, which `codec` makes once; None before

    def __init__(self, shape: Shape, dtype: DType, strides: Shape) -> None:
        """Fill the fields; call `Meta.of` or `Meta.strided`, which intern."""
        self.shape = shape
        self.dtype = dtype
        self.strides = strides
        self.ndim = len(shape)
        self.numel = math.prod(shape)
        self.encoded = None
        self.is_contiguous = self.numel == 0 or all(
            size == 1 or stride == expected
            for size, stride, expected in zip(shape, strides, contiguous_strides(shape), strict=True)
        )

    @staticmethod
    def of(shape: Shape, dtype: DType) -> Meta:
        """Return the meta of a C-contiguous tensor; raise RuntimeError for a shape that no tensor has."""
        found = _CONTIGUOUS.get((shape, dtype))
        if found is None:
            _check(shape)
            found = _CONTIGUOUS[shape, dtype] = Meta.strided(shape, dtype, contiguous_strides(shape))
        return found

    @staticmethod
    def strided(shape: Shape, dtype: DType, strides: Shape) -> Meta:
        """Return the meta of a tensor with the given strides in elements; raise RuntimeError for a shape that none has."""
        key = (shape, dtype, strides)
        found = _INTERNED.get(key)
        if found is None:
            _check(shape)
            with _making:  # two threads must not both make one
                found = _INTERNED.setdefault(key, Meta(shape, dtype, strides))
        return found

    @property
    def nbytes(self) -> int:
        """Return the bytes of the elements, were they contiguous."""
        return self.numel * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"

    def __repr__(self) -> str:
        return f"Meta({self}, strides={self.strides})"


# Weak: a meta lives as long as a tensor, a signature or a graph has it. Else a client that sends ever new shapes would fill
# the worker's memory, whatever its quotas are.
_INTERNED: WeakValueDictionary[tuple[Shape, DType, Shape], Meta] = WeakValueDictionary()
_CONTIGUOUS: WeakValueDictionary[tuple[Shape, DType], Meta] = WeakValueDictionary()
_making = threading.Lock()


def _check(shape: Shape) -> None:
    """Refuse a shape before anything is computed of it: the products of a million axes would take hours."""
    if len(shape) > limits.MAX_NDIM:
        raise RuntimeError(f"a tensor may have {limits.MAX_NDIM} axes; the result has {len(shape)}")
    if shape and min(shape) < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")


class View(NamedTuple):
    """What a shape rule returns for a view: its meta, and its offset in elements from the viewed tensor's start."""

    meta: Meta
    offset: int = 0
