"""Samples of the recurrent layers. References: the documentation of `torch.nn.RNN`, `LSTM` and `GRU`, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
RAGGED = (3, 3, 2, 1)


# ---------------------------------------------------------------- by hand
def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _linear(x: Array, weight: Array, bias: Array | None) -> Array:
    return x @ weight.T + (0 if bias is None else bias)


def _walk(input: Array, states: list[Array], sizes: Any, reverse: bool, step: Callable[..., Any]) -> Any:
    """Run `step` on each row of each step; return the output, the last states, and the rest that steps return."""
    data = input.reshape(-1, input.shape[-1])
    sizes = sizes or (input.shape[1],) * input.shape[0]
    starts = np.concatenate(([0], np.cumsum(sizes)))
    states, found = [state.copy() for state in states], {}
    for t in reversed(range(len(sizes))) if reverse else range(len(sizes)):
        for b in range(sizes[t]):
            new, rest = step(data[starts[t] + b], [state[b] for state in states])
            for state, value in zip(states, new, strict=True):
                state[b] = value
            found[starts[t] + b] = (new[0], *rest)
    columns = [np.stack([found[row][k] for row in range(len(data))]) for k in range(len(found[0]))]
    return (columns[0].reshape(*input.shape[:-1], -1), *states, *columns[1:])


def _lstm(
    input: Array, hx: Array, cx: Array, w_ih: Array, w_hh: Array, b_ih: Any, b_hh: Any, w_hr: Any, sizes: Any,
    reverse: bool,
) -> Any:  # fmt: skip
    def step(x: Array, states: list[Array]) -> Any:
        i, f, g, o = np.split(_linear(x, w_ih, b_ih) + _linear(states[0], w_hh, b_hh), 4)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        c = f * states[1] + i * g
        h = o * np.tanh(c)
        return (h if w_hr is None else w_hr @ h, c), (np.concatenate((i, f, g, o)), c)

    return _walk(input, [hx, cx], sizes, reverse, step)


def _gru(input: Array, hx: Array, w_ih: Array, w_hh: Array, b_ih: Any, b_hh: Any, sizes: Any, reverse: bool) -> Any:
    def step(x: Array, states: list[Array]) -> Any:
        given = np.split(_linear(x, w_ih, b_ih), 3)
        held = np.split(_linear(states[0], w_hh, b_hh), 3)
        r, z = _sigmoid(given[0] + held[0]), _sigmoid(given[1] + held[1])
        n = np.tanh(given[2] + r * held[2])
        return ((1 - z) * n + z * states[0],), (np.concatenate((r, z, n, held[2])),)

    return _walk(input, [hx], sizes, reverse, step)


def _rnn(
    input: Array, hx: Array, w_ih: Array, w_hh: Array, b_ih: Any, b_hh: Any, sizes: Any, reverse: bool, relu: bool
) -> Any:
    def step(x: Array, states: list[Array]) -> Any:
        total = _linear(x, w_ih, b_ih) + _linear(states[0], w_hh, b_hh)
        return (np.maximum(total, 0) if relu else np.tanh(total),), ()

    return _walk(input, [hx], sizes, reverse, step)


# ---------------------------------------------------------------- backward, by complex steps
def _derivatives(layer: Callable[..., Any], grads: list[Any], tensors: list[Any], rest: tuple[Any, ...]) -> list[Array]:
    """Return the gradients by `tensors` of the outputs' products with `grads`: the imaginary part of a tiny i is exact."""
    found = []
    for position, tensor in enumerate(tensors):
        made = np.zeros(0) if tensor is None else np.zeros(tensor.shape)
        for index in np.ndindex(*made.shape):
            moved = [None if value is None else value.astype(complex) for value in tensors]
            moved[position][index] += 1e-30j
            outputs = layer(*moved, *rest)
            total = sum((g * out).sum() for g, out in zip(grads, outputs, strict=False) if g is not None)
            made[index] = total.imag / 1e-30
        found.append(made)
    return found


def _masked(found: list[Array], mask: tuple[bool, ...]) -> Any:
    return tuple(array if wanted else np.zeros(0) for array, wanted in zip(found, mask, strict=True))


def _lstm_backward(*args: Any) -> Any:
    grads, (x, h, c, w_ih, w_hh, w_hr), (sizes, reverse, mask) = args[:3], args[3:9], args[12:]
    bias = np.zeros(w_ih.shape[0])
    found = _derivatives(
        lambda *a: _lstm(*a[:5], a[5], None, *a[6:]), list(grads), [x, h, c, w_ih, w_hh, bias, w_hr], (sizes, reverse)
    )
    return _masked(found, mask)


def _gru_backward(*args: Any) -> Any:
    grads, (x, h, w_ih, w_hh), (sizes, reverse, mask) = args[:2], args[2:6], args[8:]
    biases = [np.zeros(w_ih.shape[0])] * 2
    return _masked(_derivatives(_gru, list(grads), [x, h, w_ih, w_hh, *biases], (sizes, reverse)), mask)


def _rnn_backward(*args: Any) -> Any:
    grads, (x, h, w_ih, w_hh), (sizes, reverse, relu, mask) = args[:2], args[2:6], args[7:]
    bias = np.zeros(w_ih.shape[0])
    found = _derivatives(
        lambda *a: _rnn(*a[:5], None, *a[5:]), list(grads), [x, h, w_ih, w_hh, bias], (sizes, reverse, relu)
    )
    return _masked(found, mask)


# ---------------------------------------------------------------- cases
# (shape of input, batch sizes, reverse, biases, dtype)
_RUNS = (
    ((4, 2, 3), None, False, True, np.float64), ((3, 2, 3), None, True, False, np.float64),
    ((9, 3), RAGGED, False, True, np.float64), ((9, 3), RAGGED, True, True, np.float64),
    ((4, 2, 3), None, False, True, np.float32),
)  # fmt: skip


