"""In-place views. Every test also runs with PyTorch."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_tensor_becomes_a_view_of_what_it_was(t: Any) -> None:
    x = t.arange(6).reshape(2, 3)
    row = x[0]
    assert x.t_() is x
    assert x.shape == (3, 2)
    assert x.unsqueeze_(0).transpose_(0, 2).shape == (2, 3, 1)
    assert x.squeeze_(2).tolist() == [[0, 1, 2], [3, 4, 5]]
    x.zero_()
    assert row.tolist() == [0, 0, 0]


def test_gradients_go_through_it(t: Any) -> None:
    x = t.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    y = x * 2
    y.t_()
    y.mul_(t.tensor([[1.0], [10.0], [100.0]]))
    assert y.shape == (3, 1)
    y.sum().backward()
    assert x.grad.tolist() == [[2.0, 20.0, 200.0]]


def test_a_leaf_may_not(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.unsqueeze_(0)
    with t.no_grad():
        x.unsqueeze_(0)
    assert x.shape == (1, 2)
    assert x.is_leaf
    assert x.requires_grad
    (x * 3).sum().backward()
    assert x.grad.tolist() == [[3.0, 3.0]]


def test_tensor_split_by_named_places_or_number(t: Any) -> None:
    x = t.arange(5)
    assert [part.tolist() for part in x.tensor_split(indices=(1, 3))] == [[0], [1, 2], [3, 4]]
    assert [part.tolist() for part in t.tensor_split(x, sections=2, dim=0)] == [[0, 1, 2], [3, 4]]
    with pytest.raises(TypeError, match="invalid combination of arguments"):
        x.tensor_split(2, indices=(1,))
    with pytest.raises(TypeError, match="invalid combination of arguments"):
        x.tensor_split()


def test_an_axis_may_be_named_as_in_numpy(t: Any) -> None:
    x = t.arange(6.0).view(2, 1, 3)
    assert x.squeeze(axis=1).shape == t.squeeze(x, axis=(1,)).shape == (2, 3)
    assert x.unsqueeze(axis=0).shape == t.unsqueeze(x, axis=0).shape == (1, 2, 1, 3)
    assert [part.tolist() for part in t.unbind(x, axis=2)] == [part.tolist() for part in x.unbind(2)]
    assert x.select(axis=0, index=1).tolist() == t.select(x, axis=0, index=1).tolist() == [[3, 4, 5]]
    assert t.index_select(x, axis=2, index=t.tensor([2])).tolist() == [[[2]], [[5]]]
    assert t.allclose(x.logcumsumexp(axis=2), t.logcumsumexp(x, 2))
    for refused in (
        lambda: x.unsqueeze(), lambda: x.select(0), lambda: x.select(axis=0), lambda: t.index_select(x, axis=1),
        lambda: x.unsqueeze(dim=0, axis=0), lambda: t.squeeze(x, dim=1, axis=1), lambda: t.unbind(x, dim=0, axis=0),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            refused()
