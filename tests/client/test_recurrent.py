"""Recurrent layers beside PyTorch's with the same weights; cells; packed sequences; training."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradwire
from tests.client.twins import Twins, compare

Array = np.ndarray[Any, Any]

parity = pytest.mark.parity
OPTIONS: list[dict[str, Any]] = [
    {}, {"bias": False, "batch_first": True}, {"num_layers": 2, "bidirectional": True},
    {"num_layers": 2, "dropout": 0.0, "batch_first": True},
]  # fmt: skip
LAYERS = [(name, options) for name in ("RNN", "LSTM", "GRU") for options in OPTIONS]
LAYERS += [("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True}), ("RNN", {"nonlinearity": "relu"})]


def draws(*sizes: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(sizes)


def flat(result: Any) -> tuple[Any, ...]:
    """Return the tensors of a result, in order."""
    if isinstance(result, tuple):
        return sum((flat(item) for item in result if item is not None), ())
    return (result,)


def states(layer: Any, batch: tuple[int, ...]) -> list[Array]:
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [layer.proj_size or layer.hidden_size, layer.hidden_size]
    return [draws(count, *batch, size, seed=size + 9) for size in sizes[: 2 if layer.mode == "LSTM" else 1]]


def hidden(layer: Any, given: tuple[Any, ...]) -> Any:
    if not given:
        return None
    return given if layer.mode == "LSTM" else given[0]


@parity
@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_layers(name: str, options: dict[str, Any]) -> None:
    twins = Twins(name, 3, 4, **options)

    def call(layer: Any, x: Any, *given: Any) -> Any:
        return flat(layer(x, hidden(layer, given)))

    twins.check(draws(5, 2, 3), call=call)
    batch = 5 if options.get("batch_first") else 2
    twins.check(draws(5, 2, 3), *states(twins.ours, (batch,)), call=call)
    twins.check(draws(5, 3), *states(twins.ours, ()), call=call)
    twins.check(draws(5, 3), call=call)


@parity
@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_packed_sequences(name: str, options: dict[str, Any]) -> None:
    twins = Twins(name, 3, 4, **options)
    for lengths in ([2, 5, 3], [4, 4, 4]):
        with_states = states(twins.ours, (3,)) if lengths[0] == 2 else []

        def call(layer: Any, x: Any, *given: Any, lengths: list[int] = lengths) -> Any:
            utils = gradwire.nn.utils.rnn if layer is twins.ours else twins.torch.nn.utils.rnn
            packed = utils.pack_padded_sequence(x, lengths, enforce_sorted=False)
            output, last = layer(packed, hidden(layer, given))
            return output.data, utils.pad_packed_sequence(output, True)[0], *flat(last)

        twins.check(draws(5, 3, 3), *with_states, call=call)


@parity
@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_second_gradients(name: str) -> None:
    twins = Twins(name, 2, 3, bidirectional=True)
    found = []
    for library, layer in ((gradwire, twins.ours), (twins.torch, twins.theirs)):
        x = library.tensor(draws(3, 2, 2), requires_grad=True)
        # One of the arguments is computed from another.
        state = x[:2, :, :1].expand(2, 2, 3).contiguous()
        output = flat(layer(x, (state, state) if name == "LSTM" else state))
        leaves = [x, *layer.parameters()]
        first = library.autograd.grad(sum(part.sin().sum() for part in output), leaves, create_graph=True)
        second = library.autograd.grad(sum((g * g).sum() for g in first), leaves)
        found.append((*first, *second))
    compare(*found)


CELLS = [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu", "bias": False}), ("LSTMCell", {}), ("GRUCell", {})]


@parity
@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(("name", "options"), CELLS)
def test_cells(name: str, options: dict[str, Any]) -> None:
    twins = Twins(name, 3, 4, **options)
    count = 2 if name == "LSTMCell" else 1

    def call(layer: Any, x: Any, *given: Any) -> Any:
        return flat(layer(x, (given if count == 2 else given[0]) if given else None))

    twins.check(draws(2, 3), call=call)
    twins.check(draws(2, 3), *(draws(2, 4, seed=seed) for seed in range(count)), call=call)
    twins.check(draws(3), *(draws(4, seed=seed) for seed in range(count)), call=call)


@parity
@pytest.mark.usefixtures("session")
def test_training() -> None:
    twins = Twins("LSTM", 3, 4, num_layers=2)
    x, target, losses = draws(6, 2, 3), draws(6, 2, 4, seed=1), []
    for library, layer in ((gradwire, twins.ours), (twins.torch, twins.theirs)):
        optimizer = library.optim.Adam(layer.parameters(), lr=0.05)
        curve = []
        for _ in range(15):
            optimizer.zero_grad()
            loss = library.nn.functional.mse_loss(layer(library.tensor(x))[0], library.tensor(target))
            loss.backward()
            library.nn.utils.clip_grad_norm_(layer.parameters(), 0.5)
            optimizer.step()
            curve.append(loss.item())
        losses.append(curve)
    assert losses[0][-1] < losses[0][0] * 0.9
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-8)


def test_dropout_lies_between_the_layers(t: Any) -> None:
    t.manual_seed(0)
    layer = t.nn.GRU(3, 50, num_layers=2, dropout=1.0)
    x, y = t.ones(4, 2, 3), t.zeros(4, 2, 3)
    np.testing.assert_array_equal(layer(x)[0].detach().numpy(), layer(y)[0].detach().numpy())
    layer.eval()
    assert not np.allclose(layer(x)[0].detach().numpy(), layer(y)[0].detach().numpy())


def test_float16_and_an_empty_batch(t: Any) -> None:
    layer = t.nn.LSTM(3, 4)
    output, (h, c) = layer(t.ones(5, 0, 3))
    assert (tuple(output.shape), tuple(h.shape), tuple(c.shape)) == ((5, 0, 4), (1, 0, 4), (1, 0, 4))
    wide = layer(t.ones(5, 2, 3))[0].detach().numpy()
    narrow = layer.half()(t.ones(5, 2, 3).half())[0]
    assert narrow.dtype is t.float16
    np.testing.assert_allclose(narrow.detach().numpy(), wide, atol=5e-3)


def test_the_weights(t: Any) -> None:
    layer = t.nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
    assert [tuple(w.shape) for w in layer.all_weights[3]] == [(16, 4), (16, 2), (16,), (16,), (2, 4)]
    assert layer.all_weights[0][0] is layer.weight_ih_l0
    layer.flatten_parameters()
    names = [name for name, _ in layer.named_parameters()]
    assert names[5:7] == ["weight_ih_l0_reverse", "weight_hh_l0_reverse"]
    assert names[-1] == "weight_hr_l1_reverse"
    assert all(float(w.abs().max().item()) <= 0.5 for w in layer.parameters())


REFUSALS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "mode": (lambda t: t.nn.RNN(1, 2, nonlinearity="x"), ValueError, "Unknown nonlinearity 'x'. Select from"),
    "projection": (lambda t: t.nn.GRU(1, 2, proj_size=1), ValueError, "proj_size argument is only supported for LSTM"),
    "wide projection": (lambda t: t.nn.LSTM(1, 2, proj_size=2), ValueError, "proj_size has to be smaller than"),
    "dropout": (lambda t: t.nn.LSTM(1, 2, dropout=2), ValueError, "dropout should be a number in range"),
    "bias": (lambda t: t.nn.LSTM(1, 2, bias=1), TypeError, "bias should be of type bool, got: int"),
    "size": (lambda t: t.nn.LSTM(0, 2), ValueError, "input_size must be greater than zero"),
    "layers": (lambda t: t.nn.LSTM(1, 2, 0), ValueError, "num_layers must be greater than zero"),
    "axes": (lambda t: t.nn.RNN(1, 2)(t.ones(1, 1, 1, 1)), ValueError, "RNN: Expected input to be 2D or 3D, got 4D"),
    "dtype": (lambda t: t.nn.RNN(1, 2)(t.ones(1, 1, 1).double()), ValueError, "does not match weight dtype"),
    "features": (lambda t: t.nn.GRU(3, 2)(t.ones(1, 1, 4)), RuntimeError, "must be equal to input_size. Expected 3"),
    "state": (
        lambda t: t.nn.GRU(3, 2)(t.ones(5, 2, 3), t.ones(1, 3, 2)), RuntimeError,
        "Expected hidden size (1, 2, 2), got [1, 3, 2]",
    ),
    "state's axes": (
        lambda t: t.nn.GRU(3, 2)(t.ones(5, 3), t.ones(1, 3, 2)), RuntimeError,
        "For unbatched 2-D input, hx should also be 2-D but got 3-D tensor",
    ),
    "cell's state": (
        lambda t: t.nn.LSTM(3, 2)(t.ones(5, 2, 3), (t.ones(1, 2, 2), t.ones(1, 2, 3))), RuntimeError,
        "Expected hidden[1] size (1, 2, 2), got [1, 2, 3]",
    ),
    "cell's axes": (
        lambda t: t.nn.LSTM(3, 2)(t.ones(5, 2, 3), (t.ones(2, 2), t.ones(1, 2, 2))), RuntimeError,
        "For batched 3-D input, hx and cx should also be 3-D but got (2-D, 3-D) tensors",
    ),
    "no steps": (lambda t: t.nn.LSTM(3, 2)(t.ones(0, 2, 3)), RuntimeError, "Expected sequence length to be larger than 0"),
    "cell input": (lambda t: t.nn.LSTMCell(3, 4)(t.ones(1, 1, 3)), ValueError, "LSTMCell: Expected input to be 1D or 2D"),
    "cell size": (lambda t: t.nn.GRUCell(3, 4)(t.ones(2, 5)), RuntimeError, "inconsistent input_size: got 5 expected 3"),
    "cell batch": (
        lambda t: t.nn.RNNCell(3, 4)(t.ones(2, 3), t.ones(3, 4)), RuntimeError,
        "Input batch size 2 doesn't match hidden0 batch size 3",
    ),
    "cell hidden": (
        lambda t: t.nn.LSTMCell(3, 4)(t.ones(2, 3), (t.ones(2, 4), t.ones(2, 5))), RuntimeError,
        "hidden1 has inconsistent hidden_size: got 5, expected 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals(t: Any, what: str) -> None:
    act, error, text = REFUSALS[what]
    with pytest.raises(error) as caught:
        act(t)
    assert text in str(caught.value)


def test_dropout_of_one_layer_warns(t: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        t.nn.LSTM(1, 2, dropout=0.5)
    assert "expects num_layers greater than 1, but got dropout=0.5 and num_layers=1" in str(caught[0].message)
