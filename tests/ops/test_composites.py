"""Methods that are no ops: indexing syntax, matmul, reshape and their like, against numpy, on the worker's arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire_server.ops  # noqa: F401  (fills the tables)
from gradwire_protocol.dtypes import from_numpy
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS
from gradwire_protocol.tape import gradient_edge
from gradwire_server.backend import open_backend
from gradwire_server.backward import gradients
from gradwire_server.engine import Array, Engine

ENGINE = Engine(open_backend("cpu"))


def array(values: Any) -> Array:
    values = np.array(values, order="C")
    return Array(ENGINE, values, Meta.of(values.shape, from_numpy(values.dtype)))


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let arrays answer as the client's Tensor does where values are needed."""
    places = lambda self, mask: tuple(map(array, np.nonzero(mask.data)))  # noqa: E731
    monkeypatch.setattr(Array, "_mask_to_indices", places)
    monkeypatch.setattr(
        Array, "_tensor_from", lambda self, data: array(np.array(data, None if len(data) else np.int64))
    )
    monkeypatch.setattr(Array, "__index__", lambda self: int(self.data), raising=False)


def given(index: Any) -> Any:
    """Upload the numpy arrays of an index, or of an argument."""
    if isinstance(index, tuple):
        return tuple(map(given, index))
    return array(index) if isinstance(index, np.ndarray) else index


