"""Short-time Fourier transforms as functions; `gradwire.fft` has the transforms of whole axes."""

from __future__ import annotations

from typing import Any

from gradwire.tensor import Tensor, expect_tensor

__all__ = ["istft", "stft"]


def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    """Return the spectra of frames of a signal: (*, samples) -> (*, frequencies, frames). See `Tensor.stft`."""
    return expect_tensor("stft", input).stft(
        n_fft, hop_length, win_length, window, center, pad_mode, normalized, onesided, return_complex, align_to_window
    )


def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Any:
    """Return the signal of spectra: (*, frequencies, frames) -> (*, samples). With a window, waits. See `Tensor.istft`."""
    return expect_tensor("istft", input).istft(
        n_fft, hop_length, win_length, window, center, normalized, onesided, length, return_complex
    )
