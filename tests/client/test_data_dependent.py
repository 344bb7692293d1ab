"""Methods whose result's size depends on values: the same results as PyTorch, and one small answer to wait for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire as gw


def test_nonzero(t: Any) -> None:
    x = t.tensor([[0.0, 2.0, 0.0], [3.0, 0.0, float("nan")]])
    assert x.nonzero().tolist() == [[0, 1], [1, 0], [1, 2]]
    rows, columns = t.nonzero(x, as_tuple=True)
    assert (rows.tolist(), columns.tolist()) == ([0, 1, 1], [1, 0, 2])
    assert t.argwhere(t.tensor(3)).shape == (1, 0)
    assert t.tensor(3).nonzero(as_tuple=True)[0].tolist() == [0]
    assert t.zeros(0, 2).nonzero().shape == (0, 2)
    assert [places.tolist() for places in t.where(x > 1)] == [[0, 1], [1, 0]]


def test_masks_pick_and_store(t: Any) -> None:
    x = t.arange(6.0).reshape(2, 3).requires_grad_()
    mask = x.detach() > 2
    x.masked_select(mask).mul(t.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [[0, 0, 0], [1, 2, 3]]
    y = x.detach().clone()
    y[mask] = t.tensor([7.0, 8.0, 9.0])
    assert y.tolist() == [[0, 1, 2], [7, 8, 9]]
    assert y.index_put((mask,), t.tensor(1.0), accumulate=True).tolist() == [[0, 1, 2], [8, 9, 10]]
    y.index_put_((t.tensor([True, False]), t.tensor([0])), t.tensor(5.0))
    assert y[0].tolist() == [5, 1, 2]
    with pytest.raises(IndexError, match=r"The shape of the mask \[3\] at index 0 does not match"):
        y.index_put_((t.tensor([True, False, True]),), t.tensor(5.0))


def test_unique(t: Any) -> None:
    x = t.tensor([[3, 1, 3], [1, 1, 2]])
    found, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    assert (found.tolist(), counts.tolist()) == ([1, 2, 3], [3, 1, 2])
    assert found[inverse].tolist() == x.tolist()
    assert t.unique(t.tensor([[1, 0], [0, 5], [1, 0]]), dim=0).tolist() == [[0, 5], [1, 0]]
    runs, lengths = t.unique_consecutive(t.tensor([2, 2, 1, 2]), return_counts=True)
    assert (runs.tolist(), lengths.tolist()) == ([2, 1, 2], [2, 1, 1])


def test_only_a_count_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradwire import conversion

    fetched: list[tuple[int, ...]] = []
    plain = conversion.fetch
    monkeypatch.setattr(conversion, "fetch", lambda tensor: fetched.append(tensor.shape) or plain(tensor))
    x = gw.arange(1000.0)
    found = [x[x > 500], x.masked_select(x > 500), x.nonzero(), x.unique()]
    assert fetched == [()] * len(found)
    np.testing.assert_array_equal(found[0].numpy(), np.arange(501.0, 1000.0))
