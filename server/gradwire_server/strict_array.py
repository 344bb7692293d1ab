"""The arrays of the strict namespace, and the way of every call between them and numpy.

Owns what crosses: nothing gets from numpy to a `StrictArray` or back but through `Call`. See
`strict` for the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from gradwire_server.backend import DEVICE_CHARS, HostArray
from gradwire_server.strict_surface import (
    ANSWERED_ON_DEVICE,
    ARRAY_METHODS,
    HOST_FROM,
    HOST_KEYWORDS,
    MAKERS,
    MAKERS_OF_ARRAYS,
    VALUE_ERRORS,
)

__all__ = ["NAMESPACES", "NUMBERS", "RECORDED_USES", "Call", "StrictArray", "StrictError", "Use"]

NUMBERS = (bool, int, float, complex, np.generic)
_HOST_VALUES = (*NUMBERS, str, np.dtype, type, slice, type(Ellipsis), type(None))


class Use(NamedTuple):
    """One way in which `xp` was used: enough to ask CuPy whether it takes it.

    A name is as after `xp.`, or "ndarray.sum" for a method, without self. The last three are kept
    for ufuncs only: `operands` and `results` are dtypes, or "~int" and so on for Python numbers;
    `dtype` is the keyword of that name.
    """

    name: str
    positional: int
    keywords: tuple[str, ...] = ()
    operands: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    dtype: str = ""


RECORDED_USES: set[Use] = set()  # of calls that succeeded, in this process
NAMESPACES: dict[int, Any] = {}  # by device, filled by `strict`: where operators find their ufuncs


class StrictError(TypeError):
    """A kernel did what CuPy would refuse, or do by a hidden wait for the device."""


class StrictFlags:
    """The three facts of memory layout that numpy's and CuPy's flags share."""

    __slots__ = ("c_contiguous", "f_contiguous", "owndata")

    def __init__(self, flags: Any) -> None:
        """Take over numpy's flags."""
        self.c_contiguous: bool = flags.c_contiguous
        self.f_contiguous: bool = flags.f_contiguous
        self.owndata: bool = flags.owndata


class StrictArray:
    """An array of a device that exists in tests only.

    Its elements are reached by `.item()` and `Backend.to_host`, by nothing else.
    """

    __slots__ = ("__weakref__", "_host", "_index")

    def __init__(self, host: HostArray, index: int) -> None:
        """Wrap numpy memory as that of device number `index`."""
        if host.dtype.char not in DEVICE_CHARS:
            raise StrictError(f"device arrays hold numbers and bools; got {host.dtype}; CuPy has no such arrays")
        self._host = host
        self._index = index

    __hash__ = None  # type: ignore[assignment]  # as in CuPy: == is elementwise

    shape = property(lambda self: self._host.shape, doc="The sizes.")
    strides = property(lambda self: self._host.strides, doc="The bytes between neighbours along each axis.")
    dtype = property(lambda self: self._host.dtype, doc="The numpy dtype.")
    ndim = property(lambda self: self._host.ndim, doc="The number of axes.")
    size = property(lambda self: self._host.size, doc="The number of elements.")
    itemsize = property(lambda self: self._host.itemsize, doc="The bytes of one element.")
    nbytes = property(lambda self: self._host.nbytes, doc="The bytes of all elements.")
    flags = property(lambda self: StrictFlags(self._host.flags), doc="How the memory is laid out.")
    T = property(lambda self: StrictArray(self._host.T, self._index), doc="A view with the axes reversed.")
    mT = property(
        lambda self: StrictArray(self._host.mT, self._index),
        doc="A view with the last two axes swapped.",
    )
    real = property(lambda self: StrictArray(self._host.real, self._index), doc="The real parts: a view.")
    imag = property(lambda self: StrictArray(self._host.imag, self._index), doc="The imaginary parts.")

    def __len__(self) -> int:
        """Return the size of the first axis."""
        return len(self._host)

    def __repr__(self) -> str:
        """Return dtype, shape and device; values would be a wait for the device."""
        return f"StrictArray({self._host.dtype}{list(self._host.shape)}, strict:{self._index})"

    def __getattr__(self, name: str) -> Any:
        """Return a method that numpy's and CuPy's arrays share."""
        if name not in ARRAY_METHODS:
            raise AttributeError(f"device arrays need methods that numpy and CuPy share; got .{name} of {self!r}")

        def method(*arguments: Any, **keywords: Any) -> Any:
            if name == "astype" and (arguments[2:] or {"casting", "subok"} & set(keywords)):
                raise StrictError("astype takes dtype, order and copy; got more; CuPy refuses casting and subok")
            call = Call(f"ndarray.{name}", self._index)
            return call.run(getattr(call.unwrap(self), name), arguments, keywords)

        return method

    def __getitem__(self, index: Any) -> Any:
        """Return elements: for numbers and slices a view, even if of one element."""
        call = Call("ndarray.__getitem__", self._index)
        return call.run(call.unwrap(self).__getitem__, (_whole(index),))

    def __setitem__(self, index: Any, value: Any) -> None:
        """Assign a number or a device array."""
        call = Call("ndarray.__setitem__", self._index)
        call.check_operands([value])
        call.run(call.unwrap(self).__setitem__, (_whole(index), value))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        """Serve `numpy_scalar * array`, which Python hands to numpy first; refuse all else."""
        if method == "__call__" and isinstance(inputs[0], np.generic) and not keywords:
            return getattr(NAMESPACES[self._index], ufunc.__name__)(*inputs)
        return self.__array_function__(ufunc)

    def __array_function__(self, function: Callable[..., Any], *_: Any) -> NoReturn:
        """Refuse numpy's functions."""
        name = getattr(function, "__name__", "function")
        raise StrictError(f"numpy.{name} needs arrays of the host; got {self!r}; use xp.{name} on device arrays alone")


