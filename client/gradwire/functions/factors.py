"""LU factors under their older names, whose first argument is not called `input`."""

from __future__ import annotations

from typing import Any

from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.composites.results import return_type

__all__ = ["lu", "lu_unpack"]

_WithInfo = return_type("_lu_with_info", "LU", "pivots", "info")


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """Return (LU, pivots), and with `get_infos` LAPACK's infos; `linalg.lu_factor` is the newer form."""
    found = expect_tensor("lu", A).lu(pivot, get_infos)
    return _WithInfo(*found) if get_infos else found


def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    """Return (P, L, U) of LU factors, (*, m, n) -> (*, m, m), (*, m, k), (*, k, n); P has no gradient."""
    return expect_tensor("lu_unpack", LU_data).lu_unpack(LU_pivots, unpack_data, unpack_pivots)
