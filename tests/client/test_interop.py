"""Between tensors and other libraries' arrays. Every test with `t` also runs with PyTorch."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradwire as gw
from gradwire.session import Session
from tests.client.graphs import refusal


class Pair(NamedTuple):
    first: Any
    second: Any


# ---------------------------------------------------------------- numpy
@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
def test_numpy_functions_take_tensors(t: Any) -> None:
    x = t.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.asarray(x).dtype == np.float32
    assert np.array(x, dtype=np.int64).tolist() == [[1, 2], [3, 4]]
    assert type(np.concatenate([x, x])) is np.ndarray
    assert np.allclose(x, x)
    for made in (np.sqrt(x), np.add(np.ones(2), x), np.isnan(x)):
        assert isinstance(made, t.Tensor)
    assert (np.sqrt(x).dtype, np.add(np.ones(2), x).dtype, np.isnan(x).dtype) == (t.float32, t.float64, t.uint8)
    assert (np.float64(2) * x).tolist() == (x * np.float64(2)).tolist() == [[2, 4], [6, 8]]
    assert x[np.array([1])].tolist() == [[3, 4]]
    assert refusal(lambda: np.asarray(t.ones(2, requires_grad=True))).startswith("RuntimeError: Can't call numpy()")
    assert "TypeError" in refusal(lambda: np.ones((2, 2)) * x)


def test_as_tensor_and_asarray(t: Any) -> None:
    x = t.ones(2)
    assert t.as_tensor(x) is t.asarray(x) is x
    assert t.asarray(x, copy=True) is not x
    assert t.asarray(x, dtype=t.int32).dtype is t.int32
    assert t.asarray([1, 2]).dtype is t.int64
    assert t.asarray(1.5).dtype is t.float32
    assert t.asarray(np.ones(2)).dtype is t.float64
    assert t.asarray([1.0], requires_grad=True).requires_grad
    assert not t.asarray(t.ones(2, requires_grad=True), requires_grad=False).requires_grad
    assert refusal(lambda: t.asarray([1], copy=False)) == "ValueError: can't alias arbitrary sequence into a tensor."
    assert refusal(lambda: t.asarray(x, copy=False, dtype=t.int32)).startswith(
        "ValueError: can't alias tensor with dtype"
    )


def test_frombuffer(t: Any) -> None:
    buffer = bytearray(np.array([1, 2, 3], "<f4").tobytes())
    assert t.frombuffer(buffer, dtype=t.float32).tolist() == [1, 2, 3]
    assert t.frombuffer(buffer, dtype=t.float32, count=1, offset=4).tolist() == [2]
    for options, words in (
        ({"offset": 12}, "offset (12 bytes) must be non-negative and no greater than buffer length (12 bytes) minus 1"),
        ({"offset": 1}, "buffer length (11 bytes) after offset (1 bytes) must be a multiple of element size (4)"),
        ({"count": 0}, "both buffer length (12) and count (0) must not be 0"),
        ({"count": 9}, "requested buffer length (9 * 4 bytes) after offset (0 bytes) must not be greater than actual buffer "
         "length (12 bytes)"),
    ):  # fmt: skip
        assert (
            refusal(lambda options=options: t.frombuffer(buffer, dtype=t.float32, **options)) == f"ValueError: {words}"
        )


# ---------------------------------------------------------------- DLPack
def test_dlpack_both_ways(t: Any) -> None:
    x = t.arange(6).reshape(2, 3).T
    values = np.from_dlpack(x)
    assert values.tolist() == [[0, 3], [1, 4], [2, 5]]
    back = t.from_dlpack(values[1:])
    assert (back.tolist(), back.dtype) == ([[1, 4], [2, 5]], t.int64)
    assert tuple(x.__dlpack_device__()) == (1, 0)
    assert t.from_dlpack(x.__dlpack__()).tolist() == x.tolist()
    assert t.from_dlpack(t.ones(2)).tolist() == [1, 1]
    assert refusal(lambda: t.ones(2, requires_grad=True).__dlpack__()) == (
        "BufferError: Can't export tensors that require gradient, use tensor.detach()"
    )


def test_what_would_share_memory_is_refused(session: Session) -> None:
    assert "got copy=False" in refusal(lambda: gw.from_dlpack(np.ones(2), copy=False))
    assert "got copy=False" in refusal(lambda: np.from_dlpack(gw.ones(2), copy=False))
    assert "AttributeError" in refusal(lambda: gw.from_dlpack(3))


# ---------------------------------------------------------------- PyTorch
@pytest.mark.parity
@pytest.mark.parametrize("name", ["bool", "uint8", "int64", "float16", "float32", "float64", "complex64"])
def test_tensors_of_pytorch_both_ways(session: Session, name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.tensor([[0, 1], [1, 1]]).to(getattr(torch, name)).T
    ours = gw.from_torch(theirs)
    assert (ours.dtype.name, ours.tolist()) == (name, theirs.tolist())
    back = gw.to_torch(ours)
    assert back.dtype is theirs.dtype
    assert torch.equal(back, theirs)
    for shape in ((), (0, 2)):
        empty = torch.zeros(shape, dtype=theirs.dtype)
        assert torch.equal(gw.to_torch(gw.from_torch(empty)), empty)


@pytest.mark.parity
def test_a_state_dict_of_pytorch_both_ways(session: Session) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Linear(3, 2)
    ours = gw.nn.Linear(3, 2)
    ours.load_state_dict(gw.from_torch(theirs.state_dict()))
    x = torch.randn(4, 3)
    assert np.allclose(ours(gw.from_torch(x)).detach().numpy(), theirs(x).detach().numpy(), atol=1e-6)
    theirs.load_state_dict(gw.to_torch(ours.state_dict()))
    parameter = gw.from_torch(theirs.weight)
    assert isinstance(parameter, gw.nn.Parameter)
    assert isinstance(gw.to_torch(parameter), torch.nn.Parameter)
    nested = gw.from_torch(OrderedDict(a=[x, 3], b=Pair(x, "text"), c=(x.requires_grad_(),)))
    assert type(nested) is OrderedDict
    assert nested["a"][1] == 3
    assert type(nested["b"]) is Pair
    assert nested["c"][0].requires_grad
    assert "TypeError: from_torch needs a dense tensor" in refusal(lambda: gw.from_torch(torch.ones(2).to_sparse()))


def test_a_module_shares_no_memory(session: Session) -> None:
    with pytest.raises(RuntimeError, match="share_memory_ needs memory that processes can share"):
        gw.nn.Linear(1, 1).share_memory()
