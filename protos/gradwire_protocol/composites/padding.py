"""Composites of padding: the modes by name, and padding with the other end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_, Number, ints
from gradwire_protocol.dtypes import Category
from gradwire_protocol.ops.padding import pairs
from gradwire_protocol.ops.pointwise import overflow
from gradwire_protocol.registry import OPS

__all__ = ["PaddingComposites"]

_CONSTANT = OPS["constant_pad_nd"]
_EDGES = {"reflect": "reflection", "replicate": "replication"}
_MODES = ("constant", "reflect", "replicate", "circular")
# How many axes may be padded, by the length of `pad` and the axes of the input.
_SUPPORTED = {(2, 2): 1, (2, 3): 1, (4, 3): 2, (4, 4): 2, (6, 4): 3, (6, 5): 3}
_RANGES = {"uint8": (-255, 255), "int8": (-128, 127), "int16": (-(2**15), 2**15 - 1), "int32": (-(2**31), 2**31 - 1)}


def _check_stored(self: Any, value: Number) -> None:
    """Refuse a number that the dtype cannot hold, as the fill of PyTorch does."""
    dtype = self.meta.dtype
    low, high = _RANGES.get(dtype.name, (-(2**63), 2**63 - 1))
    if dtype.category is Category.INT and not isinstance(value, complex) and not low <= value <= high:
        raise overflow(dtype)


def _padded_dims(pad: Sequence[int], ndim: int) -> int:
    dims = _SUPPORTED.get((len(pad), ndim))
    if dims is None:
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    return dims


def _wrapped(self: Any, axis: int, before: int, after: int) -> Any:
    """Pad one axis with its own other end."""
    size = self.meta.shape[axis]
    if before > size or after > size:
        raise RuntimeError("Padding value causes wrapping around more than once.")
    if before + size + after < 0:
        raise RuntimeError("Negative padding value is resulting in an empty dimension")
    kept = self.narrow(axis, max(-before, 0), max(size + min(before, 0) + min(after, 0), 0))
    parts = [kept]
    if before > 0:
        parts.insert(0, self.narrow(axis, size - before + min(after, 0), before))
    if after > 0:
        parts.append(self.narrow(axis, max(-before, 0), after))
    return OPS["cat"](tuple(parts), axis)


class PaddingComposites(Callable_):
    """Padding by mode."""

    __slots__ = ()

    def constant_pad_nd(self, pad: Sequence[int], value: Number = 0) -> Self:
        """Pad with `value`: (before, after) per axis, the last axis first; negative sizes crop."""
        _check_stored(self, value)
        return self._call(_CONSTANT, (self,), (ints(pad),), (value,))  # type: ignore[no-any-return]

    def _pad(self, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Self:
        """Pad by `mode`: "constant" with `value`, or "reflect", "replicate" or "circular", which continue the input."""
        if len(pad) % 2:
            raise RuntimeError("Padding length must be divisible by 2")
        if len(pad) > 2 * self.meta.ndim and mode == "constant":
            raise RuntimeError(
                "Padding length should be less than or equal to two times the input dimension but got padding length "
                f"{len(pad)} and input of dimension {self.meta.ndim}"
            )
        if isinstance(value, complex):
            raise TypeError("pad(): argument 'value' (position 4) must be float, not complex")
        if mode not in _MODES:
            raise NotImplementedError(f"Unrecognised padding mode {mode}")
        if mode == "constant":
            return self.constant_pad_nd(pad, 0 if value is None else value)
        if value:
            raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
        dims = _padded_dims(pad, self.meta.ndim)
        if mode == "circular":
            return self._pad_circular(pad)
        return self._call(OPS[f"{_EDGES[mode]}_pad{dims}d"], (self,), (ints(pad),))  # type: ignore[no-any-return]

    def _pad_circular(self, pad: Sequence[int]) -> Self:
        """Pad each axis with its own other end, the last axis first."""
        me: Any = self
        found = me
        for index, (before, after) in enumerate(pairs(tuple(pad))):
            if before or after:
                found = _wrapped(found, -1 - index, before, after)
        return me.clone() if found is me else found  # type: ignore[no-any-return]
