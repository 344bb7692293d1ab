"""`autograd.detect_anomaly`. Every test also runs with PyTorch."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _off(t: Any) -> Iterator[None]:
    yield
    t.set_anomaly_enabled(False)


def _failing(t: Any) -> Any:
    x = t.tensor([-1.0, 4.0], requires_grad=True)
    y = t.ones(2, requires_grad=True)
    return x, (y * x.sqrt() * 0).sum()


def test_nan_names_the_function_and_the_line(t: Any) -> None:
    t.autograd.set_detect_anomaly(True)
    assert t.is_anomaly_enabled()
    assert t.is_anomaly_check_nan_enabled()
    x = t.tensor([0.0], requires_grad=True)
    out = (x.sqrt() * 0).sum()
    line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
    with (
        pytest.raises(RuntimeError, match=r"Function 'SqrtBackward0' returned nan values in its 0th output\."),
        pytest.warns(
            UserWarning, match=rf"Error detected in SqrtBackward0. Traceback of forward(.|\n)*line {line}, in"
        ),
    ):
        out.backward()
    assert x.grad is None


def test_outputs_are_counted_as_in_pytorch(t: Any) -> None:
    with t.autograd.set_detect_anomaly(True):
        x = t.ones(1, requires_grad=True)
        out = t.where(x > 0, x, x * 2) * t.tensor([float("nan")])
        with (
            pytest.raises(RuntimeError, match="Function 'MulBackward0' returned nan values in its 0th output"),
            pytest.warns(UserWarning, match="Error detected"),
        ):
            out.sum().backward()
        base = t.ones(1, requires_grad=True)
        with (
            pytest.raises(RuntimeError, match="Function 'PowBackward1' returned nan values in its 1th output"),
            pytest.warns(UserWarning, match="Error detected"),
        ):
            t.pow(base - 2, x).backward()
    assert not t.is_anomaly_enabled()


def test_nothing_is_raised_without_nan_or_without_the_check(t: Any) -> None:
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        mode = t.autograd.detect_anomaly(check_nan=False)
    with mode:
        x, out = _failing(t)
        out.backward()
        assert x.grad.isnan().tolist() == [True, False]
    with t.autograd.set_detect_anomaly(True):
        x = t.tensor([1.0, 2.0], requires_grad=True)
        layer = t.nn.Linear(2, 3)
        (first,) = t.autograd.grad(layer(x.sin()).tanh().sum(), x, create_graph=True)
        first.sum().backward()
        plain, grads = layer.weight.grad.clone(), x.grad.clone()
    x.grad = layer.weight.grad = None
    (first,) = t.autograd.grad(layer(x.sin()).tanh().sum(), x, create_graph=True)
    first.sum().backward()
    assert (plain - layer.weight.grad).abs().max().item() < 1e-6
    assert (grads - x.grad).abs().max().item() < 1e-6


def test_errors_name_the_line(t: Any) -> None:
    with t.autograd.set_detect_anomaly(True):
        x = t.ones(2, requires_grad=True)
        y = x.exp()
        out = (y * y).sum()
        y.add_(1)
        with (
            pytest.raises(RuntimeError, match="modified by an inplace operation(.|\n)*Good luck!"),
            pytest.warns(UserWarning, match="Error detected in MulBackward0. Traceback"),
        ):
            out.backward()


def test_errors_of_custom_functions_name_the_line(t: Any) -> None:
    def forward(ctx: Any, value: Any) -> Any:
        return value * 2

    def backward(ctx: Any, gradient: Any) -> Any:
        raise ValueError("broken")

    names = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    broken = type("Broken", (t.autograd.Function,), names).apply  # type: ignore[attr-defined]
    with t.autograd.set_detect_anomaly(True):
        out = broken(t.ones(2, requires_grad=True)).sum()
        with (
            pytest.raises(ValueError, match="broken"),
            pytest.warns(UserWarning, match="Error detected in BrokenBackward. Traceback"),
        ):
            out.backward()
    out = t.ones(2, requires_grad=True).log().sum() * 0 + (t.zeros(1, requires_grad=True).sqrt() * 0).sum()
    with (
        t.autograd.set_detect_anomaly(True),
        pytest.raises(RuntimeError, match="returned nan values"),
        pytest.warns(UserWarning, match="Error detected in SqrtBackward0. No forward pass information available"),
    ):
        out.backward()
