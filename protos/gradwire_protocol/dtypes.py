"""Element types, their categories, and PyTorch's promotion lattice.

Both sides hold the same singletons, so a dtype is compared by identity. The wire carries `DType.code`, which is never
reused. This is the only module of the contract that knows numpy, and the only one of all that knows ml_dtypes, whose
bfloat16 numpy lacks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import ml_dtypes
import numpy as np

from gradwire_protocol.shown import qualified

__all__ = ["DTYPES", "Category", "DType", "from_code", "from_numpy", "promote_types", "scalar_dtype"]


class Category(IntEnum):
    """The four ranks of type promotion, lowest first."""

    BOOL = 0
    INT = 1
    FLOAT = 2
    COMPLEX = 3


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """One element type. Use the module's singletons; equality is identity."""

    name: str
    code: int
    category: Category
    rank: int
    numpy: np.dtype[np.generic]
    is_differentiable: bool = field(init=False)  # whether tensors of it may require grad: floating and complex ones

    def __post_init__(self) -> None:
        # Not a property: it is asked for with every recorded call.
        object.__setattr__(self, "is_differentiable", self.category >= Category.FLOAT)

    @property
    def itemsize(self) -> int:
        """Return the bytes of one element."""
        return self.numpy.itemsize

    @property
    def is_floating_point(self) -> bool:
        """Return whether this is a real floating type."""
        return self.category is Category.FLOAT

    @property
    def is_complex(self) -> bool:
        """Return whether this is a complex type."""
        return self.category is Category.COMPLEX

    @property
    def is_signed(self) -> bool:
        """Return whether negative values can be held."""
        return self.name not in ("bool", "uint8")

    def __repr__(self) -> str:
        return qualified(self.name)


def _dtype(name: str, code: int, category: Category, rank: int) -> DType:
    return DType(name, code, category, rank, np.dtype(name))


bool_ = _dtype("bool", 1, Category.BOOL, 0)
uint8 = _dtype("uint8", 2, Category.INT, 1)
int8 = _dtype("int8", 3, Category.INT, 1)
int16 = _dtype("int16", 4, Category.INT, 2)
int32 = _dtype("int32", 5, Category.INT, 3)
int64 = _dtype("int64", 6, Category.INT, 4)
float16 = _dtype("float16", 7, Category.FLOAT, 5)
# numpy finds it by its name once ml_dtypes is imported; of its kind "V", so a kernel is given float32 in its stead.
bfloat16 = DType("bfloat16", 8, Category.FLOAT, 5, np.dtype(ml_dtypes.bfloat16))
float32 = _dtype("float32", 9, Category.FLOAT, 6)
float64 = _dtype("float64", 10, Category.FLOAT, 7)
complex64 = _dtype("complex64", 11, Category.COMPLEX, 6)
complex128 = _dtype("complex128", 12, Category.COMPLEX, 7)

DTYPES: tuple[DType, ...] = (
    bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip

_BY_CODE = {dtype.code: dtype for dtype in DTYPES}
_BY_NUMPY = {dtype.numpy: dtype for dtype in DTYPES}
_PROMOTED: dict[tuple[DType, DType], DType] = {}


def from_code(code: int) -> DType:
    """Return the dtype of a wire code; raise ValueError for one this build does not know."""
    dtype = _BY_CODE.get(code)
    if dtype is None:
        known = ", ".join(f"{d.code}={d.name}" for d in DTYPES)
        raise ValueError(f"a dtype code must be one of {known}; got {code}; update the older side")
    return dtype


def from_numpy(dtype: np.dtype[np.generic] | type) -> DType:
    """Return our dtype of a numpy one, in any byte order; raise TypeError if there is none."""
    native = np.dtype(dtype).newbyteorder("=")
    found = _BY_NUMPY.get(native)
    if found is None:
        names = ", ".join(d.name for d in DTYPES)
        raise TypeError(f"can't convert np.ndarray of type {native}. The only supported types are: {names}.")
    return found


def _promote(a: DType, b: DType) -> DType:
    high, low = (a, b) if (a.category, a.rank) >= (b.category, b.rank) else (b, a)
    if high.category is Category.COMPLEX and low is float64:
        return complex128
    if {a, b} == {uint8, int8}:
        return int16
    if {a, b} == {float16, bfloat16}:
        return float32
    return high


def promote_types(a: DType, b: DType) -> DType:
    """Return the smallest dtype that PyTorch promotes a pair of tensor dtypes to."""
    if a is b:
        return a
    key = (a, b)
    found = _PROMOTED.get(key)
    if found is None:
        found = _PROMOTED[key] = _promote(a, b)
    return found


def scalar_dtype(kind: type, default: DType = float32) -> DType:
    """Return the dtype that a Python number of type `kind` stands for; `default` is the default float dtype."""
    if kind is bool:
        return bool_
    if kind is int:
        return int64
    if kind is float:
        return default
    if kind is complex:
        return complex128 if default is float64 else complex64
    raise TypeError(f"a scalar must be a bool, int, float or complex; got {kind.__name__}")
