"""A namespace for tests: numpy's numbers under CuPy's rules.

What passes here has a chance on a GPU. `open_strict()` gives a backend whose `xp` and arrays wrap
numpy's and refuse what a device would refuse or do behind the kernel's back. Never used in
production, and never a source of numbers: those are numpy's.

Refused with `StrictError` (a TypeError) or AttributeError, whatever numpy would do:
- A value that leaves the device unasked: `float()`, `int()`, `bool()` (so `if x:` and `x in list`),
  indices and sizes made of arrays, `__array__`, iteration and unpacking, `tolist()`, pickling.
  Asked: `.item()` and `Backend.to_host`.
- A numpy array or a list among operands, indices or assigned values; arrays of two devices in one
  call. Python numbers and numpy scalars are welcome, as in CuPy.
- Names that numpy and CuPy do not share (`xp.errstate`, `xp.vecdot`, `xp.random`, which is Philox's
  task).
- `where=`, `order=` and `subok=` of ufuncs; `reduce` and `accumulate` of other ufuncs than add and
  multiply; `at` of ufuncs and dtypes without atomics (no complex, bool, or 8 or 16 bit integers):
  see `SCATTER_DTYPES`.
- Objects, text, dates and long doubles as elements.
- An error that numpy raises upon values: CuPy wraps an index array that is out of bounds, gives
  numbers for a singular matrix or an integer to a negative power. A kernel that owes the user such
  an error must look for itself.
- `as_strided` outside of its array's memory, which neither library checks.
- `casting=` and `subok=` of `astype` (CuPy's signature has them, and refuses them).

As in CuPy and unlike numpy: results without axes are arrays, not scalars; `x[0]` of a vector is a
view; a ufunc's result is C-contiguous whatever its operands' layout; `xp.allclose` and its like
return arrays.

Not seen here, so to be known: on a GPU the order of writes to one place by a duplicate index is
undefined, and so is the order in which `add.at` sums (its last bits vary from run to run); casts of
NaN or too large floats to integers give other numbers. Which keyword arguments CuPy's functions
take, and which dtypes its ufuncs give, is checked against CuPy itself for all of `RECORDED_USES`,
by the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gradwire_server.backend import Backend, HostArray, check_extent, checked_host, host_fingerprint
from gradwire_server.lapack import HostLapack
from gradwire_server.scientific import HostSpecial
from gradwire_server.strict_array import (
    NAMESPACES,
    RECORDED_USES,
    Call,
    StrictArray,
    StrictError,
    Use,
)
from gradwire_server.strict_surface import ARRAY_METHODS, CUPY_NAMES, MAKERS, SCATTER_DTYPES

__all__ = [
    "ARRAY_METHODS", "CUPY_NAMES", "RECORDED_USES", "SCATTER_DTYPES", "StrictArray",
    "StrictBackend", "StrictError", "StrictNamespace", "StrictUfunc", "Use", "open_strict", "strict_xp",
]  # fmt: skip


class StrictUfunc:
    """A ufunc with the arguments and methods that CuPy's have."""

    __slots__ = ("_host", "_index", "_keywords", "_name")

    def __init__(self, name: str, index: int) -> None:
        """Wrap `numpy.<name>` for device number `index`."""
        self._name = name
        self._index = index
        self._host: np.ufunc = getattr(np, name)
        self._keywords = {"out", "dtype", "casting"} | ({"axes", "axis", "keepdims"} if self._host.signature else set())

    def __call__(self, *operands: Any, **keywords: Any) -> Any:
        """Apply to operands; outputs come after them or in `out=`."""
        call = Call(self._name, self._index)
        surplus = set(keywords) - self._keywords
        if surplus:
            call.refuse(
                "no more keywords than " + ", ".join(sorted(self._keywords)),
                ", ".join(sorted(surplus)),
            )
        call.check_operands(operands[: self._host.nin])
        # CuPy's results are C-contiguous; numpy's follow their operands, unless asked.
        layout = {} if self._host.signature else {"order": "C"}
        result = call.run(self._host, operands, {**keywords, **layout}, use=False)
        self._record(operands, keywords, result if isinstance(result, tuple) else (result,))
        return result

    def _record(self, operands: tuple[Any, ...], keywords: dict[str, Any], results: tuple[Any, ...]) -> None:
        into = len(operands) > self._host.nin or keywords.get("out") is not None
        kinds = tuple([_kind(operand) for operand in operands[: self._host.nin]])
        made = () if into else tuple([array.dtype.name for array in results])
        dtype = keywords.get("dtype")
        asked = "" if dtype is None else np.dtype(dtype).name
        RECORDED_USES.add(Use(self._name, len(operands), tuple(sorted(keywords)), kinds, made, asked))

    def reduce(self, array: Any, *arguments: Any, **keywords: Any) -> Any:
        """Reduce along an axis; CuPy has it for add and multiply."""
        return self._scan("reduce", array, arguments, keywords)

    def accumulate(self, array: Any, *arguments: Any, **keywords: Any) -> Any:
        """Accumulate along an axis; CuPy has it for add and multiply."""
        return self._scan("accumulate", array, arguments, keywords)

    def _scan(self, method: str, array: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        call = Call(f"{self._name}.{method}", self._index)
        if self._name not in ("add", "multiply"):
            call.refuse("add or multiply, the only ufuncs that CuPy reduces", self._name)
        call.check_operands([array])
        return call.run(getattr(self._host, method), (array, *arguments), keywords)

    def outer(self, a: Any, b: Any, **keywords: Any) -> Any:
        """Apply to all pairs of elements."""
        call = Call(f"{self._name}.outer", self._index)
        call.check_operands([a, b])
        return call.run(self._host.outer, (a, b), keywords)

    def at(self, array: Any, indices: Any, values: Any) -> None:
        """Apply in place at indices, as often as each occurs."""
        call = Call(f"{self._name}.at", self._index)
        call.check_operands([array, values])
        served = SCATTER_DTYPES.get(self._name, frozenset())
        if array.dtype.name not in served:
            call.refuse(
                f"a dtype that CuPy can scatter ({', '.join(sorted(served)) or 'none'})",
                str(array.dtype),
            )
        call.run(self._host.at, (array, indices, values))


def _kind(operand: Any) -> str:
    """Name an operand's dtype; a Python number, which follows the other operand's, as ~int."""
    if isinstance(operand, StrictArray | np.generic):
        return str(operand.dtype.name)
    return f"~{type(operand).__name__}"


class StrictNamespace:
    """The module that kernels get as `xp`, or a module below it."""

    def __init__(self, index: int, path: str = "") -> None:
        """Look names up below `path` ("linalg." or so), for device number `index`."""
        self._index = index
        self._path = path

    def __getattr__(self, name: str) -> Any:
        """Return what CuPy has under a name, and keep it."""
        full = self._path + name
        if full not in CUPY_NAMES:
            raise AttributeError(f"kernels need names that numpy and CuPy share; got xp.{full}; see CUPY_NAMES")
        found = _wrapped(full, self._index)
        setattr(self, name, found)
        return found

    @cached_property
    def special(self) -> HostSpecial:
        """Return SciPy's functions, for this device's arrays; kernels find them by `scientific.xp_special`."""
        index = self._index
        return HostSpecial(lambda name, function: _function(f"special.{name}", function, index, use=False))

    @cached_property
    def lapack(self) -> HostLapack:
        """Return the host's functions, for this device's arrays; kernels find them by `lapack.xp_lapack`."""
        index = self._index
        return HostLapack(lambda name, function: _function(f"lapack.{name}", function, index, use=False))


def _wrapped(full: str, index: int) -> Any:
    found: Any = np
    for part in full.split("."):
        found = getattr(found, part)
    if found is np.ndarray:
        return StrictArray
    if isinstance(found, np.ufunc):
        return StrictUfunc(full, index)
    if isinstance(found, type(np)):
        return StrictNamespace(index, full + ".")
    if callable(found) and not isinstance(found, type):
        return _function(full, _as_strided if full.endswith(".as_strided") else found, index)
    return found


def _function(name: str, function: Callable[..., Any], index: int, use: bool = True) -> Callable[..., Any]:
    def call_it(*arguments: Any, **keywords: Any) -> Any:
        call = Call(name, index)
        result = call.run(function, arguments, keywords, use)
        if not call.arrays and name not in MAKERS:
            call.refuse("a device array", "none; CuPy does not make arrays of lists and numbers here")
        return result

    call_it.__name__ = name
    return call_it


def _as_strided(x: HostArray, shape: Sequence[int] | None = None, strides: Sequence[int] | None = None) -> HostArray:
    view = np.lib.stride_tricks.as_strided(x, shape, strides)
    owner = x
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    (low, high), (first, last) = (
        np.lib.array_utils.byte_bounds(view),
        np.lib.array_utils.byte_bounds(owner),
    )
    if view.size and not first <= low <= high <= last:
        raise StrictError(
            "xp.lib.stride_tricks.as_strided needs a view inside of its array's memory; got shape "
            f"{shape} and strides {strides} of {x.dtype}{list(x.shape)}"
        )
    return view


def _namespace(index: int) -> StrictNamespace:
    found: StrictNamespace = NAMESPACES.setdefault(index, StrictNamespace(index))
    return found


strict_xp = _namespace(0)


@dataclass(frozen=True, slots=True)
class StrictBackend(Backend):
    """The strict namespace as a backend."""

    index: int

    def from_host(self, host: HostArray) -> Any:
        """Copy to the device."""
        return StrictArray(np.array(checked_host(host), order="C"), self.index)

    def to_host(self, array: Any) -> HostArray:
        """Copy from the device."""
        return np.array(self._memory(array), order="C")

    def memory_of(self, array: Any) -> tuple[int, int]:
        """Look at the host's memory that stands for the device's."""
        return super().memory_of(self._memory(array))

    def as_strided(self, array: Any, shape: Any, strides_bytes: Any, offset_bytes: int = 0) -> Any:
        """View memory, with the CUDA backend's check."""
        memory = self._memory(array)
        check_extent(memory, shape, strides_bytes, offset_bytes)
        return StrictArray(np.ndarray(shape, memory.dtype, memory, offset_bytes, strides_bytes), self.index)

    def _memory(self, array: Any) -> HostArray:
        if not isinstance(array, StrictArray) or array._index != self.index:
            raise StrictError(f"{self.device} needs its own arrays; got {array!r}; ask the backend that made it")
        return array._host

    def synchronize(self) -> None:
        """Return at once."""

    def active(self) -> AbstractContextManager[Any]:
        """Silence numpy in this thread; the calls of `xp` do so by themselves."""
        return np.errstate(all="ignore")

    def fingerprint(self) -> str:
        """Describe numpy, whose numbers these are."""
        return host_fingerprint()


def open_strict(device: int = 0) -> StrictBackend:
    """Open a strict device; two of them refuse each other's arrays."""
    return StrictBackend("strict", f"strict:{device}", _namespace(device), StrictArray, device)
