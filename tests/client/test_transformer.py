"""The transformer and its parts against PyTorch's, in training and in inference with padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire
from tests.client.twins import Twins, compare


def draws(*sizes: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(sizes)


@pytest.mark.parity
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize(("activation", "bias"), [("relu", True), ("gelu", False)])
def test_transformer(session: Any, batch_first: bool, norm_first: bool, activation: str, bias: bool) -> None:
    twins = Twins(
        "Transformer", 8, 2, 2, 1, 12, 0.0, activation, batch_first=batch_first, norm_first=norm_first, bias=bias
    )
    source, target = (draws(3, 4, 8), draws(3, 5, 8)) if batch_first else (draws(4, 3, 8), draws(5, 3, 8))
    padding = np.zeros((3, 4), bool)
    padding[0, -2:] = True
    future = np.triu(np.ones((5, 5), bool), 1)
    twins.check(source, target, src_key_padding_mask=padding, memory_key_padding_mask=padding, tgt_mask=future)
    twins.check(source, target, tgt_mask=future, tgt_is_causal=True)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("at_the_end", [True, False])
def test_inference_makes_padding_zero_where_pytorch_does(session: Any, at_the_end: bool) -> None:
    twins = Twins("Transformer", 8, 2, 1, 1, 12, batch_first=True)
    padding = np.zeros((3, 4), bool)
    padding[0, 3 if at_the_end else 1] = True
    results = []
    for library, model in ((gradwire, twins.ours), (twins.torch, twins.theirs)):
        model.eval()
        with library.no_grad():
            results.append(model.encoder(library.tensor(draws(3, 4, 8)), src_key_padding_mask=library.tensor(padding)))
    compare(*results)


def test_an_activation_may_be_any_callable(t: Any) -> None:
    layer = t.nn.TransformerEncoderLayer(4, 2, 8, activation=t.tanh)
    assert layer.activation is t.tanh
    module = t.nn.TransformerDecoderLayer(4, 2, 8, activation=t.nn.GELU())
    assert "activation" in dict(module.named_children())
    with pytest.raises(RuntimeError, match="activation should be relu/gelu, not tanh"):
        t.nn.TransformerEncoderLayer(4, 2, 8, activation="tanh")


def test_the_mask_of_the_future(t: Any) -> None:
    mask = t.nn.Transformer.generate_square_subsequent_mask(3)
    assert mask.dtype is t.float32
    assert mask.tolist() == [[0, -np.inf, -np.inf], [0, 0, -np.inf], [0, 0, 0]]


def test_layers_of_an_encoder_are_copies(t: Any) -> None:
    with pytest.warns(UserWarning, match="self.use_nested_tensor is False because encoder_layer.self_attn.batch_first"):
        encoder = t.nn.TransformerEncoder(t.nn.TransformerEncoderLayer(4, 2, 8), 2)
    first, second = encoder.layers
    assert first.linear1.weight is not second.linear1.weight
    assert first.linear1.weight.tolist() == second.linear1.weight.tolist()
    with pytest.raises(RuntimeError, match="the feature number of src and tgt must be equal to d_model"):
        t.nn.Transformer(4, 2, 1, 1, 8, batch_first=True)(t.zeros(3, 2, 5), t.zeros(3, 2, 4))