def _whole(index: Any) -> tuple[Any, ...]:
    """Add the ellipsis that an index may leave out.

    With it, numpy returns views without axes instead of scalars, as CuPy does.
    """
    items = index if isinstance(index, tuple) else (index,)
    return items if any(item is Ellipsis for item in items) else (*items, Ellipsis)


def _no_host_value(array: StrictArray, *_: Any) -> NoReturn:
    raise StrictError(
        f"kernels must not look at values: {array!r} was converted, tested, iterated or used as a "
        "number, which waits for the device; stay in xp functions, or ask for the value by .item()"
    )


for _name in ("array", "bool", "complex", "contains", "float", "index", "int", "iter", "reduce_ex"):
    setattr(StrictArray, f"__{_name}__", _no_host_value)


def _operator(name: str, ufunc: str) -> None:
    """Give StrictArray an operator by its ufunc, with the reflected and the in-place form."""

    def forward(self: StrictArray, *other: Any) -> Any:
        return getattr(NAMESPACES[self._index], ufunc)(self, *other)

    def reflected(self: StrictArray, other: Any) -> Any:
        return getattr(NAMESPACES[self._index], ufunc)(other, self)

    def in_place(self: StrictArray, other: Any) -> Any:
        return getattr(NAMESPACES[self._index], ufunc)(self, other, out=self)

    setattr(StrictArray, f"__{name}__", forward)
    if name not in _WITHOUT_REFLECTION:
        setattr(StrictArray, f"__r{name}__", reflected)
        if name not in ("matmul", "divmod"):  # CuPy has no @=, so Python makes `a = a @ b` of it
            setattr(StrictArray, f"__i{name}__", in_place)


_UFUNCS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
    "floordiv": "floor_divide", "mod": "remainder", "divmod": "divmod", "pow": "power",
    "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift", "eq": "equal", "ne": "not_equal",
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "neg": "negative",
    "pos": "positive", "abs": "absolute", "invert": "invert",
}  # fmt: skip
_WITHOUT_REFLECTION = {"eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"}
for _name, _ufunc in _UFUNCS.items():
    _operator(_name, _ufunc)


