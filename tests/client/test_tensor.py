"""What a tensor tells about itself, and its way to and from Python and numpy. Every test with `t` also runs with PyTorch."""

from __future__ import annotations

import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.session import Session
from gradwire_protocol import limits
from tests.client.graphs import refusal
from tests.client.test_autograd import leaf

DTYPES = (
    "float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64", "complex128"
)  # fmt: skip


# ---------------------------------------------------------------- sizes, dtypes, strides
def test_sizes(t: Any) -> None:
    x = t.zeros(2, 3, 4)
    assert tuple(x.shape) == tuple(x.size()) == (2, 3, 4)
    assert repr(x.shape) == "torch.Size([2, 3, 4])"
    assert (x.size(0), x.size(-1), x.shape[1], x.shape.numel()) == (2, 4, 3, 24)
    assert (x.dim(), x.ndim, x.ndimension(), x.numel(), x.nelement(), len(x)) == (3, 3, 3, 24, 24, 2)
    assert isinstance(x.shape, tuple)
    assert (x.element_size(), x.itemsize, x.nbytes) == (4, 4, 96)
    assert x.is_same_size(t.ones(2, 3, 4))
    assert refusal(lambda: x.size(3)) == (
        "IndexError: Dimension out of range (expected to be in range of [-3, 2], but got 3)"
    )
    assert refusal(lambda: t.ones(()).size(0)) == "IndexError: Dimension specified as 0 but tensor has no dimensions"


def test_strides(t: Any) -> None:
    x = t.zeros(2, 3, 4)
    assert (x.stride(), x.stride(1), x.storage_offset(), x.is_contiguous()) == ((12, 4, 1), 4, 0, True)
    y = x.transpose(0, 2)[1:, 2]
    assert (tuple(y.shape), y.stride(), y.storage_offset(), y.is_contiguous()) == ((3, 2), (1, 12), 9, False)
    assert y.contiguous().stride() == (2, 1)
    assert x.contiguous() is x
    assert x.expand(5, 2, 3, 4).stride() == (0, 12, 4, 1)
    assert t.zeros(2, 0, 3).stride() == (3, 3, 1)
    assert (tuple(x.mT.shape), tuple(x[0].T.shape)) == ((2, 4, 3), (4, 3))
    assert refusal(lambda: t.ones(2).mT).endswith("only supported on matrices or batches of matrices. Got 1-D tensor.")


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes(t: Any, name: str) -> None:
    dtype = getattr(t, name)
    x = t.ones(2, dtype=dtype)
    assert x.dtype == dtype
    assert (x.is_floating_point(), x.is_complex()) == (name.startswith("float"), name.startswith("complex"))
    assert x.is_signed() == (name not in ("uint8", "bool"))
    assert x.numpy().dtype == np.dtype(name)
    assert x.tolist() == [1, 1]
    assert type(x[0].item()) is {"b": bool, "i": int, "u": int, "f": float, "c": complex}[np.dtype(name).kind]


def test_device(t: Any) -> None:
    x = t.zeros(2)
    assert (str(x.device), x.device.type, x.is_cuda) == ("cpu", "cpu", False)
    assert x.cpu() is x
    assert x.to("cpu") is x
    assert x.to(t.device("cpu"), t.float64).dtype == t.float64


# ---------------------------------------------------------------- to and from numpy
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(12)[::2],
        np.array(5, dtype=np.int16),
        np.zeros((2, 0, 3), dtype=np.float32),
        np.array([True, False]),
        np.array([1 + 2j, 3], dtype=np.complex64),
        np.array([np.nan, np.inf, -0.0]),
    ],
)
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")  # PyTorch's
def test_arrays_come_back_as_they_went(t: Any, array: np.ndarray[Any, Any]) -> None:
    x = t.tensor(array)
    assert tuple(x.shape) == array.shape
    found = x.numpy()
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(np.asarray(x), array)
    np.testing.assert_array_equal(np.array(x, dtype=array.dtype), array)
    np.testing.assert_array_equal(x.tolist(), array.tolist())


def test_arrays_of_the_other_byte_order_and_large_ones(session: Session) -> None:
    swapped = np.arange(6, dtype=">i4").reshape(2, 3)
    assert gw.tensor(swapped).tolist() == swapped.tolist()
    large = np.arange(limits.INLINE_BYTES, dtype=np.float32).reshape(2, -1).T
    x = gw.tensor(large)
    np.testing.assert_array_equal(x.numpy(), large)
    np.testing.assert_array_equal(x.t().numpy(), large.T)
    held = x.numpy()
    held[0] = 7
    assert x[0, 0].item() == 0.0


def test_a_tensor_is_a_copy_of_its_source(t: Any) -> None:
    array = np.ones(2)
    x = t.tensor(array)
    array[0] = 5
    assert x.tolist() == [1.0, 1.0]


def test_views_come_back_as_they_look(t: Any) -> None:
    x = t.arange(6.0).view(2, 3)
    assert x.t().tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert x[:, 1:].numpy().tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert x[1].expand(2, 3).tolist() == [[3.0, 4.0, 5.0]] * 2


# ---------------------------------------------------------------- Python numbers
def test_one_element(t: Any) -> None:
    x = t.tensor([[2.5]])
    assert (x.item(), float(x), int(x), bool(x), complex(x)) == (2.5, 2.5, 2, True, 2.5 + 0j)
    assert f"{t.tensor(2.5):.2f}" == "2.50"
    assert [10, 20, 30][t.tensor(1)] == 20
    assert operator.index(t.tensor([3])) == 3
    assert refusal(t.ones(2).item) == "RuntimeError: a Tensor with 2 elements cannot be converted to Scalar"
    assert refusal(lambda: operator.index(x)) == (
        "TypeError: only integer tensors of a single element can be converted to an index"
    )


