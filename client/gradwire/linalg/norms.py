"""Norms of vectors and matrices. Nothing here waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.linalg.aliases import takes_numpy_names
from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.composites import linalg_products
from gradwire_protocol.dtypes import DType

__all__ = ["matrix_norm", "norm", "vector_norm"]

Dims = int | Sequence[int] | None


@takes_numpy_names
def vector_norm(
    input: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Any:
    """Return (sum |x|^ord)^(1/ord) over `dim`, or over all; inf and -inf are the extremes, 0 counts what is not 0."""
    given: Any = expect_tensor("linalg_vector_norm", input)
    if isinstance(ord, complex):
        raise RuntimeError("linalg.vector_norm: Expected a non-complex scalar as the order of norm.")
    if not isinstance(ord, int | float):
        raise TypeError(f"linalg_vector_norm(): argument 'ord' (position 2) must be Number, not {type(ord).__name__}")
    if dtype is not None:
        linalg_products.check_norm_dtype("linalg.vector_norm", given.dtype, dtype)
    return given.linalg_vector_norm(ord, dim, keepdim, dtype=dtype)


@takes_numpy_names
def matrix_norm(
    input: Tensor, ord: float | str = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *,
    dtype: DType | None = None,
) -> Any:  # fmt: skip
    """Return a norm of the matrices that two axes span.

    "fro" is the root of the sum of squares, "nuc" the sum of singular values, 2 and -2 the largest and smallest of them,
    1 and -1 the largest and smallest sum of a column's absolute values, inf and -inf of a row's.
    """
    if isinstance(dim, int):
        raise TypeError("linalg_matrix_norm(): argument 'dim' must be tuple of ints, not int")
    given: Any = expect_tensor("linalg_matrix_norm", input)
    return linalg_products.matrix_norm(given, ord, tuple(dim), keepdim, dtype)  # type: ignore[arg-type]


@takes_numpy_names
def norm(
    input: Tensor, ord: float | str | None = None, dim: Dims = None, keepdim: bool = False, *,
    dtype: DType | None = None,
) -> Any:  # fmt: skip
    """Return a vector norm along one axis, or a matrix norm over two.

    Without `dim`: of all elements if `ord` is None, else of `input` itself, which must be a vector or a matrix then.
    """
    given: Any = expect_tensor("linalg_norm", input)
    if dim is not None:
        axes = (dim,) if isinstance(dim, int) else tuple(dim)
        if len(axes) not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got [{', '.join(map(str, axes))}]"
            )
    elif ord is not None:
        if given.ndim not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {given.ndim}D"
            )
        axes = tuple(range(given.ndim))
    else:
        return vector_norm(given if keepdim else given.flatten(), 2, None, keepdim, dtype=dtype)
    if isinstance(ord, str) or (ord is not None and len(axes) == 2):
        return matrix_norm(given, ord, axes, keepdim, dtype=dtype)
    return vector_norm(given, 2 if ord is None else ord, axes, keepdim, dtype=dtype)
