"""Which loops over recurrent cells become one call, and which stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.workers import on
from gradwire_server.programs.recurrent_ops import NAMES
from tests.support import Loopback, open_loopback

STEPS, BATCH, WIDTH = 5, 2, 3
FORWARD, BACKWARD = "forward", "backward"


@pytest.fixture
def worker() -> Any:
    session, loopback = open_loopback()
    with on(session):
        gw.manual_seed(0)
        yield loopback


def calls(loopback: Loopback) -> dict[str, list[int]]:
    """Return the numbers of time steps of the calls of layers that programs make, by what they are, in running order."""
    found: dict[str, list[int]] = {FORWARD: [], BACKWARD: []}
    for loaded in loopback.worker.programs._loaded.values():
        for plan in (loaded._prepared.forward, loaded._prepared._backward):
            for step in () if plan is None else plan.trace.steps:
                if step.signature.op.name in NAMES:
                    way = BACKWARD if step.signature.op.name.endswith("backward") else FORWARD
                    found[way].append(step.inputs[0].shape[0])
    return found


def steps_of(loopback: Loopback) -> list[str]:
    """Return the names of the calls of the only program's forward."""
    (loaded,) = loopback.worker.programs._loaded.values()
    return [step.signature.op.name for step in loaded._prepared.forward.trace.steps]


def trained(function: Callable[..., Any], *modules: Any, x: Any = None) -> None:
    """Run a step of training three times as it is and compiled: a loss, its backward; the gradients must agree."""
    weights = [weight for module in modules for weight in module.parameters()]
    data = gw.randn(STEPS, BATCH, WIDTH) if x is None else x

    def step(x: Any) -> Any:
        for weight in weights:
            weight.grad = None
        loss = function(x)
        loss.backward()
        return loss.detach()

    def outcome(run: Any) -> list[Any]:
        got = [run(data) for _ in range(3)][-1]
        return [got.numpy(), *(weight.grad.numpy() for weight in weights if weight.grad is not None)]

    for one, other in zip(outcome(gw.compile(step)), outcome(step), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


def cell(**settings: Any) -> Any:
    return gw.nn.LSTMCell(WIDTH, WIDTH, **settings)


def test_a_loop_over_a_cell_is_one_call_each_way(worker: Loopback) -> None:
    one = cell()

    def loss(x: Any) -> Any:
        state = None
        for part in x:
            state = one(part, state)
        return state[0].sum()

    trained(loss, one)
    assert calls(worker) == {FORWARD: [STEPS], BACKWARD: [STEPS]}
    # The data lies in time already, and all sums of gradients are in the call.
    assert not {"cat", "stack", "add.Tensor"} & set(steps_of(worker))


@pytest.mark.parametrize("kind", [gw.nn.GRUCell, gw.nn.RNNCell])
def test_loops_over_other_cells_are_one_call_each_way(worker: Loopback, kind: Any) -> None:
    one = kind(WIDTH, WIDTH)

    def loss(x: Any) -> Any:
        state, total = None, 0
        for part in x:
            state = one(part, state)
            total = total + state.square().sum()
        return total

    trained(loss, one)
    assert calls(worker) == {FORWARD: [STEPS], BACKWARD: [STEPS]}


def test_a_gradient_for_each_step_goes_in_as_it_lies(worker: Loopback) -> None:
    one = cell()

    def loss(x: Any) -> Any:
        state, seen = None, []
        for part in x:
            state = one(part, state)
            seen.append(state[0])
        return gw.stack(seen).square().sum()

    trained(loss, one)
    assert calls(worker) == {FORWARD: [STEPS], BACKWARD: [STEPS]}


def test_stacked_cells_are_one_call_each(worker: Loopback) -> None:
    one, two = cell(), cell()

    def loss(x: Any) -> Any:
        low = high = None
        for part in x:
            low = one(part, low)
            high = two(low[0], high)
        return high[0].sum() + high[1].sum()

    trained(loss, one, two)
    assert calls(worker) == {FORWARD: [STEPS] * 2, BACKWARD: [STEPS] * 2}


def test_a_cell_over_two_sequences_sums_the_gradients_of_both(worker: Loopback) -> None:
    one = cell()

    def loss(x: Any) -> Any:
        left = right = None
        for part, other in zip(x, x.flip(0), strict=True):
            left, right = one(part, left), one(other, right)
        return (left[0] * right[0]).sum()

    trained(loss, one)
    assert calls(worker) == {FORWARD: [STEPS] * 2, BACKWARD: [STEPS] * 2}
    assert steps_of(worker).count("add.Tensor") == 4


def test_a_layer_that_is_called_step_by_step_is_one_call(worker: Loopback) -> None:
    layer = gw.nn.LSTM(WIDTH, WIDTH)

    def loss(x: Any) -> Any:
        state, seen = None, []
        for start in range(STEPS):
            output, state = layer(x[start : start + 1], state)
            seen.append(output)
        return gw.cat(seen).square().sum()

    trained(loss, layer)
    assert calls(worker) == {FORWARD: [STEPS], BACKWARD: [STEPS]}


def test_layers_over_chunks_are_joined_too(worker: Loopback) -> None:
    layer = gw.nn.LSTM(WIDTH, WIDTH)

    def loss(x: Any) -> Any:
        first, state = layer(x[:2])
        second, state = layer(x[2:], state)
        return first.square().sum() + second.sum() + state[0].sum()

    trained(loss, layer)
    assert calls(worker) == {FORWARD: [STEPS], BACKWARD: [STEPS]}


def test_a_state_without_gradient_parts_only_the_backward(worker: Loopback) -> None:
    one = cell()

    def loss(x: Any) -> Any:
        state, total = None, 0
        for number, part in enumerate(x):
            if number == 2:
                state = (state[0].detach(), state[1].detach())
            state = one(part, state)
            total = total + state[0].sum()
        return total

    trained(loss, one)
    found = calls(worker)
    assert found[FORWARD] == [STEPS]
    assert sorted(found[BACKWARD]) == [2, 3]


def test_what_is_read_at_inner_steps_is_as_it_was(worker: Loopback) -> None:
    one = cell()

    @gw.compile
    def run(x: Any) -> Any:
        state, seen = None, []
        for part in x:
            state = one(part, state)
            seen += state
        return seen

    x = gw.randn(STEPS, BATCH, WIDTH)
    with gw.no_grad():
        expected, _, found = run(x), run(x), run(x)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7)
    assert calls(worker)[FORWARD] == [STEPS]
    # Each is a tensor of its own.
    before = found[2].numpy()
    found[0].zero_()
    assert (found[2].numpy() == before).all()


