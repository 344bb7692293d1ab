"""Products by Intel's MKL, where it is installed (`gradwire[mkl]`). The only file that loads the library; it never decides what a
kernel computes, only how fast.

It multiplies on one thread, in MKL's strict mode of reproducible results: the same product has the same bits wherever its arrays
lie in memory, so a replay repeats them. They need not be OpenBLAS's bits, which the numerics fingerprint therefore tells. With
more than one BLAS thread products stay numpy's: two libraries' threads would share the cores, and how well is not known.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys
import threading
from ctypes import c_double, c_float, c_int, c_void_p
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradwire_server.native.addresses import address

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["mkl_version", "product"]

Array = np.ndarray[Any, Any]

# Constants of mkl_service.h and mkl_cblas.h. AUTO: the best code path of this processor; STRICT: not one that depends on addresses.
_SEQUENTIAL = 1
_AUTO_STRICT = 2 | 0x10000
_ROW_MAJOR = 101
_AS_IT_IS, _TRANSPOSED = 111, 112
_MOST_EXTENT = 2**31 - 1
_SCALARS = {"f": ("s", c_float), "d": ("d", c_double)}
# Multiplications of each matrix of a batch from which on MKL is the faster one, by 1.5 at 32x32x32; numpy at 10x10x10.
_LEAST_OF_BATCH = 16_384
_loading = threading.Lock()


class _Routines(NamedTuple):
    """The two products of one dtype."""

    one: Any
    batch: Any


class _Plan(NamedTuple):
    """What MKL is told of a product besides addresses, in elements; `*_bytes` are the spans from first to last element."""

    rows: int
    columns: int
    inner: int
    first: tuple[int, int, int]  # as it is or transposed, elements from row to row, and from matrix to matrix
    second: tuple[int, int, int]
    out: tuple[int, int, int]
    matrices: int
    shape: tuple[int, ...]
    first_bytes: int
    second_bytes: int
    out_bytes: int


@functools.cache
def mkl_version() -> str:
    """Return the version of the MKL that products go through, "" where it is missing, switched off, or for several threads."""
    found = _installed()
    return found.version if found is not None and _library(found) else ""


def product(a: Array, b: Array, out: Array | None) -> Array | None:
    """Multiply matrices, or as many of each, (*, N, K) @ (*, K, M); None where that is left to numpy: see `_planned`."""
    char = a.dtype.char
    routines = _routines().get(char)
    if routines is None or b.dtype != a.dtype:
        return None
    plan = _planned(a.itemsize, a.shape, a.strides, b.shape, b.strides, None if out is None else out.strides)
    if plan is None:
        return None if out is None else _copied(product(a, b, None), out)
    if out is None:
        out = np.empty(plan.shape, a.dtype)
    elif out.dtype != a.dtype or out.shape != plan.shape or not out.flags.writeable:
        return None
    at_a, at_b, at_out = address(a), address(b), address(out)
    end = at_out + plan.out_bytes
    is_shared = (at_a < end and at_out < at_a + plan.first_bytes) or (at_b < end and at_out < at_b + plan.second_bytes)
    if is_shared or at_out % a.itemsize:
        return _copied(product(a, b, None), out)
    if (at_a | at_b) % a.itemsize:
        return None
    _multiply(routines, plan, at_a, at_b, at_out)
    return out


def _copied(made: Array | None, out: Array) -> Array | None:
    """Put a product into memory that MKL cannot write: whether it multiplies must not depend on where the result goes."""
    if made is None or out.dtype != made.dtype or out.shape != made.shape or not out.flags.writeable:
        return None
    out[...] = made
    return out


def _multiply(routines: _Routines, plan: _Plan, at_a: int, at_b: int, at_out: int) -> None:
    (trans_a, lead_a, step_a), (trans_b, lead_b, step_b), (_, lead, step) = plan.first, plan.second, plan.out
    if plan.matrices == 1:
        routines.one(
            _ROW_MAJOR, trans_a, trans_b, plan.rows, plan.columns, plan.inner, 1.0, at_a, lead_a, at_b, lead_b, 0.0, at_out, lead
        )  # fmt: skip
    else:
        routines.batch(
            _ROW_MAJOR, trans_a, trans_b, plan.rows, plan.columns, plan.inner, 1.0, at_a, lead_a, step_a, at_b, lead_b, step_b,
            0.0, at_out, lead, step, plan.matrices,
        )  # fmt: skip


@functools.lru_cache(1024)
def _planned(
    itemsize: int, a: tuple[int, ...], a_strides: tuple[int, ...], b: tuple[int, ...], b_strides: tuple[int, ...],
    out_strides: tuple[int, ...] | None,
) -> _Plan | None:  # fmt: skip
    """Return how to multiply arrays of these shapes and strides, None if MKL does not take them.

    It takes matrices and batches of as many, with more than one row, column and inner element (BLAS has other routines for
    vectors), of which each lies row by row or column by column, and a result that lies row by row.
    """
    if len(a) != len(b) or len(a) not in (2, 3) or a[:-2] != b[:-2] or a[-1] != b[-2]:
        return None
    count, rows, columns, inner = a[0] if len(a) == 3 else 1, a[-2], b[-1], a[-1]
    shape = (*a[:-2], rows, columns)
    if min(count - 1, rows - 2, columns - 2, inner - 2) < 0 or max(count, rows, columns, inner) > _MOST_EXTENT:
        return None
    if count > 1 and rows * columns * inner < _LEAST_OF_BATCH:
        return None
    if out_strides is None:
        out_strides = (rows * columns * itemsize, columns * itemsize, itemsize)[-len(a) :]
    if len(out_strides) != len(a):
        return None
    first, second, out = (
        _layout(count, *matrix, strides, itemsize)
        for matrix, strides in (
            ((rows, inner), a_strides),
            ((inner, columns), b_strides),
            ((rows, columns), out_strides),
        )
    )
    if first is None or second is None or out is None or out[0] == _TRANSPOSED:
        return None
    spans = (
        _span(count, *matrix, layout) * itemsize
        for matrix, layout in (((rows, inner), first), ((inner, columns), second), ((rows, columns), out))
    )
    return _Plan(rows, columns, inner, first, second, out, count, shape, *spans)


def _layout(
    count: int, rows: int, columns: int, strides: tuple[int, ...], itemsize: int
) -> tuple[int, int, int] | None:
    """Return the order of matrices and their two steps in elements, None if they do not lie as BLAS wants."""
    down, across = strides[-2:]
    if across == itemsize and down >= columns * itemsize:
        order, lead, outer = _AS_IT_IS, down, rows
    elif down == itemsize and across >= rows * itemsize:
        order, lead, outer = _TRANSPOSED, across, columns
    else:
        return None
    step = strides[0] if count > 1 else 0
    if lead % itemsize or step % itemsize or max(lead, step) // itemsize > _MOST_EXTENT:
        return None
    if count > 1 and step < lead * outer:
        return None
    return order, lead // itemsize, step // itemsize


def _span(count: int, rows: int, columns: int, layout: tuple[int, int, int]) -> int:
    order, lead, step = layout
    outer, inner = (rows, columns) if order == _AS_IT_IS else (columns, rows)
    return (count - 1) * step + (outer - 1) * lead + inner


# ---------------------------------------------------------------- the library
@functools.cache
def _installed() -> Distribution | None:
    """Return the package if it may be used here: asked once, so that products and the fingerprint agree."""
    threads = os.environ.get("MKL_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    if os.environ.get("GRADWIRE_MKL", "1") == "0" or threads != "1":
        return None
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution("mkl")
    except PackageNotFoundError:
        return None


def _library(package: Distribution) -> ctypes.CDLL | None:
    """Load the package's library."""
    for file in package.files or ():
        if file.name.startswith("libmkl_rt.so"):
            return _loaded(os.path.realpath(str(file.locate())))
    return None


