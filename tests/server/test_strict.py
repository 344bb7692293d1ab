"""The strict namespace gives numpy's numbers, and refuses what CuPy would refuse or wait for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import numpy as np
import pytest

from gradwire_server.strict import (
    RECORDED_USES,
    StrictArray,
    StrictBackend,
    StrictError,
    Use,
    open_strict,
    strict_xp,
)

xp: Any = strict_xp


@pytest.fixture(autouse=True)
def uses() -> Iterator[set[Use]]:
    """Keep this file's misuses out of what is asked of CuPy."""
    before = set(RECORDED_USES)
    RECORDED_USES.clear()
    yield RECORDED_USES
    RECORDED_USES.clear()
    RECORDED_USES.update(before)


@pytest.fixture
def strict() -> StrictBackend:
    return open_strict()


@pytest.fixture
def x(strict: StrictBackend) -> Any:
    return strict.from_host(np.arange(6, dtype=np.float32).reshape(2, 3))


@pytest.fixture
def order(strict: StrictBackend) -> Any:
    return strict.from_host(np.array([1, 0]))


# --- what leaves the device


@pytest.mark.parametrize(
    "look",
    [
        float, int, bool, complex, iter, list, sum, copy.copy, copy.deepcopy, np.asarray, np.array,
        lambda one: range(one), lambda one: [1, 2][one], lambda one: 1.0 in one, lambda one: one in [one + 1],
        lambda one: 1 if one > 0 else 0, lambda one: np.array([one]), lambda one: round(one),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(), (1,)])
def test_no_value_leaves_the_device_unasked(strict: StrictBackend, look: Callable[[Any], Any], shape: Any) -> None:
    with pytest.raises(TypeError):
        look(strict.from_host(np.ones(shape)))


def test_unpacking_is_refused(x: Any) -> None:
    with pytest.raises(StrictError, match=r"must not look at values: StrictArray\(float32\[2, 3\], strict:0\)"):
        _first, _second = x


@pytest.mark.parametrize(
    "name", ["get", "tolist", "tobytes", "data", "ctypes", "flat", "__array_interface__", "__dlpack__"]
)
def test_other_ways_out_do_not_exist(x: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(x, name)


def test_item_is_asked_for(x: Any) -> None:
    assert x[1, 2].item() == 5.0
    assert type(x[1, 2].item()) is float
    with pytest.raises(ValueError, match="size 1"):
        x.item()


def test_text_shows_no_values(x: Any) -> None:
    assert repr(x) == str(x) == f"{x}" == "StrictArray(float32[2, 3], strict:0)"


def test_arrays_are_not_keys(x: Any) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)


# --- what comes to the device


HOST = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("name", "mix"),
    [
        ("add", lambda x: x + HOST), ("add", lambda x: HOST + x), ("matmul", lambda x: HOST.T @ x),
        ("multiply", lambda x: x.__imul__(HOST)), ("less", lambda x: x < HOST), ("maximum",
        lambda x: xp.maximum(x, HOST)),
        ("add", lambda x: xp.add(x, x, out=HOST)), ("add", lambda x: xp.add(x, x, HOST)),
        ("concatenate", lambda x: xp.concatenate([x, HOST])), ("where", lambda x: xp.where(x > 0, x, HOST)),
        ("sum", lambda x: xp.sum(HOST)), ("asarray", lambda x: xp.asarray(HOST)), ("take",
        lambda x: x.take(np.array([0]))),
        ("__getitem__", lambda x: x[np.array([0])]), ("__getitem__", lambda x: x[0, np.array([True, False, True])]),
        ("__setitem__", lambda x: x.__setitem__(0, HOST[0])), ("__setitem__",
        lambda x: x.__setitem__(np.array(0), 1.0)),
        ("add.at", lambda x: xp.add.at(x, np.array([0]), 1.0)), ("add.reduce", lambda x: xp.add.reduce(HOST)),
        ("maximum", lambda x: np.maximum(x, x)), ("sum", lambda x: np.sum(x)), ("concatenate",
        lambda x: np.concatenate([x])),
        ("add", lambda x: xp.add(x, [1, 2, 3])), ("add", lambda x: x.__add__([1, 2, 3])), ("equal",
        lambda x: x == None),  # noqa: E711,
        ("__setitem__", lambda x: x.__setitem__(0, [1, 2, 3])), ("sum", lambda x: xp.sum([1.0, 2.0])),
        ("stack", lambda x: xp.stack([(1, 2), (3, 4)])),
    ],
)  # fmt: skip
def test_host_arrays_and_lists_are_refused_by_name(x: Any, name: str, mix: Callable[[Any], Any]) -> None:
    with pytest.raises(StrictError, match=rf"\b{name} needs"):
        mix(x)
    np.testing.assert_array_equal(HOST, 1)


