"""Kernels and gradients of `gradwire_protocol.ops.recurrent`.

The input's product is made for all steps at once; what is left to a step is one product with the state and a few ufuncs
into memory made before. One state matrix serves both directions of packed sequences: a step writes the rows of the
sequences that are still running, and what the others hold is their last state, or their first. The backward does the
same, over factors computed for all steps at once, and ends with one product per weight. float16 is computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_server.loops import host_loops
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.products import matmul
from gradwire_server.rules import joint_gradient, kernel

Array = Any
Steps = list[tuple[int, int]]

# Up to so many steps, scaling what the weights make costs less than scaling and laying out the weights.
_SHORT_STEPS = 4
# Of all gates, from which on compiled loops are worth their calls: a cell of 128 with 32 rows.
_LOOP_ELEMENTS = 16_384


def step_rows(rows: int, batch: int, batch_sizes: tuple[int, ...] | None, reverse: bool) -> Steps:
    """Return the first row and the number of rows of each step, in running order."""
    sizes = (batch,) * (rows // batch if batch else 0) if batch_sizes is None else batch_sizes
    steps, start = [], 0
    for size in sizes:
        steps.append((start, size))
        start += size
    return steps[::-1] if reverse else steps


class Layer:
    """The data of one call as matrices, and its steps."""

    def __init__(self, xp: Any, input: Array, hx: Array, batch_sizes: tuple[int, ...] | None, reverse: bool) -> None:
        self.xp = xp
        self.x = widened(input).reshape(-1, input.shape[-1])
        self.batch = hx.shape[0]
        self.steps = step_rows(self.x.shape[0], self.batch, batch_sizes, reverse)

    def projected(self, weight_ih: Array, *biases: Array | None, scale: Array | None = None) -> Array:
        """Return the inputs' part of all gates, times `scale`: of the weights, which are fewer than the results."""
        given = [widened(bias) for bias in biases if bias is not None]
        made = matmul(self.xp, self.x, _scaled(widened(weight_ih).T, scale))
        if given:
            self.xp.add(made, _scaled(sum(given[1:], given[0]), scale), out=made)
        return made

    def empty(self, columns: int, rows: int | None = None) -> Array:
        """Return memory of a row per row of data, or of so many rows."""
        return self.xp.empty((self.x.shape[0] if rows is None else rows, columns), self.x.dtype)

    def before(self, first: Array, values: Array) -> Array:
        """Return for each row the state before its step, from the state before all and the states `values` after."""
        found, state = self.empty(values.shape[1]), widened(first).copy()
        for start, size in self.steps:
            found[start : start + size] = state[:size]
            state[:size] = values[start : start + size]
        return found

    def state(self, gradient: Array | None, columns: int) -> Array:
        """Return the gradient of a last state as memory to go on with."""
        if gradient is None:
            return self.xp.zeros((self.batch, columns), self.x.dtype)
        return gradient.astype(self.x.dtype)


def _scaled(array: Array, scale: Array | None) -> Array:
    return array if scale is None else array * scale


def _sigmoid(xp: Any, values: Array) -> None:
    """Compute 1 / (1 + exp(-x)) = tanh(x / 2) / 2 + 1/2 in place, which overflows nowhere."""
    xp.multiply(values, 0.5, out=values)
    xp.tanh(values, out=values)
    xp.multiply(values, 0.5, out=values)
    xp.add(values, 0.5, out=values)


def _delivered(found: Sequence[Array | None], result: tuple[Meta, ...], xp: Any) -> tuple[Array, ...]:
    """Return results in their shapes and dtypes; None stands for one that was not asked for."""
    return tuple(
        xp.zeros((0,), meta.dtype.numpy) if array is None else in_dtype(array.reshape(meta.shape), meta)
        for array, meta in zip(found, result, strict=True)
    )


