"""Small stand-ins for tensors over numpy: nothing needs a worker, and indexing can be counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["HOST", "HostTensor", "randint"]


class HostTensor:
    """As much of a tensor as data utilities use."""

    def __init__(self, values: Any, dtype: Any = None) -> None:
        self.values = np.array(values, dtype)
        if self.values.dtype == np.float64 and not isinstance(values, np.ndarray) and dtype is None:
            self.values = self.values.astype(np.float32)
        self.indexings: list[Any] = []

    @property
    def dtype(self) -> str:
        return str(self.values.dtype)

    def size(self, dim: int) -> int:
        return self.values.shape[dim]

    def tolist(self) -> Any:
        return self.values.tolist()

    def __getitem__(self, index: Any) -> HostTensor:
        self.indexings.append(index)
        return HostTensor(self.values[index])


def stack(tensors: list[HostTensor]) -> HostTensor:
    shapes = [list(tensor.values.shape) for tensor in tensors]
    for entry, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {shapes[0]} at entry 0 "
                f"and {shape} at entry {entry}"
            )
    return HostTensor(np.stack([tensor.values for tensor in tensors]))


def randperm(n: int, *, generator: np.random.Generator | None = None) -> HostTensor:
    return HostTensor((generator or np.random.default_rng()).permutation(n))


def randint(low: int, high: int, size: Any, *, generator: Any = None) -> HostTensor:
    return HostTensor((generator or np.random.default_rng()).integers(low, high, size))


HOST = SimpleNamespace(
    Tensor=HostTensor,
    tensor=HostTensor,
    stack=stack,
    randperm=randperm,
    randint=randint,
    float64=np.float64,
)
