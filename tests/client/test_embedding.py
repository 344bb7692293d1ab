"""Embeddings: rows looked up one by one and in bags, their layers, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.client.twins import Twins

IDS = np.array([[0, 3, 1], [3, 3, 2]])
FLAT, OFFSETS = np.array([0, 3, 1, 3, 3, 2]), np.array([0, 2, 2, 5])


@pytest.mark.parity
@pytest.mark.parametrize(
    "kwargs",
    [{}, {"padding_idx": -1}, {"max_norm": 0.5}, {"max_norm": 0.5, "norm_type": 1.0}, {"scale_grad_by_freq": True}],
)
def test_embedding(session: Any, kwargs: dict[str, Any]) -> None:
    twins = Twins("Embedding", 4, 9, **kwargs)
    twins.check(IDS)
    # max_norm changed the weights in place.
    np.testing.assert_allclose(twins.ours.weight.detach().numpy(), twins.theirs.weight.detach().numpy(), rtol=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("kwargs", [{}, {"padding_idx": 3}, {"max_norm": 0.5}, {"include_last_offset": True}])
def test_embedding_bag(session: Any, mode: str, kwargs: dict[str, Any]) -> None:
    twins = Twins("EmbeddingBag", 4, 3, mode=mode, **kwargs)
    twins.check(FLAT, OFFSETS)
    if "include_last_offset" not in kwargs:
        twins.check(IDS)


@pytest.mark.parity
def test_embedding_bag_with_sample_weights(session: Any) -> None:
    twins = Twins("EmbeddingBag", 4, 3, mode="sum", padding_idx=0)
    twins.check(FLAT, OFFSETS, np.random.default_rng(1).standard_normal(6))
    twins.check(IDS, None, np.random.default_rng(1).standard_normal((2, 3)))


def test_from_pretrained(t: Any) -> None:
    rows = t.arange(6.0).reshape(3, 2)
    frozen = t.nn.Embedding.from_pretrained(rows, padding_idx=1)
    assert not frozen.weight.requires_grad
    assert frozen(t.tensor([2, 1])).tolist() == [[4.0, 5.0], [2.0, 3.0]]
    bag = t.nn.EmbeddingBag.from_pretrained(rows, freeze=False, mode="max")
    assert bag.weight.requires_grad
    assert bag(t.tensor([[0, 2], [1, 0]])).tolist() == [[4.0, 5.0], [2.0, 3.0]]
    with pytest.raises(AssertionError, match="expected to be 2-dimensional"):
        t.nn.Embedding.from_pretrained(rows[0])


def test_the_padding_row_starts_at_zero(t: Any) -> None:
    assert t.nn.Embedding(3, 2, padding_idx=-2).weight[1].tolist() == [0.0, 0.0]
    with pytest.raises(AssertionError, match="Padding_idx must be within num_embeddings"):
        t.nn.Embedding(3, 2, padding_idx=3)


def test_refusals(t: Any) -> None:
    functional, weight = t.nn.functional, t.ones(4, 3)
    with pytest.raises(ValueError, match="if input is 2D, then offsets has to be None"):
        functional.embedding_bag(t.tensor(IDS), weight, t.tensor(OFFSETS))
    with pytest.raises(ValueError, match="mode has to be one of sum, mean or max"):
        functional.embedding_bag(t.tensor(IDS), weight, mode="min")
    with pytest.raises(NotImplementedError, match="per_sample_weights is only supported for mode='sum'"):
        functional.embedding_bag(t.tensor(IDS), weight, per_sample_weights=t.ones(2, 3))
    with pytest.raises(RuntimeError, match=r"offsets\[0\] has to be 0"):
        functional.embedding_bag(t.tensor(FLAT), weight, t.tensor([1, 2]), mode="sum").tolist()


def test_a_sparse_gradient_is_refused(session: Any) -> None:
    import gradwire

    layer = gradwire.nn.Embedding(4, 3, sparse=True)
    with pytest.raises(RuntimeError, match="sparse=True asks for a sparse gradient"):
        layer(gradwire.tensor(IDS))
    layer.requires_grad_(False)
    assert layer(gradwire.tensor(IDS)).shape == (2, 3, 3)
