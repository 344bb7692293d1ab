"""Tensors from and to other libraries' arrays in this process: numpy's protocols, DLPack, buffers.

A tensor's elements are on its worker, so everything here copies; PyTorch shares memory where it can. Asking for no copy
is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gradwire.conversion import fetch, from_array
from gradwire.creation import finish, tensor
from gradwire_protocol.dtypes import DType, from_numpy
from gradwire_protocol.methods import OpMethods
from gradwire_protocol.tape import Variable

__all__ = ["ArrayMethods", "asarray", "from_dlpack", "frombuffer"]

_ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift")
_COMPARISONS = ("lt", "le", "gt", "ge")

# DLPack's number of a CPU.
_CPU = 1


class ArrayMethods:
    """Mixed into Tensor: how numpy and DLPack's consumers take one."""

    __slots__ = ()

    # Above numpy's own, so that `array * tensor` asks the tensor, as PyTorch's do.
    __array_priority__ = 1000

    def __array_wrap__(self: Any, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """Return what a numpy function made of a tensor as a tensor; bools as uint8, as PyTorch does."""
        values = np.asarray(array)
        values = values.astype(np.uint8) if values.dtype == np.bool_ else values
        return from_array(values, from_numpy(values.dtype), self.session)

    def __dlpack__(
        self: Any,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Wait for the elements and return them in a DLPack capsule, in memory of this process that is its own."""
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        if copy is False:
            raise BufferError("a tensor's values are on a worker, so DLPack gives a copy of them; got copy=False")
        if dl_device is not None and tuple(dl_device) != (_CPU, 0):
            raise BufferError(
                f"DLPack gives a tensor's values in this process's memory, (1, 0); got dl_device={dl_device}"
            )
        return fetch(self).__dlpack__(stream=stream, max_version=max_version)

    def __dlpack_device__(self: Any) -> tuple[int, int]:
        """Return (kDLCPU, 0): values leave a worker through this process's memory."""
        return (_CPU, 0)


class _Capsule:
    """A bare capsule, as `to_dlpack` functions return them, with the methods that consumers ask for."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (_CPU, 0)


def _left_to_numpy(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operator that declines arrays: numpy then takes the tensor's elements, and wraps the result, as for PyTorch."""

    @functools.wraps(method)
    def operate(self: Any, other: Any) -> Any:
        return NotImplemented if type(other) is np.ndarray else method(self, other)

    return operate


for _name in (*(side + name for name in _ARITHMETIC for side in ("", "r", "i")), *_COMPARISONS):
    if hasattr(OpMethods, f"__{_name}__"):
        setattr(ArrayMethods, f"__{_name}__", _left_to_numpy(getattr(OpMethods, f"__{_name}__")))


def _divided(self: Any, other: Any) -> Any:
    """Divide an array too, which PyTorch does by multiplying with the reciprocal."""
    return self.reciprocal() * other if type(other) is np.ndarray else OpMethods.__rtruediv__(self, other)


def _product(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operator for tensors alone."""

    @functools.wraps(method)
    def operate(self: Any, other: Any) -> Any:
        return method(self, other) if isinstance(other, Variable) else NotImplemented

    return operate


def _compared(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a comparison that takes an array for a tensor."""

    @functools.wraps(method)
    def operate(self: Any, other: Any) -> Any:
        return method(self, tensor(other) if type(other) is np.ndarray else other)

    return operate


ArrayMethods.__rtruediv__ = _divided  # type: ignore[attr-defined]
for _name in ("__matmul__", "__rmatmul__", "__imatmul__"):
    if hasattr(OpMethods, _name):
        setattr(ArrayMethods, _name, _product(getattr(OpMethods, _name)))
for _name in ("__eq__", "__ne__"):
    setattr(ArrayMethods, _name, _compared(getattr(OpMethods, _name)))


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """Return a tensor with the elements of an object of any library that speaks DLPack, or of a CPU capsule.

    The elements pass through this process's memory: a library that does not bring them there from its own device raises
    BufferError. Raises ValueError for `copy=False`.
    """
    from gradwire.tensor import Tensor

    if copy is False:
        raise ValueError("from_dlpack sends the elements to a worker, which is a copy; got copy=False")
    if isinstance(ext_tensor, Tensor):
        return ext_tensor.detach().clone()
    if type(ext_tensor).__name__ == "PyCapsule":
        ext_tensor = _Capsule(ext_tensor)
    if not hasattr(ext_tensor, "__dlpack__"):
        raise AttributeError(f"from_dlpack needs an object with __dlpack__; got {type(ext_tensor).__name__}")
    on_host = ext_tensor.__dlpack_device__()[0] == _CPU
    values = np.from_dlpack(ext_tensor) if on_host else np.from_dlpack(ext_tensor, device="cpu", copy=True)
    return finish(from_array(values, from_numpy(values.dtype)), False, device)


def asarray(
    obj: Any,
    *,
    dtype: DType | None = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Any:
    """Return a tensor of `obj`: itself if it is one of that dtype and need not be copied, else a new one.

    `requires_grad` is that of `obj` unless given.
    Raises ValueError for `copy=False` where a copy is needed, which it is of all that is not a tensor.
    """
    from gradwire.tensor import Tensor

    if isinstance(obj, Tensor):
        return _as_itself(obj, dtype, device, copy, requires_grad)
    if copy is False:
        what = "numpy array" if isinstance(obj, np.ndarray) else "arbitrary sequence"
        raise ValueError(f"can't alias {what} into a tensor.")
    if not isinstance(obj, np.ndarray | np.generic) and hasattr(obj, "__dlpack__"):
        made = from_dlpack(obj)
        return finish(made if dtype is None else made.to(dtype), bool(requires_grad), device)
    if isinstance(obj, bytes | bytearray | memoryview):
        obj = np.frombuffer(obj, np.uint8)
        obj = obj if dtype is None else obj.view(dtype.numpy)
    return tensor(obj, dtype=dtype, device=device, requires_grad=bool(requires_grad))


def _as_itself(obj: Any, dtype: DType | None, device: Any, copy: bool | None, requires_grad: bool | None) -> Any:
    obj = obj if device is None else obj.to(device)
    if dtype is not None and dtype is not obj.dtype:
        if copy is False:
            raise ValueError(f"can't alias tensor with dtype '{obj.dtype.name}' into dtype '{dtype.name}'.")
        made = obj.to(dtype)
    else:
        made = obj.clone() if copy else obj
    if requires_grad and not made.requires_grad:
        return made.detach().requires_grad_(True)
    return made.detach() if made.requires_grad and requires_grad is False else made


def frombuffer(buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Any:
    """Return a vector of the elements that lie in an object's memory, from `offset` bytes on; all that fit unless `count`."""
    size, width = memoryview(buffer).nbytes, dtype.itemsize
    if size == 0 or count == 0:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({size} bytes) minus 1"
        )
    if count < 0:
        if (size - offset) % width:
            raise ValueError(
                f"buffer length ({size - offset} bytes) after offset ({offset} bytes) must be a multiple of element size ({width})"
            )
        count = (size - offset) // width
    if offset + count * width > size:
        raise ValueError(
            f"requested buffer length ({count} * {width} bytes) after offset ({offset} bytes) must not be greater than actual "
            f"buffer length ({size} bytes)"
        )
    values = np.frombuffer(buffer, dtype.numpy, count, offset)
    return finish(from_array(values, dtype), requires_grad, None)
