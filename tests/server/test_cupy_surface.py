"""CuPy takes what kernels do to `xp`: names, arguments, the dtypes of ufuncs. Needs CuPy, but no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed, so nobody says whether it takes what kernels do")

import gradwire_server.ops  # noqa: E402, F401  (fills the table of kernels)
from gradwire_protocol.dtypes import from_numpy  # noqa: E402
from gradwire_protocol.meta import Meta  # noqa: E402
from gradwire_protocol.registry import OPS  # noqa: E402
from gradwire_server.engine import Array, Engine  # noqa: E402
from gradwire_server.strict import ARRAY_METHODS, CUPY_NAMES, RECORDED_USES, SCATTER_DTYPES, Use, open_strict  # noqa: E402
from tests.ops.samples import SAMPLES, Sample  # noqa: E402
from tests.server.cupy_surface import array_without_gpu, signature_of, unbindable  # noqa: E402

pytestmark = pytest.mark.parity


@pytest.fixture
def uses() -> Iterator[set[Use]]:
    """Give the record of this test alone, and put the session's back after it."""
    before = set(RECORDED_USES)
    RECORDED_USES.clear()
    yield RECORDED_USES
    RECORDED_USES.update(before)


def test_shared_names_are_shared_and_of_one_kind() -> None:
    for name in sorted(CUPY_NAMES):
        numpys, cupys = attrgetter(name)(np), attrgetter(name)(cupy)
        assert isinstance(cupys, type) == isinstance(numpys, type), name
        assert callable(cupys) == callable(numpys), name


def test_shared_functions_say_how_they_are_called() -> None:
    for name in sorted(CUPY_NAMES):
        found = attrgetter(name)(cupy)
        if callable(found) and not isinstance(found, type):
            assert signature_of(found).parameters, name


def test_shared_methods_are_shared() -> None:
    for name in sorted(ARRAY_METHODS):
        assert callable(getattr(np.ndarray, name)), name
        assert "self" in signature_of(getattr(cupy.ndarray, name)).parameters, name


@pytest.mark.parametrize("name", sorted(SCATTER_DTYPES))
def test_scatter_dtypes_are_cupys(name: str) -> None:
    if cupy.cuda.is_available():
        pytest.skip("the arrays of this test lie in host memory, which kernels of a GPU must not read")
    assert {dtype for dtype in "?bBhHiIlLefdFD" if _scatters(name, dtype)} == {
        np.dtype(dtype).char for dtype in SCATTER_DTYPES[name]
    }


def _scatters(name: str, dtype: str) -> bool:
    target, values = array_without_gpu(np.zeros(4, dtype)), array_without_gpu(np.zeros(2, dtype))
    try:
        getattr(cupy, name).at(target, array_without_gpu(np.zeros(2, np.int64)), values)
    except TypeError:
        return False
    except cupy.cuda.runtime.CUDARuntimeError:
        return True  # it got as far as the launch
    raise AssertionError("a kernel was launched without a GPU")


def test_scatters_that_are_refused_are_cupys_too() -> None:
    others = {name for name in CUPY_NAMES if isinstance(getattr(cupy, name.partition(".")[0]), cupy.ufunc)}
    for name in sorted(others - set(SCATTER_DTYPES)):
        with pytest.raises(NotImplementedError):
            getattr(cupy, name).at(array_without_gpu(np.zeros(1)), 0, 1)


GOOD = [
    Use("add", 2, (), ("float32", "~int"), ("float32",)),
    Use("add", 2, (), ("uint8", "~float"), ("float64",)),
    Use("add", 2, (), ("float32", "int64"), ("float64",)),
    Use("add", 3, (), ("float32", "float32")),
    Use("true_divide", 2, ("dtype",), ("int32", "int32"), ("float32",), "float32"),
    Use("divmod", 2, ("out",), ("int8", "int8")),
    Use("less", 2, ("out", "casting"), ("complex64", "~complex")),
    Use("floor", 1, (), ("int32",), ("int32",)),
    Use("matmul", 2, ("out",), ("float32", "float32")),
    Use("einsum", 3),
    Use("meshgrid", 2, ("indexing",)),
    Use("sum", 1, ("axis", "dtype", "keepdims")),
    Use("argsort", 1, ("axis", "kind")),
    Use("lib.stride_tricks.as_strided", 3),
    Use("linalg.norm", 1, ("axis",)),
    Use("add.at", 3),
    Use("add.reduce", 1, ("axis", "keepdims")),
    Use("ndarray.sum", 0, ("axis", "keepdims")),
    Use("ndarray.reshape", 3),
    Use("ndarray.astype", 1, ("copy",)),
    Use("ndarray.item", 0),
    Use("ndarray.__getitem__", 1),
    Use("ndarray.__setitem__", 2),
]
BAD = [
    (Use("vecdot", 2), r"not in CuPy"),
    (Use("ndarray.setfield", 2), r"not in CuPy"),
    (Use("add", 1), r"missing"),
    (Use("exp", 1, ("where",)), r"unexpected keyword argument 'where'"),
    (Use("sum", 1, ("where",)), r"unexpected keyword argument 'where'"),
    (Use("max", 1, ("initial",)), r"unexpected keyword argument 'initial'"),
    (Use("take", 2, ("mode",)), r"unexpected keyword argument 'mode'"),
    (Use("take_along_axis", 2), r"missing a required argument: 'axis'"),
    (Use("einsum", 3, ("out",)), r"unexpected keyword argument 'out'"),
    (Use("lib.stride_tricks.as_strided", 3, ("writeable",)), r"unexpected keyword argument"),
    (Use("add.reduce", 1, ("initial",)), r"unexpected keyword argument 'initial'"),
    (Use("ndarray.item", 1), r"too many positional arguments"),
    (Use("negative", 1, (), ("bool",)), r"CuPy refuses it: The cupy boolean negative"),
    (Use("bitwise_and", 2, (), ("float32", "int8")), r"CuPy refuses it: Wrong type"),
    (Use("add", 2, (), ("float32", "int64"), ("float32",)), r"CuPy gives float64, numpy float32"),
]


@pytest.mark.parametrize("use", GOOD, ids=lambda use: use.name)
def test_good_uses_pass(use: Use) -> None:
    assert unbindable([use]) == []


@pytest.mark.parametrize(("use", "words"), BAD, ids=lambda each: getattr(each, "name", None))
def test_bad_uses_are_named(use: Use, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        assert not unbindable([use]), unbindable([use])


def run_on_strict(sample: Sample) -> None:
    """Run every case of a sample on a strict engine; its kernels' uses of `xp` are recorded."""
    engine = Engine(open_strict())
    declared = OPS[sample.op]

    def upload(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            value = np.asarray(value)
            return Array(engine, engine.backend.from_host(value), Meta.of(value.shape, from_numpy(value.dtype)))
        return [upload(item) for item in value] if isinstance(value, list) else value

    for case in sample.cases(np.random.default_rng(0)):
        keywords = {name: upload(value) for name, value in case.kwargs.items()}
        bound = declared.bind([upload(value) for value in case.args], keywords)
        engine.call(declared, *declared.split(bound))


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_cupy_takes_what_kernels_do(name: str, uses: set[Use]) -> None:
    run_on_strict(SAMPLES[name])
    assert unbindable(uses) == []