def feeds_back(one: Any, x: Any) -> Any:
    state = (gw.zeros(BATCH, WIDTH), gw.zeros(BATCH, WIDTH))
    for part in x:
        state = one(part + state[0], state)
    return state[0]


def scales(one: Any, x: Any) -> Any:
    state = (gw.zeros(BATCH, WIDTH), gw.zeros(BATCH, WIDTH))
    for part in x:
        h, c = one(part, state)
        state = (h * 0.9, c)
    return state[0]


def writes_states(one: Any, x: Any) -> Any:
    h, c = gw.zeros(BATCH, WIDTH), gw.zeros(BATCH, WIDTH)
    for part in x:
        h, c = one(part, (h, c))
        h.mul_(0.9)
    return h


def swaps(one: Any, x: Any) -> Any:
    h, c = gw.zeros(BATCH, WIDTH), gw.zeros(BATCH, WIDTH)
    for part in x:
        c, h = one(part, (h, c))
    return h


@pytest.mark.parametrize("unfit", [feeds_back, scales, writes_states, swaps])
def test_steps_that_need_something_between_them_stay(worker: Loopback, unfit: Any) -> None:
    one = cell()
    trained(lambda x: unfit(one, x).sum(), one)
    assert calls(worker) == {FORWARD: [1] * STEPS, BACKWARD: [1] * STEPS}