X = np.arange(24.0).reshape(2, 3, 4)
MASK = np.array([[True, False, True], [False, False, True]])
INDICES: list[Any] = [
    0, -1, (0, 1), (0, 1, 2), (), None, ..., (..., 0), (0, ...), (None, 0, None), (slice(None), 1), slice(1, None),
    (slice(None), slice(None, None, 2)), (slice(None), slice(-2, -1)), (..., slice(5, 9)), slice(1, 0), True, False,
    [0, 1, 0], [[0, 1], [1, 0]], [], [True, False], range(2), np.int64(1), np.array(1), np.array([1, 0]),
    (slice(None), np.array([2, 0])), (0, np.array([2, 0])), (np.array([0, 1]), slice(None), np.array([3, 1])),
    (np.array([0, 1]), np.array([[0], [2]])), (None, np.array([1])), (..., np.array([-1, 0])),
    MASK, (MASK, 0), (MASK, slice(1, 3)), (slice(None), MASK[0]), (0, MASK[0]), np.array([True, False]), np.array(True),
    (MASK, np.array([0, 1, 3])),
]  # fmt: skip


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_reading(index: Any) -> None:
    x = array(X)[given(index)]
    assert x.shape == X[index].shape
    assert np.array_equal(x.data, X[index])


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("index", INDICES, ids=repr)
@pytest.mark.parametrize("kind", ["number", "one", "all", "surplus axis"])
def test_writing(index: Any, kind: str) -> None:
    expected, x = X.copy(), array(X)
    shape = {"number": (), "one": (), "all": X[index].shape, "surplus axis": (1, *X[index].shape)}[kind]
    value = -1.0 - np.arange(np.prod(shape, dtype=int)).reshape(shape)
    if isinstance(index, list):
        value = np.full(shape, -1.0)  # which of the values of a repeated place is kept is not defined
    expected[index] = value.reshape(X[index].shape) if shape else value
    x[given(index)] = -1 if kind == "number" else array(value)
    assert np.array_equal(x.data, expected)
    assert x.storage.version == 1


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        ((0, 0, 0, 0), IndexError, "too many indices for tensor of dimension 3"),
        (2, IndexError, "index 2 is out of bounds for dimension 0 with size 2"),
        ((0, -4), IndexError, "index -4 is out of bounds for dimension 1 with size 3"),
        (slice(None, None, -1), ValueError, "step must be greater than zero"),
        (1.0, IndexError, "only integers, slices .* are valid indices .got float."),
        ((0, {}), IndexError, "are valid indices .got dict."),
        (np.array([0.5]), IndexError, "tensors used as indices must be long, int, byte or bool tensors"),
        (MASK.T, IndexError, r"The shape of the mask \[3, 2\] at index 0 does not match .* \[2, 3, 4\] at index 0"),
        ((np.array([0]), np.array([0, 1]), np.array([0, 1, 2])), IndexError, "could not be broadcast together"),
    ],
)
def test_an_index_that_cannot_be(index: Any, error: type[Exception], words: str) -> None:
    x = array(X)
    with pytest.raises(error, match=words):
        x[given(index)]
    with pytest.raises(error, match=words):
        x[given(index)] = 0
    assert np.array_equal(x.data, X)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ([1, 2, 3, 4], TypeError, "can't assign a list to a torch.DoubleTensor"),
        ("a", TypeError, "can't assign a str"),
        (1j, RuntimeError, "value cannot be converted to type double without overflow"),
        (np.zeros(3), RuntimeError, "The expanded size of the tensor|must match"),
    ],
)
def test_a_value_that_cannot_be_assigned(value: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        array(X)[0, 0] = given(value)


def test_what_needs_values_is_refused_where_they_cannot_be_waited_for() -> None:
    plain = array(X)
    with pytest.raises(RuntimeError, match="indexing with a bool mask needs its values"):
        plain[array(MASK)]
    with pytest.raises(RuntimeError, match="indexing with a list needs to send its values"):
        plain[[0, 1]]
    plain[array(MASK)] = 0  # but this does not need them
    assert np.array_equal(plain.data, np.where(MASK[..., None], 0, X))


def test_a_view_writes_to_its_base_and_its_gradient_flows() -> None:
    leaf, other = array(X), array([5.0, 6.0])
    leaf.leaf_requires_grad = other.leaf_requires_grad = True
    with ENGINE.recorded(True):
        x = leaf * 2
        x[1, :, 1:3] = other
        x[0][array([0, 2])] = 1.0
    with ENGINE.recorded(False):
        found = gradients(
            [gradient_edge(x)],
            [array(np.ones(X.shape))],
            [gradient_edge(leaf), gradient_edge(other)],
            retain_graph=False,
        )  # type: ignore[list-item]
    expected = np.full(X.shape, 2.0)
    expected[1, :, 1:3] = 0
    expected[0, [0, 2]] = 0
    assert found[0] is not None
    assert found[1] is not None
    assert np.array_equal(found[0].data, expected)
    assert found[1].data.tolist() == [3, 3]


# ---------------------------------------------------------------- matmul, linear, outer
SHAPES = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3,)), ((5, 2, 3), (3, 4)),
    ((3,), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((4, 1, 2, 3), (5, 3, 2)),
    ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((0, 2, 3), (3, 4)), ((5, 2, 0), (5, 0, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_matmul(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(left), rng.standard_normal(right)
    product = array(a) @ array(b)
    assert product.shape == (a @ b).shape
    np.testing.assert_allclose(product.data, a @ b, atol=1e-12)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ((), (2,), "both arguments to matmul need to be at least 1D, but they are 0D and 1D"),
        ((2, 3), (4, 5), r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)"),
        ((2, 3, 4), (5, 5), r"mat1 and mat2 shapes cannot be multiplied \(6x4 and 5x5\)"),
        ((4,), (5, 4), r"mat1 and mat2 shapes cannot be multiplied \(1x4 and 5x4\)"),
        ((2, 3), (4,), r"size mismatch, got input \(2\), mat \(2x3\), vec \(4\)"),
        ((2, 3, 4), (3, 4, 5), r"The size of tensor a \(2\) must match the size of tensor b \(3\)"),
    ],
)
def test_matmul_of_shapes_that_do_not_fit(left: tuple[int, ...], right: tuple[int, ...], words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        array(np.zeros(left)) @ array(np.zeros(right))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3), (0, 3), (2, 1, 2, 3)])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_linear(shape: tuple[int, ...], with_bias: bool, turned: bool) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.standard_normal(shape), rng.standard_normal((5, 3)), rng.standard_normal(5)
    tensor = array(x)
    if turned and x.ndim > 2:
        tensor, x = tensor.transpose(0, 1), x.swapaxes(0, 1)
    y = tensor.linear(array(weight), array(bias) if with_bias else None)
    np.testing.assert_allclose(y.data, x @ weight.T + bias * with_bias, atol=1e-12)


def test_outer() -> None:
    a, b = np.arange(3.0), np.arange(2.0)
    assert np.array_equal(array(a).outer(array(b)).data, np.outer(a, b))
    with pytest.raises(RuntimeError, match="outer: Expected 1-D argument vec2, but got 2-D"):
        array(a).outer(array(X[0]))


