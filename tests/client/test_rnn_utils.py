"""Packed and padded sequences, against PyTorch (see test_module.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]


def draws(*sizes: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(sizes)


def utils(t: Any) -> Any:
    return t.nn.utils.rnn


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [[2, 4, 2], [4, 3, 1], [1, 2, 4]])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_packing_and_padding(t: Any, batch_first: bool, lengths: list[int], as_tensor: bool) -> None:
    values = draws(3, 4, 2)  # by sequence
    x = t.tensor(values if batch_first else np.swapaxes(values, 0, 1).copy(), requires_grad=True)
    given = t.tensor(lengths) if as_tensor else lengths
    packed = utils(t).pack_padded_sequence(x, given, batch_first, enforce_sorted=False)
    order = sorted(range(3), key=lambda b: -lengths[b])
    rows = [values[b, step] for step in range(4) for b in order if lengths[b] > step]
    np.testing.assert_array_equal(packed.data.detach().numpy(), rows)
    assert packed.batch_sizes.tolist() == [sum(n > step for n in lengths) for step in range(max(lengths))]
    assert packed.sorted_indices.tolist() == order
    assert packed.unsorted_indices.tolist() == np.argsort(order).tolist()
    padded, found = utils(t).pad_packed_sequence(packed, batch_first, -1.0, 6)
    expected = np.full((3, 6, 2), -1.0)
    for b, n in enumerate(lengths):
        expected[b, :n] = values[b, :n]
    np.testing.assert_array_equal(padded.detach().numpy(), expected if batch_first else np.swapaxes(expected, 0, 1))
    assert found.tolist() == lengths
    padded.sum().backward()
    counted = (expected[:, :4] != -1).astype(float)
    np.testing.assert_array_equal(x.grad.numpy(), counted if batch_first else np.swapaxes(counted, 0, 1))


def test_in_order(t: Any) -> None:
    packed = utils(t).pack_padded_sequence(t.arange(12.0).view(4, 3), [4, 2, 2])
    assert packed.data.tolist() == [0, 1, 2, 3, 4, 5, 6, 9]
    assert packed.sorted_indices is None
    assert packed.unsorted_indices is None


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_a_list(t: Any, batch_first: bool, side: str) -> None:
    parts = [draws(2, 3), draws(4, 3, seed=1), draws(1, 3, seed=2)]
    given = [t.tensor(part, requires_grad=True) for part in parts]
    padded = utils(t).pad_sequence(given, batch_first, 7.0, side)
    expected = np.full((3, 4, 3), 7.0)
    for row, part in zip(expected, parts, strict=True):
        row[4 - len(part) if side == "left" else 0 :][: len(part)] = part
    np.testing.assert_array_equal(padded.detach().numpy(), expected if batch_first else np.swapaxes(expected, 0, 1))
    (padded * 2).sum().backward()
    assert all((part.grad.numpy() == 2).all() for part in given)


def test_lists_there_and_back(t: Any) -> None:
    parts = [draws(2, 3), draws(4, 3, seed=1), draws(1, 3, seed=2)]
    packed = utils(t).pack_sequence([t.tensor(part) for part in parts], enforce_sorted=False)
    for found in (
        utils(t).unpack_sequence(packed),
        utils(t).unpad_sequence(utils(t).pad_packed_sequence(packed)[0], t.tensor([2, 4, 1])),
    ):
        for one, part in zip(found, parts, strict=True):
            np.testing.assert_array_equal(one.numpy(), part)


def test_a_packed_sequence(t: Any) -> None:
    packed = utils(t).pack_sequence([t.ones(2), t.ones(3)], False)
    data, sizes, first, last = packed
    assert data is packed.data
    assert packed.double().data.dtype is t.float64
    assert packed.double().batch_sizes.tolist() == [2, 2, 1]
    assert packed.to(t.float32) is packed
    assert packed.half().long().data.dtype is t.int64
    assert not packed.is_cuda
    again = utils(t).PackedSequence(data, sizes, first)
    assert again.unsorted_indices.tolist() == last.tolist()
    assert utils(t).invert_permutation(t.tensor([2, 0, 1])).tolist() == [1, 2, 0]


REFUSED: dict[str, tuple[Callable[[Any, Any], Any], type[Exception], str]] = {
    "count": (lambda t, u: u.pack_padded_sequence(t.ones(4, 3), [4, 2]), RuntimeError, "got 2 (batch_size=3)"),
    "zero": (lambda t, u: u.pack_padded_sequence(t.ones(4, 3), [4, 2, 0]), RuntimeError, "has to be greater than 0"),
    "order": (lambda t, u: u.pack_padded_sequence(t.ones(4, 3), [2, 4, 1]), RuntimeError, "sorted in decreasing order"),
    "empty": (lambda t, u: u.pack_padded_sequence(t.ones(0, 3), []), RuntimeError, "Cannot pack empty tensors."),
    "axes": (
        lambda t, u: u.pack_padded_sequence(t.ones(3, 3), t.tensor([[1]])), RuntimeError,
        "'lengths' argument should be a 1D CPU int64 tensor, but got 2D cpu Long tensor",
    ),
    "total": (
        lambda t, u: u.pad_packed_sequence(u.pack_padded_sequence(t.ones(4, 1), [4]), total_length=2), ValueError,
        "Expected total_length to be at least the length of the longest sequence in input, but got total_length=2",
    ),
    "none": (lambda t, u: u.pad_sequence([]), RuntimeError, "received an empty list of sequences"),
    "type": (lambda t, u: u.pad_sequence(3), RuntimeError, "pad_sequence: Expected iterable for input sequences"),
    "side": (
        lambda t, u: u.pad_sequence([t.ones(2)], padding_side="x"), RuntimeError,
        "Expected padding_side to be one of left or right, but got x.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refusals(t: Any, what: str) -> None:
    act, error, text = REFUSED[what]
    with pytest.raises(error) as caught:
        act(t, utils(t))
    assert text in str(caught.value)