@pytest.mark.parametrize("two", [2, 2.0, True, np.float32(2), np.int64(2), np.float64(2)], ids=repr)
def test_numbers_are_welcome_on_both_sides(strict: StrictBackend, x: Any, two: Any) -> None:
    host = strict.to_host(x)
    for ours, numpys in [(x * two, host * two), (two * x, two * host), (two - x, two - host), (x < two, host < two)]:
        assert type(ours) is StrictArray
        assert ours.dtype == numpys.dtype
        np.testing.assert_array_equal(strict.to_host(ours), numpys)


def test_lists_of_numbers_make_arrays_where_asked(strict: StrictBackend) -> None:
    np.testing.assert_array_equal(strict.to_host(xp.asarray([[1, 2], [3, 4]], dtype=xp.uint64)), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(strict.to_host(xp.full((2,), xp.asarray(3.0))), [3, 3])


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: a + b, lambda a, b: xp.concatenate([a, b]), lambda a, b: xp.add(a, a, out=b),
        lambda a, b: xp.sum(b), lambda a, b: a.__setitem__(0, b[0]), lambda a, b: open_strict(0).to_host(b),
        lambda a, b: open_strict(0).as_strided(b, (1,), (4,)), lambda a, b: b.__radd__(a),
    ],
)  # fmt: skip
def test_two_devices_do_not_mix(x: Any, mix: Callable[[Any, Any], Any]) -> None:
    other = open_strict(1)
    with pytest.raises(StrictError, match=r"needs (arrays of strict:\d|its own arrays); got StrictArray"):
        mix(x, other.from_host(np.zeros((2, 3), np.float32)))


def test_a_second_device_computes_by_itself() -> None:
    other = open_strict(1)
    made = other.xp.arange(3) * 2 + other.xp.ones(3)
    assert "strict:1" in repr(made)
    np.testing.assert_array_equal(other.to_host(made), [1, 3, 5])


@pytest.mark.parametrize(
    "size_by_array",
    [
        lambda n: xp.zeros(n), lambda n: xp.zeros((n, 2)), lambda n: xp.arange(n), lambda n: xp.repeat(n, n),
        lambda n: xp.reshape(xp.arange(2), n), lambda n: xp.arange(2).reshape(n, 1), lambda n: xp.tile(n, n),
        lambda n: xp.sum(xp.ones(3), axis=n), lambda n: xp.broadcast_to(xp.ones(1), n), lambda n: xp.ones(3)[:n],
    ],
)  # fmt: skip
def test_sizes_come_from_the_host(size_by_array: Callable[[Any], Any]) -> None:
    with pytest.raises(StrictError):
        size_by_array(xp.full((), 2))


# --- what CuPy does not have


@pytest.mark.parametrize(
    "name", ["errstate", "random", "vecdot", "apply_along_axis", "void", "linalg.cond", "lib.format"]
)
def test_names_are_the_shared_ones(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"names that numpy and CuPy share; got xp\.{name}"):
        attrgetter(name)(xp)


@pytest.mark.parametrize(
    "use",
    [
        lambda x: xp.exp(x, where=x > 0), lambda x: xp.exp(x, order="F"), lambda x: xp.add(x, x, subok=False),
        lambda x: xp.maximum.reduce(x), lambda x: xp.logical_and.reduce(x > 0), lambda x: xp.maximum.accumulate(x),
        lambda x: xp.multiply.at(x, 0, 2.0), lambda x: xp.add.at(x.astype(xp.complex64), 0, 1.0),
        lambda x: xp.add.at(x.astype(xp.int8), 0, 1), lambda x: xp.maximum.at(x.astype(xp.float16), 0, 1),
        lambda x: x.astype(xp.float64, casting="safe"), lambda x: x.astype(xp.float64, "K", "safe"),
        lambda x: x.astype(object), lambda x: x.astype(str), lambda x: xp.asarray(["a"]),
        lambda x: xp.zeros(2, "M8[s]"),
        lambda x: xp.zeros(2, dtype=np.longdouble),
    ],
)  # fmt: skip
def test_what_cupy_lacks_is_refused(x: Any, use: Callable[[Any], Any]) -> None:
    with pytest.raises(StrictError):
        use(x)