# ---------------------------------------------------------------- LSTM
@kernel("gw::lstm_layer")
def lstm(
    xp: Any, input: Array, hx: Array, cx: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array | None,
    bias_hh: Array | None, weight_hr: Array | None, batch_sizes: tuple[int, ...] | None, reverse: bool,
    result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Compute c' = f c + i g, h' = o tanh(c'), times weight_hr if given. `gates` holds i, f, g, o side by side."""
    layer, hidden = Layer(xp, input, hx, batch_sizes, reverse), cx.shape[1]
    halves, shift = _lstm_halves(xp, hidden, layer.x.dtype)
    is_short = len(layer.steps) <= _SHORT_STEPS
    gates = layer.projected(weight_ih, bias_ih, bias_hh, scale=None if is_short else halves)
    recurrent = widened(weight_hh).T
    if not is_short:
        # In memory as it is read, since a product of few rows with a transposed view takes twice the time.
        recurrent = xp.ascontiguousarray(xp.multiply(recurrent, halves))
    output, cells = layer.empty(hx.shape[1]), layer.empty(hidden)
    h, c = widened(hx).copy(), widened(cx).copy()
    product, squashed = layer.empty(4 * hidden, layer.batch), layer.empty(hidden, layer.batch)
    narrow = None if weight_hr is None else widened(weight_hr).T
    loops = host_loops(xp, gates, c, least=_LOOP_ELEMENTS)
    for start, size in layer.steps:
        rows, out = gates[start : start + size], output[start : start + size]
        cell, unused = c[:size], squashed[:size]
        matmul(xp, h[:size], recurrent, out=product[:size])
        xp.add(rows, product[:size], out=rows)
        if is_short:
            xp.multiply(rows, halves, out=rows)
        xp.tanh(rows, out=rows)
        if loops is not None:
            loops.lstm_step(rows, halves, shift, cell, cells[start : start + size])
        else:
            xp.multiply(rows, halves, out=rows)
            xp.add(rows, shift, out=rows)
            xp.multiply(cell, rows[:, hidden : 2 * hidden], out=cell)
            xp.multiply(rows[:, :hidden], rows[:, 2 * hidden : 3 * hidden], out=unused)
            xp.add(cell, unused, out=cell)
            cells[start : start + size] = cell
        xp.tanh(cell, out=unused)
        xp.multiply(unused, rows[:, 3 * hidden :], out=out if narrow is None else unused)
        if narrow is not None:
            matmul(xp, unused, narrow, out=out)
        h[:size] = out
    return _delivered((output, h, c, gates, cells), result, xp)


def _lstm_halves(xp: Any, hidden: int, dtype: Any) -> tuple[Array, Array]:
    """Return factors and shifts that make one tanh of all gates: sigmoid(x) = tanh(x / 2) / 2 + 1/2, but g is tanh."""
    halves, shift = xp.full((4 * hidden,), 0.5, dtype), xp.full((4 * hidden,), 0.5, dtype)
    halves[2 * hidden : 3 * hidden] = 1
    shift[2 * hidden : 3 * hidden] = 0
    return halves, shift


def _lstm_factors(xp: Any, gates: Array, squashed: Array, before: Array) -> tuple[Array, Array, Array]:
    """Return, for all rows, the derivatives of c' by the inputs of i, f and g, of h by that of o, and of h by c'.

    `squashed` is tanh(c').
    """
    rows, hidden = squashed.shape
    i, f, g, o = (gates[:, k * hidden : (k + 1) * hidden] for k in range(4))
    by_gates = xp.empty((rows, 3, hidden), squashed.dtype)
    xp.multiply(g, i * (1 - i), out=by_gates[:, 0])
    xp.multiply(before, f * (1 - f), out=by_gates[:, 1])
    xp.multiply(i, 1 - g * g, out=by_gates[:, 2])
    return by_gates, squashed * o * (1 - o), o * (1 - squashed * squashed)


@kernel("gw::lstm_layer_backward")
def lstm_backward(
    xp: Any, grad_output: Array, grad_hy: Array | None, grad_cy: Array | None, input: Array, hx: Array, cx: Array,
    weight_ih: Array, weight_hh: Array, weight_hr: Array | None, output: Array, gates: Array, cells: Array,
    batch_sizes: tuple[int, ...] | None, reverse: bool, output_mask: tuple[bool, ...], result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Go through the steps backward with the gradients of h and c."""
    layer, hidden = Layer(xp, input, hx, batch_sizes, reverse), cx.shape[1]
    squashed, before = xp.tanh(cells), layer.before(cx, cells)
    loops = host_loops(xp, gates, squashed, before, least=_LOOP_ELEMENTS)
    factors: tuple[Array, ...] = () if loops is not None else _lstm_factors(xp, gates, squashed, before)
    grads = xp.empty((layer.x.shape[0], 4, hidden), layer.x.dtype)
    incoming = widened(grad_output).reshape(-1, hx.shape[1]).copy()
    dh, dc = layer.state(grad_hy, hx.shape[1]), layer.state(grad_cy, hidden)
    recurrent, narrow = widened(weight_hh), None if weight_hr is None else widened(weight_hr)
    unused = layer.empty(hidden, layer.batch)
    for start, size in reversed(layer.steps):
        end, cell = start + size, dc[:size]
        given, made = incoming[start:end], grads[start:end]
        xp.add(given, dh[:size], out=given)
        wide = given if narrow is None else matmul(xp, given, narrow)
        if loops is not None:
            inputs = (array[start:end] for array in (gates, squashed, before))
            loops.lstm_step_backward(wide, *inputs, cell, made.reshape(size, -1))
        else:
            by_gates, by_o, by_cell = (array[start:end] for array in factors)
            xp.multiply(wide, by_cell, out=unused[:size])
            xp.add(cell, unused[:size], out=cell)
            xp.multiply(cell[:, None], by_gates, out=made[:, :3])
            xp.multiply(wide, by_o, out=made[:, 3])
            xp.multiply(cell, gates[start:end, hidden : 2 * hidden], out=cell)
        matmul(xp, made.reshape(size, 4 * hidden), recurrent, out=dh[:size])
    found = _weight_gradients(
        layer, grads.reshape(-1, 4 * hidden), hx, output, weight_ih, output_mask[0], *output_mask[3:6]
    )
    by_hr = None
    if narrow is not None and output_mask[6]:
        by_hr = matmul(xp, incoming.T, gates[:, 3 * hidden :] * squashed)
    states = [state if wanted else None for state, wanted in zip((dh, dc), output_mask[1:3], strict=True)]
    return _delivered((found[0], *states, *found[1:], by_hr), result, xp)


def _weight_gradients(
    layer: Layer, grads: Array, hx: Array, output: Array, weight_ih: Array, by_input: bool, by_ih: bool, by_hh: bool,
    by_bias: bool,
) -> tuple[Array | None, ...]:  # fmt: skip
    """Return the gradients of input, weight_ih, weight_hh and bias, from those of what goes into the gates."""
    xp = layer.xp
    states = layer.before(hx, widened(output).reshape(-1, hx.shape[1])) if by_hh else None
    return (
        matmul(xp, grads, widened(weight_ih)) if by_input else None,
        matmul(xp, grads.T, layer.x) if by_ih else None,
        None if states is None else matmul(xp, grads.T, states),
        grads.sum(axis=0) if by_bias else None,
    )


# ---------------------------------------------------------------- GRU
@kernel("gw::gru_layer")
def gru(
    xp: Any, input: Array, hx: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array | None, bias_hh: Array | None,
    batch_sizes: tuple[int, ...] | None, reverse: bool, result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Compute n = tanh(x' + r h'), h = n + z (h - n). `gates` holds r, z, n and h', the state's part of n."""
    layer, hidden = Layer(xp, input, hx, batch_sizes, reverse), hx.shape[1]
    projected, recurrent = layer.projected(weight_ih, bias_ih), xp.ascontiguousarray(widened(weight_hh).T)
    gates, output, h = layer.empty(4 * hidden), layer.empty(hidden), widened(hx).copy()
    product = layer.empty(3 * hidden, layer.batch)
    shift = None if bias_hh is None else widened(bias_hh)
    for start, size in layer.steps:
        rows, given, out = (array[start : start + size] for array in (gates, projected, output))
        made, state = product[:size], h[:size]
        matmul(xp, state, recurrent, out=made)
        if shift is not None:
            xp.add(made, shift, out=made)
        opened, new = rows[:, : 2 * hidden], rows[:, 2 * hidden : 3 * hidden]
        xp.add(given[:, : 2 * hidden], made[:, : 2 * hidden], out=opened)
        _sigmoid(xp, opened)
        rows[:, 3 * hidden :] = made[:, 2 * hidden :]
        xp.multiply(rows[:, :hidden], made[:, 2 * hidden :], out=new)
        xp.add(new, given[:, 2 * hidden :], out=new)
        xp.tanh(new, out=new)
        xp.subtract(state, new, out=state)
        xp.multiply(state, rows[:, hidden : 2 * hidden], out=state)
        xp.add(state, new, out=state)
        out[...] = state
    return _delivered((output, h, gates), result, xp)


def _gru_factors(xp: Any, gates: Array, before: Array) -> Array:
    """Return, for all rows, the derivatives of h by the inputs of r and z, by the state's part of n, and by its input."""
    rows, hidden = before.shape
    r, z, n, part = (gates[:, k * hidden : (k + 1) * hidden] for k in range(4))
    by_gates = xp.empty((rows, 4, hidden), before.dtype)
    xp.multiply(1 - z, 1 - n * n, out=by_gates[:, 3])
    xp.multiply(by_gates[:, 3], part * r * (1 - r), out=by_gates[:, 0])
    xp.multiply(before - n, z * (1 - z), out=by_gates[:, 1])
    xp.multiply(by_gates[:, 3], r, out=by_gates[:, 2])
    return by_gates


@kernel("gw::gru_layer_backward")
def gru_backward(
    xp: Any, grad_output: Array, grad_hy: Array | None, input: Array, hx: Array, weight_ih: Array, weight_hh: Array,
    output: Array, gates: Array, batch_sizes: tuple[int, ...] | None, reverse: bool, output_mask: tuple[bool, ...],
    result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Go through the steps backward with the gradient of h."""
    layer, hidden = Layer(xp, input, hx, batch_sizes, reverse), hx.shape[1]
    states = layer.before(hx, widened(output).reshape(-1, hidden))
    by_gates = _gru_factors(xp, gates, states)
    grads = xp.empty((layer.x.shape[0], 4, hidden), layer.x.dtype)
    incoming, dh = widened(grad_output).reshape(-1, hidden), layer.state(grad_hy, hidden)
    by_state, recurrent = layer.empty(3 * hidden, layer.batch), widened(weight_hh)
    carried = layer.empty(hidden, layer.batch)
    for start, size in reversed(layer.steps):
        end, state = start + size, dh[:size]
        xp.add(state, incoming[start:end], out=state)
        xp.multiply(state[:, None], by_gates[start:end], out=grads[start:end])
        by_state[:size] = grads[start:end, :3].reshape(size, 3 * hidden)
        xp.multiply(state, gates[start:end, hidden : 2 * hidden], out=carried[:size])
        matmul(xp, by_state[:size], recurrent, out=state)
        xp.add(state, carried[:size], out=state)
    of_state = grads[:, :3].reshape(-1, 3 * hidden)
    by_input = xp.concatenate((grads[:, :2], grads[:, 3:]), axis=1).reshape(-1, 3 * hidden)
    found = (
        matmul(xp, by_input, widened(weight_ih)), dh, matmul(xp, by_input.T, layer.x), matmul(xp, of_state.T, states),
        by_input.sum(axis=0), of_state.sum(axis=0),
    )  # fmt: skip
    wanted = [array if asked else None for array, asked in zip(found, output_mask, strict=True)]
    return _delivered(wanted, result, xp)


# ---------------------------------------------------------------- RNN
@kernel("gw::rnn_layer")
def rnn(
    xp: Any, input: Array, hx: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array | None, bias_hh: Array | None,
    batch_sizes: tuple[int, ...] | None, reverse: bool, relu: bool, result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Compute h = tanh(x' + h'), or relu of it."""
    layer = Layer(xp, input, hx, batch_sizes, reverse)
    output, recurrent = layer.projected(weight_ih, bias_ih, bias_hh), xp.ascontiguousarray(widened(weight_hh).T)
    h = widened(hx).copy()
    product = layer.empty(hx.shape[1], layer.batch)
    for start, size in layer.steps:
        rows = output[start : start + size]
        matmul(xp, h[:size], recurrent, out=product[:size])
        xp.add(rows, product[:size], out=rows)
        if relu:
            xp.maximum(rows, 0, out=rows)
        else:
            xp.tanh(rows, out=rows)
        h[:size] = rows
    return _delivered((output, h), result, xp)


@kernel("gw::rnn_layer_backward")
def rnn_backward(
    xp: Any, grad_output: Array, grad_hy: Array | None, input: Array, hx: Array, weight_ih: Array, weight_hh: Array,
    output: Array, batch_sizes: tuple[int, ...] | None, reverse: bool, relu: bool, output_mask: tuple[bool, ...],
    result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Go through the steps backward with the gradient of h."""
    layer, hidden = Layer(xp, input, hx, batch_sizes, reverse), hx.shape[1]
    values = widened(output).reshape(-1, hidden)
    slope = xp.greater(values, 0).astype(values.dtype) if relu else 1 - values * values
    grads = widened(grad_output).reshape(-1, hidden).copy()
    dh, recurrent = layer.state(grad_hy, hidden), widened(weight_hh)
    for start, size in reversed(layer.steps):
        rows = grads[start : start + size]
        xp.add(rows, dh[:size], out=rows)
        xp.multiply(rows, slope[start : start + size], out=rows)
        matmul(xp, rows, recurrent, out=dh[:size])
    found = _weight_gradients(layer, grads, hx, output, weight_ih, output_mask[0], *output_mask[2:5])
    return _delivered((found[0], dh if output_mask[1] else None, *found[1:]), result, xp)


# ---------------------------------------------------------------- gradients
def _lstm_again(call: Any, x: dict[str, Array | None]) -> tuple[Array, ...]:
    """Run an LSTM layer step by step, in differentiable operations."""

    def step(rows: Array, states: tuple[Array, ...]) -> tuple[Array, ...]:
        h, c = states
        i, f, g, o = (rows + _linear(h, x["weight_hh"], x["bias_hh"])).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return _linear(o.sigmoid() * c.tanh(), x["weight_hr"], None), c

    return _steps_again(call, x, step, (x["hx"], x["cx"]))


def _gru_again(call: Any, x: dict[str, Array | None]) -> tuple[Array, ...]:
    def step(rows: Array, states: tuple[Array, ...]) -> tuple[Array, ...]:
        (h,) = states
        parts = zip(rows.chunk(3, 1), _linear(h, x["weight_hh"], x["bias_hh"]).chunk(3, 1), strict=True)
        (given_r, held_r), (given_z, held_z), (given_n, held_n) = parts
        n = (given_n + (given_r + held_r).sigmoid() * held_n).tanh()
        return (n + (given_z + held_z).sigmoid() * (h - n),)

    return _steps_again(call, x, step, (x["hx"],))


def _rnn_again(call: Any, x: dict[str, Array | None]) -> tuple[Array, ...]:
    def step(rows: Array, states: tuple[Array, ...]) -> tuple[Array, ...]:
        sums = rows + _linear(states[0], x["weight_hh"], x["bias_hh"])
        return (sums.relu() if call.relu else sums.tanh(),)

    return _steps_again(call, x, step, (x["hx"],))


def _linear(x: Array, weight: Array | None, bias: Array | None) -> Array:
    product = x if weight is None else x.matmul(weight.t())
    return product if bias is None else product + bias


def _steps_again(
    call: Any, x: dict[str, Array | None], step: Callable[[Array, tuple[Array, ...]], tuple[Array, ...]],
    states: tuple[Any, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Return the output and the last states, as differentiable functions of what `x` holds."""
    given = x["input"]
    assert given is not None
    data = given.reshape(-1, given.shape[-1])
    steps = step_rows(data.shape[0], states[0].shape[0], call.batch_sizes, call.reverse)
    rows = _linear(data, x["weight_ih"], x["bias_ih"])
    made = {}
    for start, size in steps:
        after = step(rows.narrow(0, start, size), tuple(state.narrow(0, 0, size) for state in states))
        made[start] = after[0]
        states = tuple(_over(state, new) for state, new in zip(states, after, strict=True))
    # Of an empty batch there are no steps, but the output must come from the data.
    parts = [made[start] for start in sorted(made)] or [rows.narrow(1, 0, states[0].shape[1])]
    return OPS["cat"](parts, 0).reshape(call.output_meta(0).shape), *states


def _over(state: Array, new: Array) -> Array:
    """Return `state` with its first rows replaced."""
    size, batch = new.shape[0], state.shape[0]
    return new if size == batch else OPS["cat"]([new, state.narrow(0, size, batch - size)], 0)


_AGAIN = {"gw::lstm_layer": _lstm_again, "gw::gru_layer": _gru_again, "gw::rnn_layer": _rnn_again}


def _recorded_gradients(name: str, call: Any, states: int) -> dict[str, Array | None]:
    """Differentiate the steps one by one, so that the gradients have gradients of any order.

    Each argument is cloned first: one may be computed from another, and its gradient must stop here.
    """
    from gradwire_protocol.tape import gradient_edge
    from gradwire_server.backward import gradients

    names = list(OPS[name].differentiable)
    held = {argument: getattr(call, argument) for argument in names}
    arguments: dict[str, Any] = {argument: None if value is None else value.clone() for argument, value in held.items()}
    outputs = _AGAIN[name](call, arguments)
    roots: list[Any] = [
        (gradient_edge(output), g) for output, g in zip(outputs, call.grads[: states + 1], strict=True) if g is not None
    ]
    wanted = [argument for argument in names if call.needs(argument)]
    targets: list[Any] = [gradient_edge(arguments[argument]) for argument in wanted]
    found = gradients([edge for edge, _ in roots], [g for _, g in roots], targets, retain_graph=True)
    return dict(zip(wanted, found, strict=True))


@joint_gradient("gw::lstm_layer")
def lstm_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """Return the gradients of an LSTM layer."""
    if g.engine.recording:
        return _recorded_gradients("gw::lstm_layer", call, 2)
    names = ("input", "hx", "cx", "weight_ih", "weight_hh", "bias", "weight_hr")
    mask = tuple(_needs_bias(call) if name == "bias" else call.needs(name) for name in names)
    found = OPS["gw::lstm_layer_backward"](
        g, call.grads[1], call.grads[2], call.input, call.hx, call.cx, call.weight_ih, call.weight_hh, call.weight_hr,
        call.result0, call.result3, call.result4, call.batch_sizes, call.reverse, mask,
    )  # fmt: skip
    return _by_name(names, mask, found)


@joint_gradient("gw::gru_layer")
def gru_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """Return the gradients of a GRU layer."""
    if g.engine.recording:
        return _recorded_gradients("gw::gru_layer", call, 1)
    names = ("input", "hx", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
    mask = tuple(call.needs(name) for name in names)
    found = OPS["gw::gru_layer_backward"](
        g, call.grads[1], call.input, call.hx, call.weight_ih, call.weight_hh, call.result0, call.result2,
        call.batch_sizes, call.reverse, mask,
    )  # fmt: skip
    return _by_name(names, mask, found)


@joint_gradient("gw::rnn_layer")
def rnn_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """Return the gradients of a plain recurrent layer."""
    if g.engine.recording:
        return _recorded_gradients("gw::rnn_layer", call, 1)
    names = ("input", "hx", "weight_ih", "weight_hh", "bias")
    mask = tuple(_needs_bias(call) if name == "bias" else call.needs(name) for name in names)
    found = OPS["gw::rnn_layer_backward"](
        g, call.grads[1], call.input, call.hx, call.weight_ih, call.weight_hh, call.result0, call.batch_sizes,
        call.reverse, call.relu, mask,
    )  # fmt: skip
    return _by_name(names, mask, found)


def _needs_bias(call: Any) -> bool:
    return bool(call.needs("bias_ih") or call.needs("bias_hh"))


def _by_name(names: Sequence[str], mask: Sequence[bool], found: Sequence[Array]) -> dict[str, Array | None]:
    """Name the gradients; one of both biases goes to each."""
    named = {name: array if wanted else None for name, wanted, array in zip(names, mask, found, strict=True)}
    return {**named, "bias_ih": named["bias"], "bias_hh": named["bias"]} if "bias" in named else named
