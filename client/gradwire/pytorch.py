"""The one door to PyTorch itself: `from_torch` and `to_torch`, where it is installed beside gradwire.

Everything is copied, through this process's memory. PyTorch is imported at the first call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradwire.conversion import fetch, from_array
from gradwire.nn.parameter import Parameter
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import DTYPES

__all__ = ["from_torch", "to_torch"]

_DTYPES = {dtype.name: dtype for dtype in DTYPES}


def _torch() -> Any:
    """Return PyTorch; raise ImportError if it is not there, or if gradwire stands under its name."""
    import torch

    if not hasattr(torch, "_C"):
        raise ImportError(
            "from_torch and to_torch need PyTorch itself; under `gradwire run`, `import torch` gives gradwire; leave them out"
        )
    return torch


def from_torch(value: Any) -> Any:
    """Return PyTorch tensors as gradwire's: one, or all in a nesting of dicts, lists and tuples such as a state_dict.

    Copies the elements to the worker; keeps dtypes, shapes and requires_grad; a Parameter stays one. Raises TypeError for
    a tensor of a dtype or a layout that gradwire lacks. What is no tensor is returned as it is.
    """
    torch = _torch()

    def convert(item: Any) -> Any:
        return _from_tensor(torch, item) if isinstance(item, torch.Tensor) else item

    return _nested(value, convert)


def to_torch(value: Any) -> Any:
    """Return gradwire's tensors as PyTorch ones on the CPU, alone or nested; waits for their elements.

    Each is a leaf of its own memory, with its requires_grad; a Parameter stays one.
    """
    torch = _torch()

    def convert(item: Any) -> Any:
        return _to_tensor(torch, item) if isinstance(item, Tensor) else item

    return _nested(value, convert)


def _nested(value: Any, convert: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        members = {name: _nested(member, convert) for name, member in value.items()}
        return members if type(value) is dict else type(value)(members)  # type: ignore[call-arg]
    if isinstance(value, list):
        return [_nested(member, convert) for member in value]
    if type(value) is tuple or hasattr(value, "_fields"):
        converted = [_nested(member, convert) for member in value]
        return tuple(converted) if type(value) is tuple else type(value)(*converted)
    return convert(value)


def _from_tensor(torch: Any, item: Any) -> Any:
    dtype = _DTYPES.get(str(item.dtype).removeprefix("torch."))
    if dtype is None or item.layout is not torch.strided or item.is_quantized:
        raise TypeError(
            f"from_torch needs a dense tensor of one of {', '.join(_DTYPES)}; got {item.dtype}, {item.layout}; convert it with "
            "to(dtype) or to_dense()"
        )
    plain = item.detach().cpu().resolve_conj().resolve_neg().contiguous()
    # As bytes: PyTorch gives numpy no array of a dtype that numpy itself lacks.
    values = plain.reshape(-1).view(torch.uint8).numpy().view(dtype.numpy).reshape(tuple(item.shape))
    made = from_array(values, dtype)
    if isinstance(item, torch.nn.Parameter):
        return Parameter(made, item.requires_grad)
    return made.requires_grad_(True) if item.requires_grad else made


def _to_tensor(torch: Any, item: Tensor) -> Any:
    raw = np.ascontiguousarray(fetch(item)).reshape(-1).view(np.uint8)
    made = torch.from_numpy(raw).view(getattr(torch, item.dtype.name)).reshape(tuple(item.shape))
    if isinstance(item, Parameter):
        return torch.nn.Parameter(made, item.requires_grad)
    return made.requires_grad_(True) if item.requires_grad else made
