"""Short-time Fourier transforms: `x.stft(...)`, and back with `x.istft(...)`.

Frames of `n_fft` samples, `hop_length` apart, times a window. Back from them by overlap and add: D. Griffin, J. Lim, "Signal
estimation from modified short-time Fourier transform" (1984).
"""

from __future__ import annotations

import warnings
from typing import Any

from gradwire.autocasting import cast_named
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import torch_type_name
from gradwire_protocol.tape import Variable

__all__ = ["SpectralMethods"]

_C2C, _R2C, _C2R, _OVERLAP_ADD = OPS["_fft_c2c"], OPS["_fft_r2c"], OPS["_fft_c2r"], OPS["unfold_backward"]
_NO_SCALE, _BY_ROOT, _BY_COUNT = 0, 1, 2
# Below it, PyTorch takes a sum of squared windows for nothing to divide by.
_LEAST_ENVELOPE = 1e-11


def _flag(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _described(name: str, tensor: str, n_fft: int, hop: int, win_length: int, window: Any, **flags: Any) -> str:
    """Return a call in PyTorch's words."""
    kind = "None" if window is None else f"torch.{torch_type_name(window.dtype)}Tensor{{{list(window.shape)}}}"
    rest = "".join(f", {flag}={_flag(value)}" for flag, value in flags.items())
    return f"{name}({tensor}, n_fft={n_fft}, hop_length={hop}, win_length={win_length}, window={kind}{rest}) "


def _check_is_tensor(name: str, window: Any) -> None:
    if window is not None and not isinstance(window, Variable):
        raise TypeError(f"{name}(): argument 'window' must be Tensor, not {type(window).__name__}")


def _warn_of_no_window() -> None:
    warnings.warn(
        "A window was not provided. A rectangular window will be applied,which is known to cause spectral leakage. Other "
        "windows such as torch.hann_window or torch.hamming_window are recommended to reduce spectral leakage.To suppress "
        "this warning and use a rectangular window, explicitly set `window=torch.ones(n_fft, device=<device>)`.",
        stacklevel=4,
    )


def _in_frame(window: Any, like: Any, win_length: int, n_fft: int) -> Any:
    """Return the window, or ones, in the middle of zeros; None where that is ones alone."""
    if win_length == n_fft:
        return window
    window = like.real.new_ones(win_length) if window is None else window
    before = (n_fft - win_length) // 2
    return window._pad((before, n_fft - win_length - before), "constant", 0)


def _check_stft(told: str, x: Any, n_fft: int, hop: int, win_length: int, window: Any) -> None:
    if not x.is_floating_point() and not x.is_complex():
        raise RuntimeError(f"{told}: expected a tensor of floating point or complex values")
    if x.dtype.name in ("float16", "bfloat16"):
        raise RuntimeError(f"MKL FFT doesn't support tensors of type: {torch_type_name(x.dtype)}")
    if x.ndim not in (1, 2):
        raise RuntimeError(f"{told}: expected a 1D or 2D tensor")
    if not 0 < n_fft <= x.shape[-1]:
        raise RuntimeError(f"{told}: expected 0 < n_fft < {x.shape[-1]}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"{told}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(f"{told}: expected 0 < win_length <= n_fft, but got win_length={win_length}")
    if window is not None and tuple(window.shape) != (win_length,):
        raise RuntimeError(
            f"{told}: expected a 1D window tensor of size equal to win_length={win_length}, but got window with size "
            f"{list(window.shape)}"
        )


def _asks_for_complex(x: Any, window: Any, return_complex: bool | None) -> bool:
    if return_complex is None and not x.is_complex() and (window is None or not window.is_complex()):
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will further require that "
            "return_complex=True in a future PyTorch release."
        )
    return return_complex is not False


def _check_istft(told: str, x: Any, n_fft: int, hop: int, win_length: int, window: Any, onesided: bool) -> None:
    if not x.numel():
        raise RuntimeError(f"{told}: input tensor cannot be empty.")
    if x.ndim not in (2, 3):
        raise RuntimeError(f"{told}: expected a tensor with 3 or 4 dimensions, but got {x.ndim + 1}")
    if x.shape[-2] != (n_fft // 2 + 1 if onesided else n_fft):
        wanted = "n_fft / 2 + 1 when onesided=True" if onesided else "n_fft when onesided=False"
        raise RuntimeError(
            f"{told}: expected the frequency dimension (3rd to the last) of the input tensor to match {wanted}, but got "
            f"{x.shape[-2]}"
        )
    if not 0 < hop <= win_length:
        raise RuntimeError(f"{told}: expected 0 < hop_length <= win_length")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(f"{told}: expected 0 < win_length <= n_fft")
    if window is not None and tuple(window.shape) != (win_length,):
        raise RuntimeError(f"{told}: Invalid window shape. window has to be 1D and length of `win_length`")


def _frames_of(spectrum: Any, n_fft: int, window: Any, scale: int, onesided: bool, return_complex: bool) -> Any:
    """Transform back, (*, frequencies, frames) -> (batch, frames, n_fft)."""
    by_frame = (spectrum if spectrum.ndim == 3 else spectrum.unsqueeze(0)).transpose(1, 2)
    if return_complex:
        if onesided:
            raise RuntimeError("Cannot have onesided output if window or input is complex")
        return _C2C(by_frame, (2,), scale, False)
    if window is not None and window.is_complex():
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    return _C2R(by_frame if onesided else by_frame.narrow(2, 0, n_fft // 2 + 1), (2,), scale, n_fft)


class SpectralMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    def stft(
        self: Any,
        n_fft: int,
        hop_length: int | None = None,
        win_length: int | None = None,
        window: Any = None,
        center: bool = True,
        pad_mode: str = "reflect",
        normalized: bool = False,
        onesided: bool | None = None,
        return_complex: bool | None = None,
        align_to_window: bool | None = None,
    ) -> Any:
        """Return the spectra of frames of a signal: (*, samples) -> (*, frequencies, frames).

        Frame number t begins at sample t * hop_length, or with `center` has it in its middle, in a signal padded by
        `pad_mode`. `hop_length` is n_fft // 4 by default, and `win_length`, of the window, n_fft. `onesided`, the default
        for real values, leaves out the frequencies that are conjugates of others; `normalized` divides by sqrt(n_fft).
        `align_to_window` makes all frames in which the window, if not the frame, lies in the signal.
        """
        if center and align_to_window is not None:
            raise RuntimeError("stft align_to_window should only be set when center = false")
        _check_is_tensor("stft", window)
        x = cast_named("stft", self)
        if center:
            x = x.view((1,) * (3 - x.ndim) + tuple(x.shape))._pad((n_fft // 2, n_fft // 2), pad_mode, None)
            x = x.view(tuple(x.shape)[max(3 - self.ndim, 0) :])
        hop, win_length = n_fft // 4 if hop_length is None else hop_length, n_fft if win_length is None else win_length
        told = _described(
            "stft", f"torch.{torch_type_name(x.dtype)}Tensor{list(x.shape)}", n_fft, hop, win_length, window,
            normalized=normalized, onesided=onesided, return_complex=_asks_for_complex(x, window, return_complex),
            align_to_window=align_to_window,
        )  # fmt: skip
        _check_stft(told, x, n_fft, hop, win_length, window)
        if window is None:
            _warn_of_no_window()
        if align_to_window:
            before = (n_fft - win_length) // 2
            x = x._pad((before, n_fft - win_length - before), "constant", 0)
        found = _spectra(x, n_fft, hop, _in_frame(window, x, win_length, n_fft), normalized, onesided)
        return found if return_complex is not False else OPS["view_as_real"](found)

    def istft(
        self: Any,
        n_fft: int,
        hop_length: int | None = None,
        win_length: int | None = None,
        window: Any = None,
        center: bool = True,
        normalized: bool = False,
        onesided: bool | None = None,
        length: int | None = None,
        return_complex: bool = False,
    ) -> Any:
        """Return the signal that `stft` made these spectra of: (*, frequencies, frames) -> (*, samples).

        Of signals that differ from all of the frames, the nearest. `length` cuts it, or fills it up with zeros. Raises
        RuntimeError where the windows leave a sample out; with a window given, waits for whether they do.
        """
        _check_is_tensor("istft", window)
        if not self.is_complex():
            raise RuntimeError(
                "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
            )
        if self.ndim < 2:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-self.ndim - 1}, {self.ndim}], but got -3)"
            )
        hop, win_length = n_fft // 4 if hop_length is None else hop_length, n_fft if win_length is None else win_length
        told = _described(
            "istft", f"CPU{torch_type_name(self.dtype)}Type{list(self.shape)}", n_fft, hop, win_length, window,
            center=center, normalized=normalized, onesided=onesided, length=length, return_complex=return_complex,
        )  # fmt: skip
        onesided = self.shape[-2] != n_fft if onesided is None else onesided
        _check_istft(told, self, n_fft, hop, win_length, window, onesided)
        if window is None:
            _warn_of_no_window()
        scale = _BY_ROOT if normalized else _BY_COUNT
        frames = _frames_of(self, n_fft, window, scale, onesided, return_complex)
        rectangle = win_length if window is None else None
        signal = _overlapped(frames, _in_frame(window, frames, win_length, n_fft), rectangle, hop, center, length, told)
        return signal.squeeze(0) if self.ndim == 2 else signal


def _spectra(x: Any, n_fft: int, hop: int, window: Any, normalized: bool, onesided: bool | None) -> Any:
    frames = (x if x.ndim == 2 else x.unsqueeze(0)).unfold(-1, n_fft, hop)
    if window is not None:
        frames = frames * window
    scale = _BY_ROOT if normalized else _NO_SCALE
    if not frames.is_complex():
        found = _R2C(frames, (2,), scale, onesided is not False)
    elif onesided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    else:
        found = _C2C(frames, (2,), scale, True)
    found = found.transpose(1, 2)
    return found if x.ndim == 2 else found.squeeze(0)


def _overlapped(
    frames: Any, window: Any, rectangle: int | None, hop: int, center: bool, length: int | None, told: str
) -> Any:
    """Add the frames up where they lie, and divide by the sum of squared windows: (batch, frames, n) -> (batch, samples).

    `rectangle` is the length of a window of ones, which needs no look at values to know what it leaves out.
    """
    batch, count, n_fft = frames.shape
    total = n_fft + hop * (count - 1)
    start = n_fft // 2 if center else 0
    end = total - start if length is None else start + length
    kept = slice(start, max(end, 0))
    weighed = frames if window is None else frames * window
    window = frames.real.new_ones(n_fft) if window is None else window
    envelope = _OVERLAP_ADD(window.pow(2).expand(1, count, n_fft), (1, total), 1, n_fft, hop)[:, kept]
    signal = _OVERLAP_ADD(weighed, (batch, total), 1, n_fft, hop)[:, kept]
    if rectangle is None or not envelope.numel():
        leaves_out = bool((envelope.detach().abs().min() < _LEAST_ENVELOPE).item())
    else:
        before = (n_fft - rectangle) // 2
        leaves_out = start < before or min(end, total) > before + rectangle + hop * (count - 1)
    if leaves_out:
        raise RuntimeError(f"{told}window overlap add min: 1\n[ CPUBoolType{{}} ]")
    signal = signal / envelope
    if end <= total:
        return signal
    warnings.warn(
        "The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. Please "
        "check your center and hop_length settings.",
        stacklevel=3,
    )
    return signal._pad((0, end - total), "constant", 0)
