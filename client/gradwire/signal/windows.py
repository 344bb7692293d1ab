"""Windows for spectral analysis, as in `torch.signal.windows`: M numbers, for filters (`sym`) or for periods of a DFT.

The formulas are those of Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform" (1978).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from gradwire.creation import arange, empty, linspace, ones, tensor
from gradwire.memory import layout as layout_type
from gradwire.memory import strided
from gradwire.tensor import get_default_dtype
from gradwire_protocol.dtypes import DType, float32, float64

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann",
    "kaiser", "nuttall",
]  # fmt: skip


def _window(
    name: str,
    M: int,
    of_one: bool,
    make: Callable[[dict[str, Any]], Any],
    *,
    dtype: DType | None = None,
    layout: layout_type = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Check the common arguments, and make a window longer than nothing; `of_one` where one number is not always 1."""
    dtype = dtype or get_default_dtype()
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if dtype not in (float32, float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    options = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
    if M == 0:
        return empty(0, **options)
    return ones(1, **options) if M == 1 and not of_one else make(options)


def _period(M: int, sym: bool, more: int = 0) -> int:
    """Return the length after which the window would repeat."""
    return M - 1 + more if sym or M == 1 else M + more


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, **options: Any) -> Any:
    """Return the sum of (-1)**i * a[i] * cos(2 pi i n / period)."""

    def make(made: dict[str, Any]) -> Any:
        if not isinstance(a, Iterable):
            raise TypeError("Coefficients must be a list/tuple")
        if not a:
            raise ValueError("Coefficients cannot be empty")
        angles: Any = linspace(0, (M - 1) * 2 * math.pi / _period(M, sym), M, **made)
        signed: Any = tensor([(-1) ** i * weight for i, weight in enumerate(a)], **made)
        order: Any = arange(signed.shape[0], **made)
        return (signed.unsqueeze(-1) * (order.unsqueeze(-1) * angles).cos()).sum(0)

    return _window("general_cosine", M, False, make, **options)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Any:
    """Return alpha - (1 - alpha) * cos(2 pi n / period)."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Return the Hamming window, 0.54 - 0.46 * cos(2 pi n / period)."""
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Return the Hann window, a raised cosine."""
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Return the Blackman window, of three cosines."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Return Nuttall's window of four cosines, with the least side lobes."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


def bartlett(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Return a triangle from 0 to 1 and back."""

    def make(made: dict[str, Any]) -> Any:
        return 1 - linspace(-1, -1 + (M - 1) * 2 / _period(M, sym), M, **made).abs()

    return _window("bartlett", M, False, make, **options)


def cosine(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Return half a period of a sine."""

    def make(made: dict[str, Any]) -> Any:
        step = math.pi / _period(M, sym, 1)
        return linspace(0.5 * step, (0.5 + M - 1) * step, M, **made).sin()

    return _window("cosine", M, True, make, **options)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Any) -> Any:
    """Return exp(-n**2 / (2 std**2)), with n counted from the middle."""

    def make(made: dict[str, Any]) -> Any:
        start, scale = -_period(M, sym) / 2.0, 1 / (std * math.sqrt(2))
        return (-(linspace(start * scale, (start + M - 1) * scale, M, **made) ** 2)).exp()

    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _window("gaussian", M, True, make, **options)


def exponential(M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, **options: Any) -> Any:
    """Return exp(-abs(n - center) / tau); a symmetric window has its center in the middle."""

    def make(made: dict[str, Any]) -> Any:
        middle = _period(M, sym) / 2.0 if center is None else center
        return (-linspace(-middle / tau, (-middle + M - 1) / tau, M, **made).abs()).exp()

    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    return _window("exponential", M, True, make, **options)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Any) -> Any:
    """Return i0(beta * sqrt(1 - x**2)) / i0(beta) for x from -1 to 1."""

    def make(made: dict[str, Any]) -> Any:
        # In the window's own dtype, so that the last root is not of a number below zero.
        kept = beta if made["dtype"] is float64 else float32.numpy.type(beta).item()
        step = 2.0 * kept / _period(M, sym)
        squares = linspace(-kept, min(kept, -kept + (M - 1) * step), M, **made).square()
        return (kept * kept - squares).clamp(min=0).sqrt().i0() / tensor(kept, dtype=made["dtype"]).i0()

    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _window("kaiser", M, False, make, **options)
