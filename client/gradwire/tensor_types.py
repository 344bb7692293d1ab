"""`torch.FloatTensor` and its kin: the names that tensors had before dtypes, which scripts still use."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradwire import session
from gradwire_protocol.dtypes import DTYPES, DType
from gradwire_protocol.registry import torch_type_name

__all__ = [
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor",
    "LongTensor", "ShortTensor", "typename",
]  # fmt: skip


class TensorType(type):
    """The class of `torch.FloatTensor`: calling it makes a tensor, and `isinstance` looks at the dtype and the device."""

    dtype: DType
    is_cuda: bool

    def __call__(cls, *data: Any) -> Any:
        """Return a new tensor: of sizes where ints are given, of values for a sequence, an array or a tensor."""
        from gradwire.tensor import Tensor

        cls.check_device()
        if len(data) == 1 and isinstance(data[0], Tensor):
            return _same_dtype(cls, data[0])
        return legacy(data, cls.dtype)

    def __instancecheck__(cls, instance: Any) -> bool:
        from gradwire.tensor import Tensor

        return isinstance(instance, Tensor) and instance.dtype is cls.dtype and instance.is_cuda == cls.is_cuda

    def check_device(cls) -> None:
        """Raise TypeError if these tensors would live on a device that the worker does not have."""
        if cls.is_cuda and not session.current().device.startswith("cuda"):
            raise TypeError(f"type {cls!r} not available. Torch not compiled with CUDA enabled.")

    def __repr__(cls) -> str:
        return f"{cls.__module__}.{cls.__name__}"


def legacy(data: tuple[Any, ...], dtype: DType) -> Any:
    """Return a tensor of sizes where ints are given, or nothing, and of values for one sequence or array."""
    from gradwire import creation
    from gradwire.properties import Size

    if all(isinstance(size, int) and not isinstance(size, bool) for size in data):
        return creation.empty(*(data or (0,)), dtype=dtype)
    if len(data) > 1:
        raise TypeError(f"new() needs sizes, or one sequence; got {', '.join(type(item).__name__ for item in data)}")
    values = data[0]
    if isinstance(values, Size):
        return creation.empty(tuple(values), dtype=dtype)
    if isinstance(values, str):
        raise TypeError("new(): invalid data type 'str'")
    if not isinstance(values, list | tuple | np.ndarray | range):
        raise TypeError(f"new(): data must be a sequence (got {type(values).__name__})")
    return creation.tensor(list(values) if isinstance(values, range) else values, dtype=dtype)


def _same_dtype(cls: TensorType, data: Any) -> Any:
    if data.dtype is not cls.dtype:
        raise TypeError(f"expected {cls!r} (got {data.type()})")
    return data.detach()


def _made(dtype: DType, is_cuda: bool) -> TensorType:
    module = "torch.cuda" if is_cuda else "torch"
    members = {"dtype": dtype, "is_cuda": is_cuda, "__module__": module, "__doc__": f"Tensors of {dtype.name}."}
    return TensorType(f"{torch_type_name(dtype)}Tensor", (), members)


# By their full names; complex tensors have none.
TENSOR_TYPES = {
    repr(made): made
    for dtype in DTYPES
    if not dtype.is_complex
    for made in (_made(dtype, is_cuda=False), _made(dtype, is_cuda=True))
}

(
    FloatTensor,
    DoubleTensor,
    HalfTensor,
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    ShortTensor,
    IntTensor,
    LongTensor,
) = (
    TENSOR_TYPES[f"torch.{word}Tensor"]
    for word in ("Float", "Double", "Half", "BFloat16", "Bool", "Byte", "Char", "Short", "Int", "Long")
)


def tensor_type(name: Any) -> TensorType:
    """Return the tensor type of a name such as "torch.FloatTensor", or itself; raise ValueError for another name."""
    if isinstance(name, TensorType):
        return name
    if not isinstance(name, str):
        raise TypeError("invalid type object")
    if name not in TENSOR_TYPES:
        raise ValueError(f"invalid type: '{name}'")
    return TENSOR_TYPES[name]


def typename(obj: Any) -> str:
    """Return a tensor's type name, such as torch.FloatTensor, or the dotted name of any other object's class."""
    from gradwire.tensor import Tensor

    if isinstance(obj, Tensor):
        name: str = obj.type()
        return name
    if isinstance(obj, DType):
        return "torch.dtype"
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", "") or ""
    return kind.__qualname__ if module in ("", "builtins") else f"{module}.{kind.__qualname__}"
