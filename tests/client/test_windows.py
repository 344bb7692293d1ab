"""The windows, against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

WINDOWS = ["hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window"]


def made(module: Any, name: str, *args: Any, **kwargs: Any) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = getattr(module, name)(*args, **kwargs).numpy()
    return found


@pytest.mark.parity
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("periodic", [True, False])
def test_a_window_has_the_values_of_pytorch(name: str, periodic: bool) -> None:
    import gradwire as gw

    torch = pytest.importorskip("torch")
    for length in (0, 1, 2, 7, 400):
        ours, theirs = made(gw, name, length, periodic), made(torch, name, length, periodic)
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-7)
    double = made(gw, name, 8, periodic, dtype=gw.float64)
    np.testing.assert_allclose(double, made(torch, name, 8, periodic, dtype=torch.float64), rtol=1e-10, atol=1e-15)


@pytest.mark.parity
def test_parameters_have_the_places_of_pytorch() -> None:
    import gradwire as gw

    torch = pytest.importorskip("torch")
    for name, args in (("hamming_window", (6, True, 0.5, 0.4)), ("kaiser_window", (6, False, 3.0))):
        np.testing.assert_allclose(made(gw, name, *args), made(torch, name, *args), rtol=1e-5)


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_is_refused_in_the_words_of_pytorch(t: Any, name: str) -> None:
    with pytest.raises(RuntimeError, match=f"{name} requires non-negative window_length, got window_length=-1"):
        getattr(t, name)(-1)
    with pytest.raises(RuntimeError, match=f"{name} expects floating point dtypes"):
        getattr(t, name)(3, dtype=t.int64)
