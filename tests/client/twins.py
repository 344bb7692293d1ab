"""A layer in gradwire and the same in PyTorch, with the same weights, run side by side."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradwire

__all__ = ["Twins", "compare"]

Array = Any


def compare(found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    """Compare results leaf by leaf."""
    if wanted is None:
        assert found is None
    elif isinstance(wanted, tuple):
        for one, other in zip(found, wanted, strict=True):
            compare(one, other, tolerance)
    else:
        assert tuple(found.shape) == tuple(wanted.shape)
        np.testing.assert_allclose(
            found.detach().numpy(), wanted.detach().numpy(), rtol=tolerance, atol=tolerance, err_msg=str(wanted.shape)
        )


class Twins:
    """`ours` and `theirs`, of one class and arguments; their prints and their states' names and shapes are equal."""

    def __init__(self, name: str, *args: Any, seed: int = 0, **kwargs: Any) -> None:
        torch = pytest.importorskip("torch")
        self.torch = torch
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.ours = getattr(gradwire.nn, name)(*args, **kwargs).double()
            self.theirs = getattr(torch.nn, name)(*args, **kwargs).double()
        assert repr(self.ours) == repr(self.theirs)
        mine, given = self.ours.state_dict(), self.theirs.state_dict()
        assert {k: tuple(v.shape) for k, v in mine.items()} == {k: tuple(v.shape) for k, v in given.items()}
        assert list(mine) == list(given)
        rng = np.random.default_rng(seed)
        drawn = {name: rng.standard_normal(tuple(value.shape)) * 0.5 for name, value in given.items()}
        self.theirs.load_state_dict({name: torch.tensor(value) for name, value in drawn.items()})
        self.ours.load_state_dict({name: gradwire.tensor(value) for name, value in drawn.items()})

    def check(
        self, *inputs: Array, backward: bool = True, call: Callable[..., Any] | None = None, **kwargs: Any
    ) -> Any:
        """Run both on the same arrays, and compare results, and gradients of weights and floating inputs."""
        results, leaves = [], []
        for library, layer in ((gradwire, self.ours), (self.torch, self.theirs)):
            tensors = [self._tensor(library, value) for value in inputs]
            named = {key: self._tensor(library, value) for key, value in kwargs.items()}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = layer(*tensors, **named) if call is None else call(layer, *tensors, **named)
            layer.zero_grad()
            if backward:
                parts = result if isinstance(result, tuple) else (result,)
                total: Any = 0
                for part in parts:
                    total = total + part.sin().sum() if part is not None else total
                total.backward()
            results.append(result)
            given = [tensor for tensor in (*tensors, *layer.parameters()) if tensor is not None]
            leaves.append([tensor for tensor in given if tensor.requires_grad])
        compare(results[0], results[1])
        for one, other in zip(*leaves, strict=True):
            compare(one.grad, other.grad)
        return results[0]

    @staticmethod
    def _tensor(library: Any, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        return library.tensor(value, requires_grad=value.dtype == np.float64)
