"""The numbers of the arguments and results of recurrent layers and their backwards, which the passes over them go by."""

from __future__ import annotations

from dataclasses import dataclass

from gradwire_protocol.ops.recurrent import work_dtype
from gradwire_server.programs.flow import Flow
from gradwire_server.programs.values import Step, Value

__all__ = ["NAMES", "Layer", "backward_of", "forward_of", "given"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A kind of layer. All of them take (input, states..., weights...) and give (output, states..., more).

    Their backwards take (grad_output, grad_states..., input, states..., weights..., rows...) and give the gradients of
    (input, states..., weights...). `rows` are the forward's results with a row for each of the input; `lying` are those of
    them that hold each state, h first, after each step. `sums` counts the gradients of weights and biases.
    """

    name: str
    states: int
    rows: tuple[int, ...]
    lying: tuple[int, ...]
    sums: int
    is_projected: bool = False  # there is a last weight, which makes h smaller; joined only where it is not given

    @property
    def state_numbers(self) -> range:
        """Return which arguments of the forward are states; the results have the same numbers, also the backward's."""
        return range(1, 1 + self.states)

    @property
    def weight_numbers(self) -> slice:
        """Return which arguments of the forward are weights and biases."""
        return slice(1 + self.states, 5 + self.states)

    @property
    def data_number(self) -> int:
        """Return which argument of the backward is the input; the states follow."""
        return 1 + self.states

    @property
    def kept_weights(self) -> slice:
        """Return which arguments of the backward are weights."""
        return slice(2 + 2 * self.states, 4 + 2 * self.states)

    @property
    def row_numbers(self) -> range:
        """Return which arguments of the backward are the forward's `rows`."""
        first = 4 + 2 * self.states + self.is_projected
        return range(first, first + len(self.rows))

    @property
    def sum_numbers(self) -> range:
        """Return which results of the backward are gradients of weights and biases."""
        return range(1 + self.states, 1 + self.states + self.sums)


_LAYERS = (
    Layer("gw::lstm_layer", 2, (0, 3, 4), (0, 4), 3, True),
    Layer("gw::gru_layer", 1, (0, 2), (0,), 4),
    Layer("gw::rnn_layer", 1, (0,), (0,), 3),
)
_FORWARDS = {layer.name: layer for layer in _LAYERS}
_BACKWARDS = {f"{layer.name}_backward": layer for layer in _LAYERS}
NAMES = frozenset((*_FORWARDS, *_BACKWARDS))


def forward_of(flow: Flow, step: Step) -> Layer | None:
    """Return the layer of a step that is one that can be joined."""
    layer = _FORWARDS.get(step.signature.op.name)
    return layer if layer and _is_plain(flow, step, 1, 5 + layer.states if layer.is_projected else None) else None


def backward_of(flow: Flow, step: Step) -> Layer | None:
    """Return the layer of a step that is the backward of one that can be joined."""
    layer = _BACKWARDS.get(step.signature.op.name)
    if layer is None:
        return None
    projection = layer.row_numbers[0] - 1 if layer.is_projected else None
    return layer if _is_plain(flow, step, layer.data_number + 1, projection) else None


def _is_plain(flow: Flow, step: Step, hx: int, projection: int | None) -> bool:
    """Return whether a call is not packed, goes forward in time, and keeps its states between steps as it gives them."""
    if step.signature.statics[:2] != (None, False) or (projection is not None and step.inputs[projection] is not None):
        return False
    meta = given(step, hx).meta
    return work_dtype(meta.dtype) is meta.dtype and meta.numel > 0 and flow.written.isdisjoint(step.outputs)


def given(step: Step, number: int) -> Value:
    """Return an argument that is not None."""
    value = step.inputs[number]
    assert value is not None
    return value
