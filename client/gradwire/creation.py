"""Tensors from values, from numbers, and like others: `tensor`, `zeros`, `arange`, ..."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gradwire.conversion import from_array
from gradwire.memory import check_memory_format
from gradwire.workers import place
from gradwire_protocol.dtypes import DType, from_numpy, int64, scalar_dtype
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.complex import complex_of

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "arange", "as_tensor", "empty", "empty_like", "endpoints", "eye", "finish", "from_numpy_array", "full", "full_like", "linspace",
    "ones", "ones_like", "scalar_tensor", "tensor", "zeros", "zeros_like",
]  # fmt: skip


def finish(made: Tensor, requires_grad: bool, device: Any) -> Tensor:
    """Bring a new tensor to the device that was asked for, and set requires_grad."""
    made = made if device is None else made.to(device)
    return made.requires_grad_(True) if requires_grad else made


def _default() -> DType:
    from gradwire.tensor import get_default_dtype

    return get_default_dtype()


def _host(data: Any) -> tuple[np.ndarray[Any, Any], DType]:
    """Return the values of Python data as an array, with the dtype that PyTorch infers."""
    if isinstance(data, np.ndarray | np.generic):
        values = np.asarray(data)
        return values, from_numpy(values.dtype)
    values = np.asarray(_plain(data))
    if values.dtype == np.uint64 or (values.dtype == object and values.size and isinstance(values.flat[0], int)):
        raise RuntimeError("Overflow when unpacking long long")
    if values.dtype == object or values.dtype.kind in "USOM":
        raise _not_numeric(data)
    kinds = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
    if values.size == 0 and values.dtype == np.float64:
        return values, _default()
    if isinstance(data, list | tuple) and _holds_numpy(data):
        return values, from_numpy(values.dtype)
    return values, scalar_dtype(kinds[values.dtype.kind], _default())


def _holds_numpy(data: Any) -> bool:
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return isinstance(data, np.ndarray | np.generic)


def _plain(data: Any) -> Any:
    """Return nested data with tensors inside replaced by their values."""
    from gradwire.tensor import Tensor

    if isinstance(data, Tensor):
        return data.detach().tolist()
    if isinstance(data, list | tuple) and any(isinstance(item, Tensor | list | tuple) for item in data):
        plain = [_plain(item) for item in data]
        lengths = {len(item) if isinstance(item, list | tuple) else -1 for item in plain}
        if len(lengths) > 1:
            raise ValueError(f"expected sequences of one length at each level; got lengths {sorted(lengths)}")
        return plain
    return data


def _not_numeric(data: Any) -> Exception:
    item = data
    while isinstance(item, list | tuple) and item:
        item = item[0]
    if isinstance(item, str):
        return TypeError(f"new(): invalid data type '{type(item).__name__}'")
    return RuntimeError(f"Could not infer dtype of {type(item).__name__}")


def tensor(data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a new leaf with a copy of `data`: numbers, nested lists, arrays, or a tensor. Does not wait if it is small."""
    from gradwire.tensor import Tensor

    if isinstance(data, Tensor):
        made = data.detach().to(dtype) if dtype else data.detach().clone()
        return finish(made.clone() if made is data else made, requires_grad, device)
    values, inferred = _host(data)
    return finish(from_array(values, dtype or inferred, place(device)), requires_grad, device)


