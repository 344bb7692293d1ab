"""Stacks of recurrent layers, as `torch.lstm` and its like: what `nn.LSTM`, `nn.GRU` and `nn.RNN` run.

Each layer is one call per direction. Batch sizes of packed sequences are numbers that the client must know: see
`host_ints`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradwire import random
from gradwire.functions.joining import cat, stack
from gradwire.host_ints import known_ints
from gradwire.tensor import Tensor
from gradwire_protocol.registry import OPS

__all__ = ["gru", "lstm", "rnn_relu", "rnn_tanh"]

_LSTM, _GRU, _RNN = OPS["gw::lstm_layer"], OPS["gw::gru_layer"], OPS["gw::rnn_layer"]


@dataclass(frozen=True, slots=True)
class _Stack:
    """The arguments of one call that are the same for packed data and for padded: after hx in PyTorch's order."""

    params: Sequence[Tensor]
    has_biases: bool
    num_layers: int
    dropout: float
    train: bool
    bidirectional: bool

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def weights(self, index: int) -> tuple[Tensor | None, ...]:
        """Return weight_ih, weight_hh, bias_ih, bias_hh and weight_hr of a layer in one direction."""
        count = len(self.params) // (self.num_layers * self.directions)
        held = list(self.params[index * count : (index + 1) * count])
        biases = held[2:4] if self.has_biases else [None, None]
        rest = held[4 if self.has_biases else 2 :]
        return (*held[:2], *biases, rest[0] if rest else None)


def lstm(input: Tensor, /, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Run a stack of LSTM layers; return the output and the last h and c of each layer and direction.

    `lstm(input, (hx, cx), params, has_biases, num_layers, dropout, train, bidirectional, batch_first)`, or
    `lstm(data, batch_sizes, (hx, cx), params, has_biases, num_layers, dropout, train, bidirectional)` of packed
    sequences.
    """
    if isinstance(arguments[0], Tensor):
        sizes, states, stack_, batch_first = known_ints(arguments[0]), arguments[1], _Stack(*arguments[2:]), False
    else:
        sizes, states, stack_, batch_first = None, arguments[0], _Stack(*arguments[1:-1]), bool(arguments[-1])

    def layer(data: Tensor, state: tuple[Tensor, ...], index: int) -> Any:
        return _LSTM(data, *state, *stack_.weights(index), sizes, bool(index % stack_.directions))

    return _run(layer, input, tuple(states), stack_, batch_first)  # type: ignore[return-value]


def gru(input: Tensor, /, *arguments: Any) -> tuple[Tensor, Tensor]:
    """Run a stack of GRU layers; return the output and the last h of each layer and direction.

    `gru(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)`, or
    `gru(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional)` of packed sequences.
    """
    return _run_plain(_GRU, (), input, arguments)


def rnn_tanh(input: Tensor, /, *arguments: Any) -> tuple[Tensor, Tensor]:
    """Run a stack of plain recurrent layers with tanh; see `gru` for the arguments."""
    return _run_plain(_RNN, (False,), input, arguments)


def rnn_relu(input: Tensor, /, *arguments: Any) -> tuple[Tensor, Tensor]:
    """Run a stack of plain recurrent layers with relu; see `gru` for the arguments."""
    return _run_plain(_RNN, (True,), input, arguments)


def _run_plain(op: Any, options: tuple[bool, ...], input: Tensor, arguments: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    if isinstance(arguments[1], Tensor):
        sizes, hx, stack_, batch_first = known_ints(arguments[0]), arguments[1], _Stack(*arguments[2:]), False
    else:
        sizes, hx, stack_, batch_first = None, arguments[0], _Stack(*arguments[1:-1]), bool(arguments[-1])

    def layer(data: Tensor, state: tuple[Tensor, ...], index: int) -> Any:
        return op(data, *state, *stack_.weights(index)[:4], sizes, bool(index % stack_.directions), *options)

    return _run(layer, input, (hx,), stack_, batch_first)  # type: ignore[return-value]


def _run(layer: Any, data: Tensor, states: tuple[Tensor, ...], stack_: _Stack, batch_first: bool) -> tuple[Tensor, ...]:
    """Run the layers one after another; `states` are (num_layers * directions, batch, hidden)."""
    data = data.transpose(0, 1) if batch_first else data
    last: list[list[Tensor]] = [[] for _ in states]
    for number in range(stack_.num_layers):
        if number and stack_.dropout and stack_.train:
            data = random.dropout(data, stack_.dropout)
        outputs = []
        for index in range(number * stack_.directions, (number + 1) * stack_.directions):
            found = layer(data, tuple(state.select(0, index) for state in states), index)
            outputs.append(found[0])
            for held, state in zip(last, found[1:], strict=False):
                held.append(state)
        data = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
    joined = [held[0].unsqueeze(0) if len(held) == 1 else stack(held) for held in last]
    return (data.transpose(0, 1) if batch_first else data, *joined)
