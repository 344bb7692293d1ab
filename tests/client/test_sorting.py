"""Sorting and what depends on an order: where PyTorch promises which of several equal elements is taken."""

from __future__ import annotations

from typing import Any

import pytest

NAN = float("nan")


def test_sort_is_stable_and_nan_is_the_largest(t: Any) -> None:
    x = t.tensor([2.0, 1.0, NAN, 2.0, 1.0])
    up, down = x.sort(stable=True), t.sort(x, descending=True, stable=True)
    assert up.indices.tolist() == [1, 4, 0, 3, 2]
    assert down.indices.tolist() == [2, 0, 3, 1, 4]
    assert down.values[1:].tolist() == [2, 2, 1, 1]
    assert t.argsort(x, stable=True).tolist() == [1, 4, 0, 3, 2]
    values, indices = t.tensor([[3, 1], [2, 5]]).sort(dim=0, descending=True)
    assert (values.tolist(), indices.tolist()) == ([[3, 5], [2, 1]], [[0, 1], [1, 0]])
    assert t.msort(t.tensor([[3, 1], [2, 5]])).tolist() == [[2, 1], [3, 5]]


def test_topk_and_its_gradient(t: Any) -> None:
    x = t.tensor([[1.0, 4.0, 3.0], [6.0, 5.0, 2.0]], requires_grad=True)
    found = x.topk(2)
    assert (found.values.tolist(), found.indices.tolist()) == ([[4, 3], [6, 5]], [[1, 2], [0, 1]])
    assert t.topk(x, 1, dim=0, largest=False).indices.tolist() == [[0, 0, 1]]
    (found.values * t.tensor([1.0, 2.0])).sum().backward()
    assert x.grad.tolist() == [[0, 1, 2], [1, 2, 0]]
    with pytest.raises(RuntimeError, match="selected index k out of range"):
        x.topk(4)


def test_one_element_of_each_row(t: Any) -> None:
    x = t.tensor([[3.0, 1.0, 2.0], [7.0, NAN, 9.0]])
    assert x.kthvalue(2).indices.tolist() == [2, 2]
    assert x.median(1).indices.tolist() == [2, 1]
    assert x.nanmedian(1).indices.tolist() == [2, 0]
    assert float(t.nanmedian(x)) == 3
    commonest = t.mode(t.tensor([[1, 2, 2, 1], [5, 5, 4, 5]]))
    assert (commonest.values.tolist(), commonest.indices.tolist()) == ([1, 5], [3, 3])
    assert x.median(1, keepdim=True).values.shape == (2, 1)


def test_extremes_among_equals(t: Any) -> None:
    x = t.tensor([[2.0, 5.0, 5.0], [NAN, 1.0, NAN]])
    assert x.max(1).indices.tolist() == [1, 0]
    assert x.min(1).indices.tolist() == [0, 0]
    assert t.argmax(x).item() == 3
    ties = t.tensor([1.0, 3.0, 3.0], requires_grad=True)
    ties.amax().backward()
    assert ties.grad.tolist() == [0, 0.5, 0.5]
    running = t.tensor([1, 3, 2, 3]).cummax(0)
    assert (running.values.tolist(), running.indices.tolist()) == ([1, 3, 3, 3], [0, 1, 1, 3])


def test_results_have_names(t: Any) -> None:
    x = t.tensor([2.0, 1.0])
    results = (x.sort(), x.topk(1), x.kthvalue(1), x.mode(), x.median(0), x.nanmedian(0), x.cummin(0), x.min(0))
    assert all(result[1] is result.indices for result in results)
    assert repr(x.kthvalue(1)).endswith("return_types.kthvalue(\nvalues=tensor(1.),\nindices=tensor(1))")
