"""Dtypes: singletons, wire codes, and PyTorch's promotion."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gradwire_protocol import dtypes
from gradwire_protocol.dtypes import DTYPES, Category, from_code, from_numpy, promote_types, scalar_dtype
from gradwire_protocol.registry import torch_type_name

PAIRS = list(itertools.combinations_with_replacement(DTYPES, 2))


@pytest.mark.parametrize("dtype", DTYPES, ids=repr)
def test_codes_and_numpy_types_lead_back(dtype):
    assert from_code(dtype.code) is dtype
    assert from_numpy(dtype.numpy) is dtype
    assert from_numpy(dtype.numpy.newbyteorder(">")) is dtype
    assert (dtype.itemsize, repr(dtype)) == (np.dtype(dtype.name).itemsize, f"gradwire.{dtype.name}")


def test_codes_stay_what_they_were():
    """A code is never reused: an older client would read it as what it once was."""
    assert {dtype.name: dtype.code for dtype in DTYPES} == {
        "bool": 1, "uint8": 2, "int8": 3, "int16": 4, "int32": 5, "int64": 6, "float16": 7, "bfloat16": 8, "float32": 9,
        "float64": 10, "complex64": 11, "complex128": 12,
    }  # fmt: skip


@pytest.mark.parametrize("code", [0, 13, -1])
def test_an_unknown_code_is_refused_with_those_that_are_known(code):
    with pytest.raises(ValueError, match=f"one of 1=bool, .*; got {code}; update the older side"):
        from_code(code)


def test_a_numpy_type_without_ours_is_refused():
    with pytest.raises(TypeError, match=r"can't convert np.ndarray of type uint16. The only supported types are: bool"):
        from_numpy(np.uint16)
    with pytest.raises(TypeError, match="of type object"):
        from_numpy(np.dtype(object))


def test_flags():
    assert [dtype.name for dtype in DTYPES if not dtype.is_signed] == ["bool", "uint8"]
    floating = [dtype.name for dtype in DTYPES if dtype.is_floating_point]
    assert floating == ["float16", "bfloat16", "float32", "float64"]
    assert [dtype.name for dtype in DTYPES if dtype.is_complex] == ["complex64", "complex128"]
    assert [d.name for d in DTYPES if d.is_differentiable] == [*floating, "complex64", "complex128"]
    assert [dtype.category for dtype in (dtypes.bool_, dtypes.int8)] == [Category.BOOL, Category.INT]


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=repr)
def test_promotion_is_symmetric_and_never_loses_a_category(a, b):
    promoted = promote_types(a, b)
    assert promote_types(b, a) is promoted
    assert promoted.category is max(a.category, b.category)
    assert promote_types(promoted, a) is promoted
    assert promote_types(promoted, b) is promoted


@pytest.mark.parametrize(
    ("a", "b", "promoted"),
    [
        ("uint8", "int8", "int16"),
        ("uint8", "int16", "int16"),
        ("int64", "float16", "float16"),
        ("float16", "bfloat16", "float32"),
        ("bool", "uint8", "uint8"),
        ("float64", "complex64", "complex128"),
        ("float32", "complex64", "complex64"),
        ("int64", "complex64", "complex64"),
    ],
)
def test_promotion_in_its_odd_places(a, b, promoted):
    by_name = {dtype.name: dtype for dtype in DTYPES}
    assert promote_types(by_name[a], by_name[b]).name == promoted


@pytest.mark.parity
def test_promotion_is_pytorch_s():
    torch = pytest.importorskip("torch")
    for a, b in PAIRS:
        expected = torch.promote_types(getattr(torch, a.name), getattr(torch, b.name))
        assert f"torch.{promote_types(a, b).name}" == str(expected), (a, b)


@pytest.mark.parity
def test_type_names_are_those_of_pytorch_s_messages():
    torch = pytest.importorskip("torch")
    legacy = {"Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "Float", "Double"}
    for dtype in DTYPES:
        name = torch_type_name(dtype)
        if name in legacy:
            assert torch.empty(0, dtype=getattr(torch, dtype.name)).type() == f"torch.{name}Tensor"


def test_numbers_stand_for_dtypes():
    assert scalar_dtype(bool) is dtypes.bool_
    assert scalar_dtype(int) is dtypes.int64
    assert scalar_dtype(float) is dtypes.float32
    assert scalar_dtype(float, dtypes.float16) is dtypes.float16
    assert scalar_dtype(complex) is dtypes.complex64
    assert scalar_dtype(complex, dtypes.float64) is dtypes.complex128
    with pytest.raises(TypeError, match="must be a bool, int, float or complex; got str"):
        scalar_dtype(str)