def as_tensor(data: Any, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Return `data` itself if it is a tensor of that dtype, else a new tensor of its values."""
    from gradwire.tensor import Tensor

    if isinstance(data, Tensor):
        return (data if device is None else data.to(device)).to(dtype or data.dtype)  # type: ignore[no-any-return]
    return tensor(data, dtype=dtype, device=device)


def from_numpy_array(ndarray: np.ndarray[Any, Any]) -> Tensor:
    """Return a tensor with an array's elements. PyTorch's shares memory with the array; ours is on the worker."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    return from_array(ndarray, from_numpy(ndarray.dtype))


def legacy_tensor(data: tuple[Any, ...], device: Any = None) -> Any:
    """Return what `torch.Tensor(*data)` returns: an alias of a tensor, values in the default dtype, or zeros of sizes."""
    from gradwire.tensor import Tensor
    from gradwire.tensor_types import legacy

    if len(data) == 1 and isinstance(data[0], Tensor):
        return data[0].detach()
    return finish(legacy(data, _default()), False, device)


def _size(size: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size


def full(
    size: Any, fill_value: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of one repeated number; the dtype follows the number's kind."""
    from gradwire.tensor import call

    if not isinstance(fill_value, bool | int | float | complex):
        if not hasattr(fill_value, "item"):
            raise TypeError(f"full(): argument 'fill_value' must be Number, not {type(fill_value).__name__}")
        fill_value = fill_value.item()
    dtype = dtype or scalar_dtype(type(fill_value), _default())
    return finish(call(OPS["full"], tuple(size), fill_value, dtype, session=place(device)), requires_grad, device)


def _filled(size: tuple[Any, ...], value: int, dtype: DType | None, device: Any, requires_grad: bool) -> Tensor:
    return full(_size(size), value, dtype=dtype or _default(), device=device, requires_grad=requires_grad)


def zeros(
    *shape: Any, size: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return zeros: `zeros(2, 3)` or `zeros((2, 3))`."""
    return _filled(shape if size is None else (size,), 0, dtype, device, requires_grad)


def ones(
    *shape: Any, size: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return ones."""
    return _filled(shape if size is None else (size,), 1, dtype, device, requires_grad)


def empty(
    *shape: Any, size: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return zeros. Memory that showed what it held before could show another session's numbers."""
    return _filled(shape if size is None else (size,), 0, dtype, device, requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return one repeated number in the shape of `input`."""
    check_memory_format("full_like", memory_format, input.dim())
    return finish(OPS["full_like"](input, fill_value, dtype=dtype), requires_grad, device)


def zeros_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return zeros in the shape of `input`."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad, memory_format=memory_format)


def ones_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return ones in the shape of `input`."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad, memory_format=memory_format)


def empty_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return zeros in the shape of `input`; see `empty`."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad, memory_format=memory_format)


def scalar_tensor(value: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a 0-dim tensor of a number, in the default float dtype."""
    return full((), value, dtype=dtype or _default(), device=device, requires_grad=requires_grad)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return start, start + step, ... below end: `arange(end)`, `arange(start, end)`, `arange(start, end, step)`."""
    from gradwire.tensor import call

    if end is None:
        start, end = 0, start
    start, end, step = (number.item() if hasattr(number, "item") else number for number in (start, end, step))
    length = _length(start, end, step, dtype)
    if dtype is None:
        dtype = _default() if any(isinstance(number, float) for number in (start, end, step)) else int64
    elif not dtype.is_floating_point and not dtype.is_complex:
        start, step = int(start), int(step)
    return finish(call(OPS["gw::arange"], length, start, step, dtype, session=place(device)), requires_grad, device)


def _length(start: Any, end: Any, step: Any, dtype: DType | None) -> int:
    """Return how many numbers `arange` makes; ends for int64 are integers before they are compared."""
    if dtype is int64 and math.isfinite(start) and math.isfinite(end):
        start, end, step = int(start), int(end), int(step)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not math.isfinite(start) or not math.isfinite(end):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if all(isinstance(number, int) for number in (start, end, step)):
        return int(-((start - end) // step))
    count: int = math.ceil((end - start) / step)
    return count


def endpoints(name: str, start: Any, end: Any, steps: Any) -> tuple[Any, Any]:
    """Return the ends of `linspace` or `logspace` as numbers, and refuse what PyTorch refuses. Waits for tensors."""
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise TypeError(f"{name}(): argument 'steps' must be int, not {type(steps).__name__}")
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    for word, value in (("start", start), ("end", end)):
        if getattr(value, "ndim", 0):
            raise RuntimeError(
                f"{name} only supports 0-dimensional start and end tensors, but got {word} with {value.ndim} dimension(s)."
            )
    first, last = (value.item() if hasattr(value, "item") else value for value in (start, end))
    return first, last


def linspace(
    start: Any, end: Any, steps: int, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return `steps` numbers from start to end, both included. Waits for tensor ends."""
    from gradwire.tensor import call

    first, last = endpoints("linspace", start, end, steps)
    if dtype is None:
        dtype = complex_of(_default()) if isinstance(first, complex) or isinstance(last, complex) else _default()
    return finish(call(OPS["gw::linspace"], steps, first, last, dtype, session=place(device)), requires_grad, device)


def eye(
    n: int, m: int | None = None, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return ones on the diagonal of an (n, m) tensor."""
    from gradwire.tensor import call

    return finish(
        call(OPS["eye.m"], n, n if m is None else m, dtype or _default(), session=place(device)), requires_grad, device
    )