class Call:
    """One call's way from device values to numpy's and back.

    It knows its arrays again, so that `out=` is returned as it came.
    """

    __slots__ = ("arrays", "index", "name")

    def __init__(self, name: str, index: int) -> None:
        """Begin the call of `xp.<name>` on device number `index`."""
        self.name = name
        self.index = index
        self.arrays: dict[int, StrictArray] = {}

    def run(
        self,
        function: Callable[..., Any],
        arguments: Iterable[Any],
        keywords: Mapping[str, Any] = {},
        use: bool = True,
    ) -> Any:
        """Call numpy, without floating-point warnings as on a device, and record the use."""
        host_arguments = [self.unwrap(value) for value in arguments]
        host_keywords = {name: self.unwrap(value) for name, value in keywords.items()}
        self._check_sizes(host_arguments, host_keywords)
        try:
            with np.errstate(all="ignore"):
                result = function(*host_arguments, **host_keywords)
        except (IndexError, ValueError) as error:
            self._check_error(error, host_arguments)
            raise
        if use:
            RECORDED_USES.add(Use(self.name, len(host_arguments), tuple(sorted(keywords))))
        return self.wrap(result)

    def unwrap(self, value: Any) -> Any:
        """Unwrap device arrays, in lists and tuples too; refuse what would be copied there."""
        if isinstance(value, StrictArray):
            if value._index != self.index:
                self.refuse(f"arrays of strict:{self.index}", f"{value!r}; move it by to_host and from_host")
            self.arrays[id(value._host)] = value
            return value._host
        if isinstance(value, list | tuple):
            items = [self.unwrap(item) for item in value]
            return items if isinstance(value, list) else tuple(items)
        if not isinstance(value, _HOST_VALUES):
            self.refuse("device arrays and numbers", f"{_type_name(value)}; move it by Backend.from_host")
        return value

    def wrap(self, value: Any) -> Any:
        """Wrap numpy's arrays, and its scalars, which are arrays without axes on a device."""
        if isinstance(value, np.ndarray):
            known = self.arrays.get(id(value))
            return StrictArray(value, self.index) if known is None else known
        if isinstance(value, np.generic) or self.name in ANSWERED_ON_DEVICE:
            return StrictArray(np.asarray(value), self.index)
        if isinstance(value, list | tuple):
            items = [self.wrap(item) for item in value]
            return items if isinstance(value, list) else tuple(items)
        return value

    def check_operands(self, values: Iterable[Any]) -> None:
        """Refuse what CuPy takes neither as operand nor as value to assign: lists, None."""
        for value in values:
            if not isinstance(value, (StrictArray, *NUMBERS)):
                self.refuse(
                    "device arrays and numbers",
                    f"{_type_name(value)}; move it by Backend.from_host",
                )

    def refuse(self, needed: str, got: str) -> NoReturn:
        """Raise StrictError."""
        raise StrictError(f"xp.{self.name} needs {needed}; got {got}")

    def _check_sizes(self, arguments: list[Any], keywords: dict[str, Any]) -> None:
        makes = self.name in MAKERS and self.name not in MAKERS_OF_ARRAYS
        first = 0 if makes else HOST_FROM.get(self.name, len(arguments))
        sizes = arguments[first:] + [value for name, value in keywords.items() if makes or name in HOST_KEYWORDS]
        if any(_holds(value, np.ndarray) for value in sizes):
            self.refuse("sizes, axes and counts as Python numbers", "a device array; take them from shapes")

    def _check_error(self, error: Exception, arguments: list[Any]) -> None:
        """Refuse an error that numpy found by looking at values."""
        if isinstance(error, np.exceptions.AxisError) or not any(words in str(error) for words in VALUE_ERRORS):
            return
        if self.name.startswith("ndarray.__") and not _holds(arguments[0], np.ndarray, list):
            return  # an index of numbers alone: both check it
        raise StrictError(
            f"kernels must look for errors in values themselves: xp.{self.name} raised "
            f"{type(error).__name__}: {error}; CuPy would go on with some number"
        ) from error


def _holds(value: Any, *types: type) -> bool:
    if isinstance(value, list | tuple) and any(_holds(item, *types) for item in value):
        return True
    return isinstance(value, types)


def _type_name(value: Any) -> str:
    return f"a {type(value).__module__}.{type(value).__qualname__}"
