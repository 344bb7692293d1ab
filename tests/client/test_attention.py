"""Attention: the op that never holds all scores, and attention of many heads, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire
from gradwire_server.ops import attention as kernels
from tests.client.twins import Twins, compare


def draws(*sizes: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(sizes)


MASKS = {
    "none": None,
    "causal": "causal",
    "float": draws(5, 7),
    "bool": draws(5, 7) > 0,
    "rows without keys": np.arange(5)[:, None] * np.ones(7, int) > 1,
    "of a batch": draws(2, 1, 5, 7) > -0.5,
    "of heads": draws(1, 3, 1, 7) > -0.5,
}


@pytest.mark.parity
@pytest.mark.parametrize("block", [1 << 20, 64])
@pytest.mark.parametrize("mask", list(MASKS))
def test_attention(session: Any, monkeypatch: pytest.MonkeyPatch, block: int, mask: str) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(kernels, "_CPU_BLOCK", block)
    monkeypatch.setattr(kernels, "_FEWEST_ROWS", 2)
    arrays, g = (draws(2, 3, 5, 4), draws(2, 3, 7, 4, seed=1), draws(2, 3, 7, 6, seed=2)), draws(2, 3, 5, 6, seed=3)
    found = []
    for library in (gradwire, torch):
        leaves = [library.tensor(array, requires_grad=True) for array in arrays]
        given = MASKS[mask]
        kwargs = {"is_causal": True} if mask == "causal" else {}
        attn_mask = library.tensor(given) if isinstance(given, np.ndarray) else None
        out = library.nn.functional.scaled_dot_product_attention(*leaves, attn_mask, scale=0.6, **kwargs)
        out.backward(library.tensor(g))
        found.append((out, *(leaf.grad for leaf in leaves)))
    compare(*found)


def test_a_mask_that_learns_gets_a_gradient(t: Any) -> None:
    q, k, v = (t.tensor(draws(2, 4, 3, seed=seed)) for seed in range(3))
    mask = t.zeros(4, 4, dtype=t.float64, requires_grad=True)
    t.nn.functional.scaled_dot_product_attention(q, k, v, mask).sin().sum().backward()
    assert mask.grad.abs().sum().item() > 0.01
    assert abs(mask.grad.sum().item()) < 1e-12


def test_dropout_scales_the_weights_that_it_keeps(t: Any) -> None:
    t.manual_seed(0)
    q, v = t.zeros(1, 400, 2), t.ones(1, 4, 1)
    out = t.nn.functional.scaled_dot_product_attention(q, t.zeros(1, 4, 2), v, dropout_p=0.5)
    assert set(out.unique().tolist() if t.__name__ == "torch" else np.unique(out.numpy())) == {0, 0.5, 1, 1.5, 2}
    assert 0.9 < out.mean().item() < 1.1


def test_safe_softmax_gives_zeros_where_nothing_counts(t: Any) -> None:
    scores = t.tensor([[0.0, 0.0], [float("-inf"), float("-inf")]])
    found = t.ops.aten._safe_softmax(scores, -1) if t.__name__ == "torch" else scores._safe_softmax(-1)
    assert found.tolist() == [[0.5, 0.5], [0.0, 0.0]]


@pytest.mark.parity
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    "kwargs", [{}, {"bias": False}, {"add_bias_kv": True, "add_zero_attn": True}, {"kdim": 6, "vdim": 5}]
)
def test_many_heads(session: Any, kwargs: dict[str, Any], batch_first: bool, need_weights: bool) -> None:
    twins = Twins("MultiheadAttention", 8, 2, batch_first=batch_first, **kwargs)
    padding = np.zeros((3, 5), bool)
    padding[0, -2:] = True
    hidden = np.triu(np.ones((4, 5), bool), 2)

    def sequence(length: int, width: int, seed: int) -> Any:
        return draws(*((3, length) if batch_first else (length, 3)), width, seed=seed)

    inputs = sequence(4, 8, 1), sequence(5, kwargs.get("kdim", 8), 2), sequence(5, kwargs.get("vdim", 8), 3)
    twins.check(*inputs, need_weights=need_weights)
    twins.check(*inputs, padding, need_weights=need_weights, attn_mask=hidden, average_attn_weights=False)
    single = [array[0] if batch_first else array[:, 0] for array in inputs]
    twins.check(*single, padding[0], need_weights=need_weights)


@pytest.mark.parity
@pytest.mark.parametrize("need_weights", [True, False])
def test_heads_that_attend_to_themselves(session: Any, need_weights: bool) -> None:
    twins = Twins("MultiheadAttention", 8, 4, batch_first=True)

    def call(layer: Any, x: Any, mask: Any, **kwargs: Any) -> Any:
        return layer(x, x, x, attn_mask=mask, need_weights=need_weights, **kwargs)

    hidden = np.triu(np.ones((6, 6), bool), 1)
    twins.check(draws(2, 6, 8), hidden, call=call)
    twins.check(draws(2, 6, 8), hidden, call=call, is_causal=True)
    twins.check(draws(2, 6, 8), draws(8, 6, 6) > 1, call=call)


def test_refusals(t: Any) -> None:
    layer, x = t.nn.MultiheadAttention(4, 2), t.zeros(3, 2, 4)
    with pytest.raises(AssertionError, match="embed_dim must be divisible by num_heads"):
        t.nn.MultiheadAttention(5, 2)
    with pytest.raises(AssertionError, match="only bool and floating types of attn_mask are supported"):
        layer(x, x, x, attn_mask=t.zeros(3, 3, dtype=t.int64))
    with pytest.raises(RuntimeError, match=r"shape of the 2D attn_mask is .* but should be \(3, 3\)"):
        layer(x, x, x, attn_mask=t.zeros(2, 3))
    with pytest.raises(RuntimeError, match="Need attn_mask if specifying the is_causal hint"):
        layer(x, x, x, is_causal=True)
    with pytest.raises(AssertionError, match="query should be unbatched 2D or batched 3D tensor"):
        layer(x[0, 0], x, x)
    with pytest.raises(RuntimeError, match="Expected query, key, and value to have the same dtype"):
        t.nn.functional.scaled_dot_product_attention(x, x, x.double())