def _drawn(rng: np.random.Generator, gates: int, states: int, run: Any, out: int = 2) -> tuple[list[Any], ...]:
    """Return input and states, weights, biases; of 2 hidden features, h of `out`."""
    shape, sizes, _, biased, dtype = run
    batch = shape[1] if sizes is None else sizes[0]

    def draw(*shape: int) -> Array:
        return (rng.standard_normal(shape) * 0.5).astype(dtype)

    data = [draw(*shape), draw(batch, out), *([draw(batch, 2)] if states == 2 else [])]
    biases = [draw(gates * 2), draw(gates * 2)] if biased else [None, None]
    return data, [draw(gates * 2, 3), draw(gates * 2, out)], biases


def _lstm_cases(rng: np.random.Generator) -> Iterator[Case]:
    for run in _RUNS:
        data, weights, biases = _drawn(rng, 4, 2, run)
        yield Case((*data, *weights, *biases, None, *run[1:3]))
    data, weights, biases = _drawn(rng, 4, 2, _RUNS[2], out=1)
    yield Case((*data, *weights, *biases, rng.standard_normal((1, 2)), *_RUNS[2][1:3]))


def _plain_cases(gates: int, *tails: tuple[Any, ...]) -> Callable[[np.random.Generator], Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for run in _RUNS:
            for tail in tails:
                data, weights, biases = _drawn(rng, gates, 1, run)
                yield Case((*data, *weights, *biases, *run[1:3], *tail))

    return cases


def _lstm_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for run in _RUNS[:4]:
        data, weights, _ = _drawn(rng, 4, 2, run)
        output, hy, cy, gates, cells = _lstm(*data, *weights, None, None, None, *run[1:3])
        grads = [rng.standard_normal(array.shape) for array in (output, hy, cy)]
        for given, mask in ((grads, (True,) * 6), ([grads[0], None, None], (False, True, False, False, True, False))):
            yield Case((*given, *data, *weights, None, output, gates, cells, *run[1:3], (*mask, False)))


def _gru_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for run in _RUNS[:4]:
        data, weights, _ = _drawn(rng, 3, 1, run)
        output, hy, gates = _gru(*data, *weights, None, None, *run[1:3])
        grads = [rng.standard_normal(array.shape) for array in (output, hy)]
        for given, mask in ((grads, (True,) * 6), ([grads[0], None], (False, False, True, False, False, True))):
            yield Case((*given, *data, *weights, output, gates, *run[1:3], mask))


def _rnn_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for run in _RUNS[:4]:
        for relu in (False, True):
            data, weights, _ = _drawn(rng, 1, 1, run)
            output, hy = _rnn(*data, *weights, None, None, *run[1:3], relu)
            grads = [rng.standard_normal(array.shape) for array in (output, hy)]
            yield Case((*grads, *data, *weights, output, *run[1:3], relu, (True, not relu, True, True, relu)))


_X, _H = np.ones((4, 2, 3)), np.ones((2, 5))
_ROWS = np.ones((9, 3))


def _refusals(gates: int, states: int, *tail: Any) -> tuple[Refusal, ...]:
    given, w_ih, w_hh = [_H] * states, np.ones((gates * 5, 3)), np.ones((gates * 5, 5))
    rest = (None, None, *([None] if states == 2 else []))
    tall = [np.ones((3, 5))] * states
    return tuple(
        Refusal((data, *held, first, second, *rest, sizes, False, *tail), error, text, in_torch=False)
        for data, held, first, second, sizes, error, text in (
            (_ROWS, given, w_ih, w_hh, None, RuntimeError, "input must have 3 dimensions, got 2"),
            (_X, given, w_ih, w_hh, (2, 2), RuntimeError, "input must have 2 dimensions, got 3"),
            (_X[:0], given, w_ih, w_hh, None, RuntimeError, "Expected sequence length to be larger than 0 in RNN"),
            (_X, tall, w_ih, w_hh, None, RuntimeError, r"hx must be \(batch, hidden\) with a batch of 2"),
            (_ROWS, tall, w_ih, w_hh, (3, 3, 4), RuntimeError, "batch_sizes must be positive, never rise"),
            (_ROWS, tall, w_ih, w_hh, (3, 3), RuntimeError, "batch_sizes must be positive, never rise"),
            (_X, given, w_hh, w_hh, None, RuntimeError, "weight_ih must have shape"),
            (_X, given, w_ih, w_ih, None, RuntimeError, "weight_hh must have shape"),
            (
                _X,
                given,
                w_ih.astype(np.float32),
                w_hh,
                None,
                RuntimeError,
                "must have the same dtype, but got Double and",
            ),
            (_X.astype(int), given, w_ih, w_hh, None, RuntimeError, "not implemented for 'Long'"),
        )
    )


SAMPLES: list[Sample] = [
    Sample("gw::lstm_layer", _lstm, _lstm_cases, _refusals(4, 2), differentiable_outputs=3),
    Sample("gw::gru_layer", _gru, _plain_cases(3, ()), _refusals(3, 1), differentiable_outputs=2),
    Sample("gw::rnn_layer", _rnn, _plain_cases(1, (False,), (True,)), _refusals(1, 1, False)),
    Sample("gw::lstm_layer_backward", _lstm_backward, _lstm_backward_cases),
    Sample("gw::gru_layer_backward", _gru_backward, _gru_backward_cases),
    Sample("gw::rnn_layer_backward", _rnn_backward, _rnn_backward_cases),
]