@pytest.mark.parametrize(
    "raise_by_value",
    [
        lambda x: x[xp.asarray([0, 5])], lambda x: x[:, xp.asarray([-4])], lambda x: x[[7]], lambda x: xp.take(x, 9),
        lambda x: x.take(xp.asarray([9])), lambda x: xp.take_along_axis(x, xp.asarray([[9]]), 1),
        lambda x: x.__setitem__(xp.asarray([2]), 0.0), lambda x: xp.add.at(x, xp.asarray([2]), 1.0),
        lambda x: xp.linalg.inv(xp.zeros((2, 2))), lambda x: xp.linalg.cholesky(-xp.eye(2)),
        lambda x: xp.power(xp.asarray([2]), xp.asarray([-1])),
    ],
)  # fmt: skip
def test_errors_found_in_values_are_not_relied_on(x: Any, raise_by_value: Callable[[Any], Any]) -> None:
    with pytest.raises(StrictError, match="kernels must look for errors in values themselves"):
        raise_by_value(x)


def test_errors_found_in_shapes_stay_as_they_are(x: Any) -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        x[5]
    with pytest.raises(IndexError, match="out of bounds"):
        x.__setitem__((0, 3), 1.0)
    with pytest.raises(np.exceptions.AxisError):
        x.sum(axis=2)
    with pytest.raises(ValueError, match="broadcast"):
        x + xp.zeros(4)


def test_as_strided_stays_in_memory(strict: StrictBackend, x: Any) -> None:
    as_strided = xp.lib.stride_tricks.as_strided
    np.testing.assert_array_equal(strict.to_host(as_strided(x, (3, 2), (4, 12))), strict.to_host(x).T)
    assert as_strided(x[1:], (0,), (4,)).shape == (0,)
    with pytest.raises(StrictError, match="inside of its array's memory"):
        as_strided(x[1:], (4,), (4,))


# --- what CuPy does otherwise than numpy


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.sum(), lambda x: xp.max(x), lambda x: x[0, 0], lambda x: xp.exp(2.0), lambda x: xp.argmax(x),
        lambda x: xp.allclose(x, x), lambda x: xp.array_equal(x, x), lambda x: xp.count_nonzero(x),
        lambda x: xp.dot(x[0], x[0]),
        lambda x: x[0] @ x[0], lambda x: (x > 0).any(), lambda x: x[0, 0] + 1,
    ],
)  # fmt: skip
def test_results_without_axes_are_arrays(x: Any, make: Callable[[Any], Any]) -> None:
    made = make(x)
    assert type(made) is StrictArray
    assert made.shape == ()


def test_one_element_is_a_view(x: Any) -> None:
    one = x[1, 2]
    one[...] = 9
    one += 1
    assert x[1, 2].item() == 10


def test_results_of_ufuncs_are_c_contiguous(x: Any) -> None:
    assert not x.T.flags.c_contiguous
    assert (x.T + 1).flags.c_contiguous
    assert xp.exp(x.T).flags.c_contiguous


def test_out_is_returned_as_it_came(x: Any) -> None:
    out = xp.empty_like(x)
    assert xp.add(x, 1, out=out) is out
    assert xp.add(x, 1, out) is out
    assert xp.sum(x, axis=0, out=out[0]).shape == (3,)
    quotient, rest = xp.empty_like(x), xp.empty_like(x)
    assert xp.divmod(x, 2, out=(quotient, rest))[1] is rest
    assert xp.asarray(x) is x


def test_floating_point_warnings_are_not_given() -> None:
    zeros = xp.zeros(2)
    assert xp.isnan(xp.log(zeros) * zeros + zeros / zeros).all().item()


# --- numbers