# ---------------------------------------------------------------- shapes
FORMS: list[tuple[str, tuple[Any, ...], Any]] = [
    ("reshape", (4, -1), X.reshape(4, -1)), ("reshape", ((24,),), X.reshape(24)),
    ("view_as", (X.reshape(6, 4),), X.reshape(6, 4)), ("reshape_as", (X.reshape(6, 4),), X.reshape(6, 4)),
    ("flatten", (), X.reshape(-1)), ("flatten", (1,), X.reshape(2, 12)), ("flatten", (0, 1), X.reshape(6, 4)),
    ("unflatten", (2, (2, -1)), X.reshape(2, 3, 2, 2)), ("ravel", (), X.reshape(-1)), ("numpy_T", (), X.T),
    ("permute", (2, 0, 1), X.transpose(2, 0, 1)), ("permute", ((2, 0, 1),), X.transpose(2, 0, 1)),
    ("swapaxes", (0, 2), X.swapaxes(0, 2)), ("swapdims", (0, -1), X.swapaxes(0, 2)),
    ("movedim", (0, 2), np.moveaxis(X, 0, 2)), ("movedim", ((0, 1), (2, 0)), np.moveaxis(X, (0, 1), (2, 0))),
    ("moveaxis", (-1, 0), np.moveaxis(X, -1, 0)), ("squeeze", ((0, 1),), X), ("narrow", (1, 1, 2), X[:, 1:3]),
    ("narrow", (2, -3, 2), X[:, :, 1:3]), ("expand", (2, -1, -1, -1), np.broadcast_to(X, (2, 2, 3, 4))),
    ("broadcast_to", ((1, 2, 3, 4),), X[None]), ("repeat", (1, 2, 1), np.tile(X, (1, 2, 1))),
    ("expand_as", (np.zeros((5, 2, 3, 4)),), np.broadcast_to(X, (5, 2, 3, 4))), ("flip", (0, 2), X[::-1, :, ::-1]),
    ("roll", (1, 0), np.roll(X, 1, 0)), ("roll", (5,), np.roll(X, 5)), ("scatter", (2, np.array([[[1]]]), 9), None),
    ("take_along_dim", (np.array([[[3], [0], [1]]]), 2), np.take_along_axis(X, np.array([[[3], [0], [1]]]), 2)),
    ("take_along_dim", (np.array([7, 7]),), X.reshape(-1)[[7, 7]]),
]  # fmt: skip


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    ("name", "arguments", "expected"), FORMS, ids=[f"{form[0]}-{index}" for index, form in enumerate(FORMS)]
)
def test_a_method_does_what_numpy_does(name: str, arguments: tuple[Any, ...], expected: Any) -> None:
    if expected is None:
        expected = X.copy()
        expected[0, 0, 1] = 9
    result = getattr(array(X), name)(*map(given, arguments))
    assert result.shape == expected.shape
    assert np.array_equal(result.data, expected)


def test_sizes_may_be_named() -> None:
    x = array(X)
    assert x.view(size=(6, 4)).shape == x.reshape(shape=(6, 4)).shape == (6, 4)
    assert x.permute(dims=(2, 1, 0)).shape == (4, 3, 2)
    assert x.expand(size=(2, 2, 3, 4)).shape == x.repeat(repeats=(2, 1, 1, 1)).shape == (2, 2, 3, 4)
    assert np.array_equal(x.flip(dims=(0,)).data, X[::-1])


def test_chunks_are_equal_but_for_the_last() -> None:
    assert [part.shape for part in array(np.zeros(7)).chunk(3)] == [(3,), (3,), (1,)]
    assert [part.shape for part in array(np.zeros(6)).chunk(4)] == [(2,), (2,), (2,)]
    assert [part.shape for part in array(np.zeros((0, 2))).chunk(2)] == [(0, 2), (0, 2)]
    assert [part.shape for part in array(np.zeros((2, 5))).split([4, 1], 1)] == [(2, 4), (2, 1)]


def test_reshape_copies_only_where_strides_need_it() -> None:
    x = array(X)
    assert np.shares_memory(x.reshape(6, 4).data, x.data)
    assert np.shares_memory(x.transpose(0, 1).unsqueeze(0).data, x.data)
    assert not np.shares_memory(x.transpose(0, 1).reshape(-1).data, x.data)
    assert x.contiguous() is x
    assert np.array_equal(x.transpose(0, 2).contiguous().data, X.T)
    with pytest.raises(RuntimeError, match=r"Use .reshape\(...\) instead."):
        x.transpose(0, 1).view(-1)


def test_as_strided_counts_from_the_start_of_the_storage() -> None:
    x = array(np.arange(10.0))
    tail = x[4:]
    assert tail.as_strided((2,), (2,)).data.tolist() == [4, 6]
    assert tail.as_strided((2,), (2,), 1).data.tolist() == [1, 3]
    with pytest.raises(RuntimeError, match="out of bounds for storage of size 80"):
        tail.as_strided((2,), (6,))


def test_views_of_one_memory_see_each_others_writes() -> None:
    x = array(np.zeros((2, 2)))
    rows = x.unbind(0)
    x[0].add_(1)
    x.t()[1].mul_(5)
    x.expand(3, 2, 2)[1, 1].fill_(7)
    assert x.data.tolist() == [[1, 5], [7, 7]]
    assert rows[1].data.tolist() == [7, 7]


def test_joining_is_called_through_the_table() -> None:
    parts = [array(X), array(X.astype(np.float32))]
    assert np.array_equal(OPS["cat"](parts, 1).data, np.concatenate([X, X], 1))
    assert OPS["stack"](parts, -1).shape == (2, 3, 4, 2)
