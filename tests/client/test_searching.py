"""Searching, counting and statistics: call forms, values that only the worker can refuse, and what waits."""

from __future__ import annotations

from typing import Any

import pytest

import gradwire as gw

NAN = float("nan")


def test_searchsorted_and_bucketize(t: Any) -> None:
    edges = t.tensor([1.0, 3.0, 5.0])
    assert t.searchsorted(edges, t.tensor([0.0, 3.0, 9.0, NAN])).tolist() == [0, 1, 3, 3]
    assert t.searchsorted(edges, 3, right=True).item() == 2
    assert t.bucketize(3.0, edges, right=True).item() == 2
    assert t.bucketize(t.tensor([1, 4]), edges, out_int32=True).dtype == t.int32
    rows = t.tensor([[5, 1, 3], [2, 6, 4]])
    order = rows.argsort()
    assert t.searchsorted(rows, t.tensor([[3], [5]]), side="right", sorter=order).tolist() == [[2], [2]]
    with pytest.raises(RuntimeError, match="side and right can't be set to opposites"):
        t.searchsorted(edges, 3.0, side="left", right=True)


def test_isin(t: Any) -> None:
    x = t.tensor([[1, 2], [3, 4]])
    assert t.isin(x, t.tensor([2, 3])).tolist() == [[False, True], [True, False]]
    assert t.isin(x, 4, invert=True).tolist() == [[True, True], [True, False]]
    assert t.isin(2.5, t.tensor([1.0, 2.5])).item() is True


def test_counting(t: Any) -> None:
    x = t.tensor([1, 3, 1])
    assert x.bincount(minlength=6).tolist() == [0, 2, 0, 1, 0, 0]
    assert t.bincount(x, weights=t.tensor([0.5, 1.0, 2.0])).tolist() == [0, 2.5, 0, 1]
    assert t.bincount(t.zeros(0, dtype=t.int64), minlength=2).tolist() == [0, 0]
    with pytest.raises(RuntimeError, match="bincount only supports 1-d non-negative integral inputs."):
        t.bincount(t.tensor([1, -1])).tolist()
    counts, edges = t.tensor([1.0, 2.0, 2.5]).histogram(2, range=(0.0, 3.0))
    assert (counts.tolist(), edges.tolist()) == ([1, 2], [0, 1.5, 3])
    assert t.histc(t.tensor([0.0, 1.0, 1.0, 5.0]), 2, 0, 2).tolist() == [1, 2]


def test_repeat_interleave(t: Any) -> None:
    x = t.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert t.repeat_interleave(x, 2).tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert x.repeat_interleave(2, dim=1).tolist() == [[1, 1, 2, 2], [3, 3, 4, 4]]
    repeats = t.tensor([0, 3])
    assert t.repeat_interleave(repeats).tolist() == [1, 1, 1]
    x.repeat_interleave(repeats, 0, output_size=3).sum().backward()
    assert x.grad.tolist() == [[0, 0], [3, 3]]
    with pytest.raises(RuntimeError, match="Repeats must be non-negative"):
        x.repeat_interleave(-1)


def test_what_only_values_show(t: Any) -> None:
    x = t.arange(6.0).reshape(2, 3)
    with pytest.raises(RuntimeError, match=r"quantile\(\) q values must be in the range \[0, 1\]"):
        x.quantile(t.tensor([0.5, 1.5])).tolist()
    with pytest.raises(RuntimeError, match=r"cov\(\): fweights cannot be negative"):
        x.cov(fweights=t.tensor([1, -1, 1])).tolist()
    with pytest.raises(IndexError, match="out of range: tried to access index -7 on a tensor of 6 elements"):
        x.take(t.tensor([-7])).tolist()
    with pytest.raises(RuntimeError, match="Number of elements of source < number of ones in mask"):
        x.masked_scatter(x > 1, t.ones(2)).tolist()


def test_quantiles(t: Any) -> None:
    x = t.tensor([[0.0, 1.0, 4.0], [NAN, 3.0, 5.0]])
    assert x.nanquantile(0.5, dim=1).tolist() == [1, 4]
    assert x[0].quantile(t.tensor([0.25, 1.0])).tolist() == [0.5, 4]
    assert t.quantile(x[0], 0.6, interpolation="nearest").item() == 1
    assert t.quantile(x, 0.5, dim=0, keepdim=True).shape == (1, 3)


def test_scatters(t: Any) -> None:
    x, index = t.ones(2, 3), t.tensor([[0, 0, 1]])
    assert x.scatter(0, index, 2.0, reduce="add").tolist() == [[3, 3, 1], [1, 1, 3]]
    assert x.scatter_(1, t.tensor([[0, 0], [2, 1]]), 3.0, reduce="multiply").tolist() == [
        [9, 1, 1], [1, 3, 3],
    ]  # fmt: skip
    y = t.tensor([1.0, 8.0])
    assert y.scatter_reduce(0, t.tensor([0, 0]), t.tensor([4.0, 2.0]), "amin", include_self=False).tolist() == [2, 8]
    assert y.index_copy_(0, t.tensor([1]), t.tensor([2.0])).tolist() == [1, 2]
    assert y.put_(t.tensor([-1]), t.tensor([7.0])).tolist() == [1, 7]
    assert t.select_scatter(t.zeros(2, 2), t.ones(2), 0, 1).tolist() == [[0, 0], [1, 1]]


def test_differences_and_integrals(t: Any) -> None:
    x = t.tensor([1.0, 2.0, 4.0])
    assert t.diff(x, prepend=t.tensor([0.0])).tolist() == [1, 1, 2]
    assert t.trapezoid(x, dx=2).item() == 9
    assert t.trapz(x, t.tensor([0.0, 1.0, 3.0])).item() == 7.5
    assert t.cumulative_trapezoid(x).tolist() == [1.5, 4.5]
    (slope,) = t.gradient(x, spacing=(t.tensor([0.0, 1.0, 3.0]),))
    assert slope.tolist() == [1, 1, 1]
    assert t.combinations(t.tensor([1, 2, 3])).tolist() == [[1, 2], [1, 3], [2, 3]]
    assert t.cartesian_prod(t.tensor([1, 2]), t.tensor([3, 4])).tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]
    assert t.allclose(x, x + 1e-9)


def test_nothing_waits_where_the_size_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradwire import conversion

    def refuse(tensor: Any) -> Any:
        raise AssertionError(f"nothing should be fetched; got {tensor.meta}")

    x = gw.arange(6.0)
    monkeypatch.setattr(conversion, "fetch", refuse)
    gw.combinations(x)
    x.repeat_interleave(2)
    x.repeat_interleave(gw.tensor([1, 0, 2, 1, 1, 1]), 0, output_size=6)
    gw.searchsorted(x, 2.5)
    x.quantile(gw.tensor([0.5]))
    x.nonzero_static(size=5)