def test_truth(t: Any) -> None:
    assert not t.zeros(1)
    assert t.tensor(True)
    assert (
        refusal(lambda: bool(t.ones(2)))
        == "RuntimeError: Boolean value of Tensor with more than one value is ambiguous"
    )
    assert refusal(lambda: bool(t.ones(0))) == "RuntimeError: Boolean value of Tensor with no values is ambiguous"


def test_iteration(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    assert [row.item() for row in x] == [1.0, 2.0]
    first, second = x
    (first * second).backward()
    assert x.grad.tolist() == [2.0, 1.0]
    assert [tuple(row.shape) for row in t.ones(2, 3)] == [(3,), (3,)]
    assert refusal(lambda: iter(t.ones(()))) == "TypeError: iteration over a 0-d tensor"
    assert refusal(lambda: len(t.ones(()))) == "TypeError: len() of a 0-d tensor"


def test_containment_and_equality(t: Any) -> None:
    x = t.tensor([1.0, 2.0])
    assert 2 in x
    assert 3.0 not in x
    assert t.tensor(1.0) in x
    assert refusal(lambda: "a" in x) == (
        "RuntimeError: Tensor.__contains__ only supports Tensor or scalar, but you passed in a <class 'str'>."
    )
    assert x.equal(t.tensor([1.0, 2.0]))
    assert not x.equal(t.tensor([1.0, 3.0]))
    assert not x.equal(t.ones(1))
    assert t.equal(x, x.clone())
    assert not t.tensor([float("nan")]).equal(t.tensor([float("nan")]))


def test_tensors_are_hashed_by_identity(t: Any) -> None:
    x, y = t.ones(1), t.ones(1)
    assert len({x, y, x}) == 2
    assert {x: "x", y: "y"}[y] == "y"


# ---------------------------------------------------------------- copies
def test_to(t: Any) -> None:
    x = t.tensor([1.5, -2.5])
    assert x.to(t.float32) is x
    assert x.to(t.float32, copy=True) is not x
    assert x.to(t.int64).tolist() == [1, -2]
    assert x.to(t.ones(1, dtype=t.float64)).dtype == t.float64
    assert (x.double().dtype, x.long().dtype, x.bool().tolist()) == (t.float64, t.int64, [True, True])
    assert x.type(t.float64).dtype == t.float64
    assert (x.type(), t.ones(1, dtype=t.int64).type()) == ("torch.FloatTensor", "torch.LongTensor")
    y = leaf(t, 1.0).to(t.float64)
    assert type(y.grad_fn).__name__ == "ToCopyBackward0"


def test_copy_and_deepcopy(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    shallow, deep = copy.copy(x), copy.deepcopy(x)
    assert (shallow.requires_grad, shallow.is_leaf, shallow is x) == (True, True, False)
    with t.no_grad():
        x.zero_()
    assert (shallow.tolist(), deep.tolist()) == ([0.0, 0.0], [1.0, 2.0])
    assert copy.copy(x * 2).is_leaf
    x.note = ["a"]
    assert copy.copy(x).note is x.note
    assert copy.deepcopy(x).note == ["a"]
    assert copy.deepcopy(x).note is not x.note


def test_subclasses_are_copied_as_such(t: Any) -> None:
    p = t.nn.Parameter(t.ones(2))
    assert type(copy.deepcopy(p)) is t.nn.Parameter
    assert type(p.detach()) is t.Tensor
    assert type(p.clone()) is t.Tensor


def test_tensors_are_not_pickled(session: Session) -> None:
    with pytest.raises(TypeError, match=r"use gradwire\.save"):
        pickle.dumps(gw.ones(1))


# ---------------------------------------------------------------- refusals, and what waits
def test_no_gpu(session: Session) -> None:
    x = gw.ones(1)
    for act in (x.cuda, lambda: x.to("cuda"), lambda: x.to("cuda:1"), lambda: gw.ones(1, device="cuda")):
        with pytest.raises((RuntimeError, AssertionError)):
            act()
    with pytest.raises(RuntimeError, match="Expected one of cpu, cuda device type"):
        x.to("tpu")
    with pytest.raises(TypeError, match=r"to\(\) received an invalid argument: 3.5"):
        x.to(3.5)


def test_an_array_is_always_a_copy(session: Session) -> None:
    with pytest.raises(ValueError, match="always a copy; got copy=False"):
        np.asarray(gw.ones(1), copy=False)


def test_only_values_wait(session: Session) -> None:
    x = gw.ones(2, 3)
    y = x.t() + 1
    assert (y.shape, y.dtype, len(y), y.stride(), y.is_leaf) == ((3, 2), gw.float32, 3, (2, 1), True)
    for act in (
        lambda: bool(y),
        lambda: y.item(),
        lambda: y.size(5),
        lambda: x + gw.ones(4),
        lambda: x.view(7),
        lambda: x @ x,
    ):
        refusal(act)
    first, *_ = y
    assert session.statistics().waits == 0
    for count, act in enumerate(
        (first.tolist, y.numpy, y.sum().item, lambda: repr(y), lambda: y.equal(y), lambda: 1 in y), 1
    ):
        act()
        assert session.statistics().waits == count
