"""Short-time Fourier transforms: there and back, and what istft refuses. Arrays beside tensors in operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

# The second is of PyTorch's own __array_wrap__.
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:A window was not provided"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept"),
]

SIGNAL = np.cos(np.arange(60.0) ** 1.5)


@pytest.mark.parametrize(("n_fft", "hop", "win_length"), [(8, 2, 8), (9, 4, 7), (16, 5, 12)])
@pytest.mark.parametrize("onesided", [True, False])
def test_istft_undoes_stft(t: Any, n_fft: int, hop: int, win_length: int, onesided: bool) -> None:
    x, window = t.tensor(SIGNAL), t.hann_window(win_length, dtype=t.float64)
    spectra = x.stft(n_fft, hop, win_length, window, onesided=onesided, return_complex=True)
    assert tuple(spectra.shape) == (n_fft // 2 + 1 if onesided else n_fft, 1 + (60 - n_fft % 2) // hop)
    again = spectra.istft(n_fft, hop, win_length, window, onesided=onesided, length=50)
    np.testing.assert_allclose(again.numpy(), SIGNAL[:50], atol=1e-12)


def test_istft_refuses_windows_that_leave_samples_out(t: Any) -> None:
    spectra = t.stft(t.tensor(SIGNAL), 8, return_complex=True)
    with pytest.raises(RuntimeError, match="window overlap add min: 1"):
        t.istft(spectra, 8, window=t.zeros(8))
    with pytest.raises(RuntimeError, match="window overlap add min: 1"):
        t.istft(spectra, 8, win_length=6, center=False)


def test_a_frame_may_align_with_its_window(t: Any) -> None:
    x = t.tensor(SIGNAL)
    found = [
        tuple(x.stft(16, 4, 8, center=False, align_to_window=align, return_complex=True).shape)
        for align in (None, True)
    ]
    assert found == [(9, 12), (9, 14)]


def test_operators_take_arrays_as_numpy_does(t: Any) -> None:
    x, array = t.tensor([1.0, 2.0]), np.array([4.0, 5.0])
    for found, wanted in ((x * array, [4.0, 10.0]), (x - array, [-3.0, -3.0]), (array / x, [4.0, 2.5])):
        assert type(found) is type(x)
        assert found.tolist() == wanted
    assert (x == array).tolist() == [False, False]
    with pytest.raises(TypeError, match="unsupported operand"):
        array * x


def test_a_bound_must_fit_the_integers_that_it_bounds(t: Any) -> None:
    bytes_ = t.tensor([1, 200], dtype=t.uint8)
    for clamp in (lambda: bytes_.clamp(0, 300), lambda: bytes_.clamp_max(300), lambda: t.clamp(bytes_, max=300)):
        with pytest.raises(RuntimeError, match="value cannot be converted to type uint8_t without overflow"):
            clamp()


def test_sorting_takes_numpys_names(t: Any) -> None:
    x = t.tensor([[3.0, 1.0], [2.0, 5.0]])
    assert x.sort(axis=0).values.tolist() == [[2.0, 1.0], [3.0, 5.0]]
    assert t.topk(x, 1, axis=0).values.tolist() == [[3.0, 5.0]]
    assert x.mode(axis=0, keepdims=True).values.tolist() == [[2.0, 1.0]]