@pytest.mark.parametrize(
    "compute",
    [
        lambda xp, x, i: -x + abs(x) * 2 - x / 3 // 1 % 2, lambda xp, x, i: x**2 + 2**x + divmod(x, 2)[1],
        lambda xp, x, i: (i << 1) | (i ^ 3) & ~i >> 1, lambda xp, x, i: 5 - i + (3 << i), lambda xp, x, i: x @ x.T,
        lambda xp, x, i: (x == 1) | (x != 2) & (x <= 3) ^ (x >= 4), lambda xp, x, i: x[i], lambda xp, x, i: x[i, 1:],
        lambda xp, x, i: x[x > 2], lambda xp, x, i: x[None, ..., -1, None], lambda xp, x, i: xp.where(x > 2, x, -1.0),
        lambda xp, x, i: xp.einsum("ij,kj->ik", x, x), lambda xp, x, i: xp.tensordot(x, x, axes=((1,), (1,))),
        lambda xp, x, i: xp.cumsum(x, axis=1), lambda xp, x, i: xp.take_along_axis(x, xp.argsort(-x, axis=1), 1),
        lambda xp, x, i: xp.stack([x, x]).transpose(1, 0, 2).ravel(),
        lambda xp, x, i: x.astype(xp.int8).view(xp.uint8),
        lambda xp, x, i: xp.broadcast_to(x[:, :1], (2, 3)) * x.mean(axis=0, keepdims=True),
        lambda xp, x, i: x.real + x.imag,
        lambda xp, x, i: xp.add.reduce(x, axis=1) + xp.multiply.accumulate(x, axis=1)[:, 0], lambda xp, x, i: x.T.mT,
        lambda xp, x, i: xp.add.outer(i, i), lambda xp, x, i: xp.linalg.slogdet(x @ x.T)[1],
        lambda xp, x, i: xp.fft.rfft(x),
        lambda xp, x, i: xp.full(2, xp.pi, xp.float32) * xp.inf, lambda xp, x, i: xp.nonzero(x)[1],
    ],
)  # fmt: skip
def test_numbers_are_numpys(strict: StrictBackend, x: Any, order: Any, compute: Callable[..., Any]) -> None:
    with np.errstate(all="ignore"):
        expected = compute(np, strict.to_host(x), strict.to_host(order))
    ours = compute(xp, x, order)
    assert ours.dtype == expected.dtype
    np.testing.assert_array_equal(strict.to_host(ours), expected)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"])
def test_in_place_operators_write_to_the_same_memory(strict: StrictBackend, x: Any, name: str) -> None:
    host, view = strict.to_host(x), x[1]
    method = f"__i{name}__"
    assert getattr(x, method)(3.0) is x
    getattr(host, method)(3.0)
    np.testing.assert_array_equal(strict.to_host(view), host[1])


def test_scatter_adds_as_often_as_an_index_occurs(strict: StrictBackend, x: Any) -> None:
    xp.add.at(x, (xp.asarray([0, 0, 1]), 2), xp.asarray([1.0, 2.0, 4.0], dtype=xp.float32))
    np.testing.assert_array_equal(strict.to_host(x)[:, 2], [5, 9])


def test_assignment_takes_numbers_arrays_and_masks(strict: StrictBackend, x: Any) -> None:
    x[0] = x[1]
    x[x > 4] = 0
    x[:, 0] = np.float32(7)
    np.testing.assert_array_equal(strict.to_host(x), [[7, 4, 0], [7, 4, 0]])


def test_metadata_is_numpys(x: Any) -> None:
    assert (x.shape, x.dtype, x.ndim, x.size, x.itemsize, x.nbytes) == ((2, 3), np.float32, 2, 6, 4, 24)
    assert (x.strides, x.T.strides, len(x)) == ((12, 4), (4, 12), 2)
    assert (xp.newaxis, xp.float32, xp.ndarray, xp.dtype("f4")) == (None, np.float32, StrictArray, np.dtype("f4"))
    assert xp.finfo(x.dtype).eps == np.finfo(np.float32).eps
    assert xp.result_type(x, xp.float64) == np.float64
    assert xp.add is xp.add


# --- the record


def test_uses_are_recorded_with_what_cupy_must_take(x: Any, uses: set[Use]) -> None:
    x + 1
    xp.add(x, x.astype(xp.int64), out=xp.empty((2, 3)))
    xp.exp(x, dtype=np.float64)
    x.sum(axis=0, keepdims=True)
    xp.linalg.norm(x)
    xp.add.at(x, 0, 1.0)
    assert uses == {
        Use("add", 2, (), ("float32", "~int"), ("float32",)),
        Use("ndarray.astype", 1),
        Use("empty", 1),
        Use("add", 2, ("out",), ("float32", "int64")),
        Use("exp", 1, ("dtype",), ("float32",), ("float64",), "float64"),
        Use("ndarray.sum", 0, ("axis", "keepdims")),
        Use("linalg.norm", 1),
        Use("add.at", 3),
    }


def test_failed_calls_are_not_recorded(x: Any, uses: set[Use]) -> None:
    with pytest.raises(np.exceptions.AxisError):
        xp.sum(x, axis=7)
    with pytest.raises(StrictError):
        xp.exp(HOST)
    assert uses == set()