@functools.cache
def _loaded(path: str) -> ctypes.CDLL | None:
    """Load a library local to us: numpy's BLAS and PyTorch's own MKL export the same names."""
    try:
        return ctypes.CDLL(path, mode=ctypes.RTLD_LOCAL)
    except OSError:  # half installed
        return None


def _routines() -> dict[str, _Routines]:
    with _loading:  # one thread prepares MKL: the mode cannot be set after a product
        return _prepared()


@functools.cache
def _prepared() -> dict[str, _Routines]:
    """Return MKL's products by dtype, none where it is not in use."""
    package = _installed()
    library = None if package is None else _library(package)
    return {} if library is None else _opened(library)


@functools.cache
def _opened(library: ctypes.CDLL) -> dict[str, _Routines]:
    """Prepare the library and return its products."""
    library.MKL_Set_Threading_Layer(_SEQUENTIAL)
    code = library.MKL_CBWR_Set(_AUTO_STRICT)
    if code:
        raise RuntimeError(
            f"MKL needs its strict reproducible mode before its first product; MKL_CBWR_Set returned {code}; unset MKL_CBWR, "
            "or set GRADWIRE_MKL=0 to multiply by numpy"
        )
    probe = np.empty(1)
    if address(probe) != probe.ctypes.data:
        raise RuntimeError(
            f"gradwire needs numpy's arrays to begin with their address; numpy {np.__version__} has another layout; "
            "set GRADWIRE_MKL=0 to multiply by numpy"
        )
    return {char: _declared(library, prefix, scalar) for char, (prefix, scalar) in _SCALARS.items()}


def _declared(library: ctypes.CDLL, prefix: str, scalar: type[Any]) -> _Routines:
    one, batch = getattr(library, f"cblas_{prefix}gemm"), getattr(library, f"cblas_{prefix}gemm_batch_strided")
    one.argtypes = [c_int] * 6 + [scalar, c_void_p, c_int, c_void_p, c_int, scalar, c_void_p, c_int]
    matrices = [c_void_p, c_int, c_int]
    batch.argtypes = [c_int] * 6 + [scalar, *matrices, *matrices, scalar, *matrices, c_int]
    one.restype = batch.restype = None
    return _Routines(one, batch)