def test_other_weights_are_other_chains(worker: Loopback) -> None:
    one, two = cell(), cell()

    def loss(x: Any) -> Any:
        state = None
        for number, part in enumerate(x):
            state = (one if number < 3 else two)(part, state)
        return state[0].sum()

    trained(loss, one, two)
    found = calls(worker)
    assert (found[FORWARD], sorted(found[BACKWARD])) == ([3, 2], [2, 3])


def test_a_write_to_a_weight_parts_the_chain(worker: Loopback) -> None:
    one = cell()

    @gw.compile
    def run(x: Any) -> Any:
        state = None
        for number, part in enumerate(x):
            if number == 2:
                one.bias_hh.add_(0.5)
            state = one(part, state)
        one.bias_hh.sub_(0.5)
        return state[0]

    x = gw.randn(STEPS, BATCH, WIDTH)
    with gw.no_grad():
        expected, _, found = run(x), run(x), run(x)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    assert calls(worker)[FORWARD] == [2, 3]


def test_a_gradient_of_an_inner_cell_parts_the_backward(worker: Loopback) -> None:
    """The joint call takes gradients from outside of each h; one of an inner c has no place in it."""
    one = cell()

    def loss(x: Any) -> Any:
        state, inner = None, None
        for number, part in enumerate(x):
            state = one(part, state)
            inner = state[1] if number == 2 else inner
        return state[0].sum() + inner.square().sum()

    trained(loss, one)
    found = calls(worker)
    assert found[FORWARD] == [STEPS]
    assert sorted(found[BACKWARD]) == [2, 3]


def test_a_gradient_that_is_asked_for_inside_parts_the_backward(worker: Loopback) -> None:
    one = cell()
    weights = list(one.parameters())

    @gw.compile
    def run(x: Any) -> Any:
        state, inner = None, None
        for number, part in enumerate(x):
            state = one(part, state)
            inner = state[0] if number == 2 else inner
        return gw.autograd.grad(state[0].sum(), [inner, *weights])

    x = gw.randn(STEPS, BATCH, WIDTH)
    expected, _, found = run(x), run(x), run(x)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)
    # The weights' gradients are still one sum, of both.
    assert sorted(calls(worker)[BACKWARD]) == [2, 3]


def test_low_precision_stays_as_it_is(worker: Loopback) -> None:
    """A step rounds its states to float16; a joint call would keep them in float32 between steps."""
    one = cell().half()
    x = gw.randn(STEPS, BATCH, WIDTH).half()

    @gw.compile
    def run(x: Any) -> Any:
        state = None
        for part in x:
            state = one(part, state)
        return state[0]

    with gw.no_grad():
        expected, _, found = run(x), run(x), run(x)
    assert found.numpy().tobytes() == expected.numpy().tobytes()
    assert calls(worker)[FORWARD] == [1] * STEPS


@pytest.mark.parametrize("reads", ["last", "all", "output"])
def test_a_backward_outside_of_the_program_is_one_call_too(worker: Loopback, reads: str) -> None:
    """What the forward keeps for it are the joint call's results, not parts of them."""
    layer = gw.nn.LSTM(WIDTH, WIDTH) if reads == "output" else cell()

    @gw.compile
    def forward(x: Any) -> Any:
        state, seen = None, []
        for number, part in enumerate(x):
            if reads == "output":
                part, state = layer(x[number : number + 1], state)
                seen.append(part)
            else:
                state = layer(part, state)
                seen.append(state[0])
        return gw.stack(seen) if reads != "last" else seen[-1]

    data = gw.randn(STEPS, BATCH, WIDTH, requires_grad=True)
    found = []
    for _ in range(3):
        data.grad = None
        layer.zero_grad()
        forward(data).square().sum().backward()
        found.append([item.grad.numpy() for item in (data, *layer.parameters())])
    for ours, theirs in zip(found[2], found[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    assert calls(worker) == {FORWARD: [STEPS], BACKWARD: [STEPS]}
    (loaded,) = worker.worker.programs._loaded.values()
    assert loaded._prepared.forward.trace.saved < 10
