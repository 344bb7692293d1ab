"""`torch.hann_window` and its kin: the older windows, which are periodic unless told otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradwire.creation import arange, empty, ones
from gradwire.memory import strided
from gradwire.tensor import get_default_dtype
from gradwire_protocol.dtypes import DType

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"]


def _window(
    name: str, window_length: int, periodic: bool, options: dict[str, Any], make: Callable[[Any, int], Any]
) -> Any:
    """Make a window of `window_length` numbers from its places and its period."""
    dtype, layout = options.pop("dtype") or get_default_dtype(), options.pop("layout")
    requires_grad = options.pop("requires_grad")
    if not isinstance(window_length, int):
        raise TypeError(
            f"{name}(): argument 'window_length' (position 1) must be int, not {type(window_length).__name__}"
        )
    if layout not in (None, strided):
        raise RuntimeError(f"{name} is not implemented for sparse types, got: {layout}")
    if not dtype.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
    if window_length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={window_length}")
    if window_length < 2:
        found = (ones if window_length else empty)(window_length, dtype=dtype, **options)
    else:
        places: Any = arange(window_length, dtype=dtype, **options)
        found = make(places, window_length - (not periodic))
    return found.requires_grad_(requires_grad)


def _options(dtype: DType | None, layout: Any, device: Any, requires_grad: bool) -> dict[str, Any]:
    return {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}


def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Return 0.5 - 0.5 * cos(2 pi n / period)."""
    options = _options(dtype, layout, device, requires_grad)
    return _window("hann_window", window_length, periodic, options, lambda n, period: _cosines(n, period, 0.5, 0.5))


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Return alpha - beta * cos(2 pi n / period)."""
    options = _options(dtype, layout, device, requires_grad)
    return _window(
        "hamming_window", window_length, periodic, options, lambda n, period: _cosines(n, period, alpha, beta)
    )


def _cosines(n: Any, period: int, alpha: float, beta: float) -> Any:
    return n.mul(math.pi * 2 / period).cos().mul(-beta).add(alpha)


def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Return 0.42 - 0.5 * cos(2 pi n / period) + 0.08 * cos(4 pi n / period)."""

    def make(n: Any, period: int) -> Any:
        angle = n.mul(math.pi / period)
        return angle.mul(4).cos().mul(0.08) - angle.mul(2).cos().mul(0.5) + 0.42

    return _window("blackman_window", window_length, periodic, _options(dtype, layout, device, requires_grad), make)


def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Return 1 - abs(2 n / period - 1): a triangle."""
    options = _options(dtype, layout, device, requires_grad)
    return _window(
        "bartlett_window", window_length, periodic, options, lambda n, period: 1 - n.mul(2.0 / period).sub(1).abs()
    )


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Return i0(beta * sqrt(1 - (2 n / period - 1)**2)) / i0(beta)."""

    def make(n: Any, period: int) -> Any:
        root = (1 - n.mul(2.0 / period).sub(1).square()).clamp(min=0).sqrt()
        return root.mul(beta).i0() / n.new_full((), beta).i0()

    return _window("kaiser_window", window_length, periodic, _options(dtype, layout, device, requires_grad), make)
