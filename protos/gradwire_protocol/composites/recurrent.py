"""Recurrent cells: one step of a layer, by the same ops; and the gradient of dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.registry import OPS

__all__ = ["RecurrentComposites"]

_LSTM, _GRU, _RNN = OPS["gw::lstm_layer"], OPS["gw::gru_layer"], OPS["gw::rnn_layer"]


def _check_cell(input: Any, states: Sequence[Any], w_ih: Any, w_hh: Any) -> None:
    features, hidden = w_ih.meta.shape[1], w_hh.meta.shape[1]
    if input.meta.ndim != 2 or input.meta.shape[1] != features:
        raise RuntimeError(f"input has inconsistent input_size: got {input.meta.shape[-1]} expected {features}")
    for number, state in enumerate(states):
        batch, size = state.meta.shape[0], state.meta.shape[-1]
        if batch != input.meta.shape[0]:
            raise RuntimeError(
                f"Input batch size {input.meta.shape[0]} doesn't match hidden{number} batch size {batch}"
            )
        if size != hidden:
            raise RuntimeError(f"hidden{number} has inconsistent hidden_size: got {size}, expected {hidden}")


class RecurrentComposites(Callable_):
    """Methods of the recurrent cells; self is (batch, features), the states are (batch, hidden)."""

    __slots__ = ()

    def native_dropout_backward(self, mask: Any, scale: float) -> Any:
        """Return the gradient of `native_dropout` from that of its result."""
        me: Any = self
        return me * (mask * float(scale))

    def lstm_cell(self, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        """Return h and c after one step from `hx`, a pair of them."""
        me: Any = self
        _check_cell(self, hx, w_ih, w_hh)
        h, c = hx
        return self._call(_LSTM, (me.unsqueeze(0), h, c, w_ih, w_hh, b_ih, b_hh, None), (None, False))[1:3]

    def gru_cell(self, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        """Return h after one step."""
        me: Any = self
        _check_cell(self, (hx,), w_ih, w_hh)
        return self._call(_GRU, (me.unsqueeze(0), hx, w_ih, w_hh, b_ih, b_hh), (None, False))[1]

    def rnn_tanh_cell(self, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        """Return h after one step with tanh."""
        me: Any = self
        _check_cell(self, (hx,), w_ih, w_hh)
        return self._call(_RNN, (me.unsqueeze(0), hx, w_ih, w_hh, b_ih, b_hh), (None, False, False))[1]

    def rnn_relu_cell(self, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        """Return h after one step with relu."""
        me: Any = self
        _check_cell(self, (hx,), w_ih, w_hh)
        return self._call(_RNN, (me.unsqueeze(0), hx, w_ih, w_hh, b_ih, b_hh), (None, False, True))[1]
