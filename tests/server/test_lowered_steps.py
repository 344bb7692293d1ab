"""Programs of small steps, compiled to calls of numpy's inner loops: the bits of the kernels, whatever the inputs are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire_server.native import machine
from gradwire_server.native.ufunc_loops import inner_loop
from gradwire_server.programs import executable
from gradwire_server.programs import lowered as lowered_programs
from gradwire_server.programs.lowered import Lowered
from tests.support import open_loopback

pytestmark = pytest.mark.skipif(not machine.is_available(), reason="needs llvmlite, of gradwire[jit]")

F = gw.nn.functional
_SPECIAL = np.array([0.0, -0.0, 1, -1, 0.5, -0.25, np.nan, np.inf, -np.inf, 1e-40, 3])
# Reductions of numpy change their ways at 8 and 128 terms, and at 8,192 elements.
_SHAPES = [(2, 2), (3, 7), (32, 10), (5, 130), (2, 4096), (1024, 8), (4096, 2), (64, 128), (1, 9), (9, 1)]


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Lowered]]:
    """Compile at the second run, in a session of the test's own; give what was compiled."""
    found: list[Lowered] = []

    def lowered(kernels: Any, new_output: Any) -> Lowered:
        found.append(Lowered(kernels, new_output))
        return found[-1]

    monkeypatch.setattr(executable, "WORTHWHILE", 2)
    monkeypatch.setattr(executable, "Lowered", lowered)
    previous = sessions._current
    sessions.use(open_loopback("cpu")[0])
    yield found
    sessions._current = previous


def steps_in(lowered: Lowered) -> int:
    """Return how many steps are compiled."""
    return sum(len(run.positions) for run in lowered._runs)


def bits(value: Any) -> Any:
    """Return tensors as bytes, with one NaN for all: which of two NaN a sum keeps, IEEE 754 leaves open."""
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    array = value.detach().numpy()
    return np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array).tobytes()


def arrays(seed: int, special: bool, dtype: str, *shapes: tuple[int, ...]) -> list[Any]:
    """Return random tensors."""
    draw = np.random.default_rng(seed)
    values = [draw.choice(_SPECIAL, shape) if special else draw.standard_normal(shape) * 3 for shape in shapes]
    return [gw.tensor(value.astype(dtype)) for value in values]


def loss_and_gradient(reduction: str) -> Callable[..., Any]:
    def function(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(x, y, reduction=reduction)
        return [loss.detach(), *gw.autograd.grad(loss, x)]

    return function


_FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "sums": (lambda x: [x.sum(0), x.sum(1), x.sum(-1, keepdim=True)], 1),
    "whole sums": (lambda x: [x.sum() * 2, x.mean() - 1], 4),
    "log_softmax": (lambda x: F.log_softmax(x, -1), 1),
    "pointwise": (lambda x: [x.relu() + x, (x * 2 - x[0]).clamp(-1, 1), x / x.sum(1, keepdim=True)], 1),
    "ufuncs": (lambda x: [x.exp() + x.tanh(), x.sin().sqrt(), (x * x).log() * x.sigmoid()], 5),
    "products": (lambda x: [x.t() @ x, gw.addmm(x[0], x, x.t() @ x)], 1),
}  # fmt: skip


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", _SHAPES, ids=str)
@pytest.mark.parametrize("name", _FUNCTIONS)
def test_compiled_steps_have_the_bits_of_kernels(
    made: list[Lowered], name: str, shape: tuple[int, int], dtype: str, special: bool
) -> None:
    function, least = _FUNCTIONS[name]
    compiled = gw.compile(function)
    for seed in range(5):
        (x,) = arrays(seed, special, dtype, shape)
        assert bits(compiled(x)) == bits(function(x))
    assert len(made) == 1
    if min(shape) > 1 and max(shape) < 128:
        assert steps_in(made[0]) >= least


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [shape for shape in _SHAPES if min(shape) > 1], ids=str)
def test_the_likelihood_loss_has_the_bits_of_its_kernels(
    made: list[Lowered], shape: tuple[int, int], dtype: str, reduction: str
) -> None:
    function = loss_and_gradient(reduction)
    compiled = gw.compile(function)
    for seed in range(5):
        x = arrays(seed, False, dtype, shape)[0].requires_grad_()
        y = gw.tensor(np.random.default_rng(seed).integers(0, shape[1], shape[0]))
        assert bits(compiled(x, y)) == bits(function(x, y))
    assert steps_in(made[0]) == 4


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", _SHAPES, ids=str)
def test_the_squared_loss_has_the_bits_of_its_kernels(
    made: list[Lowered], shape: tuple[int, int], dtype: str, reduction: str
) -> None:
    def function(x: Any, y: Any) -> Any:
        loss = F.mse_loss(x, y, reduction=reduction)
        return [loss.detach(), *gw.autograd.grad(loss.sum() * 3, x)]

    compiled = gw.compile(function)
    for seed in range(5):
        x, y = arrays(seed, False, dtype, shape, shape)
        assert bits(compiled(x.requires_grad_(), y)) == bits(function(x, y))
    assert steps_in(made[0]) >= (2 if reduction != "none" else 0)


def test_targets_that_are_no_class_or_ignored_go_to_the_kernel(made: list[Lowered]) -> None:
    function = loss_and_gradient("mean")
    compiled = gw.compile(function)
    x = arrays(0, False, "float32", (4, 3))[0].requires_grad_()
    for target in ([0, 1, 2, 0], [2, 2, 1, 0], [1, 1, 0, 2], [0, -100, 2, -100], [0, 1, 2, 0]):
        assert bits(compiled(x, gw.tensor(target))) == bits(function(x, gw.tensor(target)))
    for target, named in (([0, 1, 3, 0], "3"), ([0, 1, -1, 0], "-1")):
        with pytest.raises(IndexError, match=f"Target {named} is out of bounds"):
            bits(compiled(x, gw.tensor(target)))
    assert bits(compiled(x, gw.tensor([0, 1, 2, 0]))) == bits(function(x, gw.tensor([0, 1, 2, 0])))
    assert steps_in(made[0]) == 4


def sgd(parameters: Any) -> Any:
    return gw.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)


def train(compiles: bool, batches: list[Any], settings: Any = None, optim: Any = sgd) -> list[Any]:
    """Return the losses and weights of a small training; `settings` changes the optimizer before a step."""
    gw.manual_seed(0)
    net = gw.nn.Sequential(gw.nn.Linear(8, 16), gw.nn.ReLU(), gw.nn.Linear(16, 4))
    optimizer = optim(net.parameters())

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = gw.compile(step) if compiles else step
    losses = []
    for number, batch in enumerate(batches):
        if settings is not None:
            settings(optimizer.param_groups[0], number)
        losses.append(run(*batch(net)))
    return [bits(losses), bits(list(net.parameters()))]


def random_batch(seed: int) -> Callable[[Any], tuple[Any, Any]]:
    draw = np.random.default_rng(seed)
    x, y = draw.standard_normal((6, 8)).astype("float32"), draw.integers(0, 4, 6)
    return lambda net: (gw.tensor(x), gw.tensor(y))


@pytest.mark.parametrize("optim", [sgd, gw.optim.Adam, gw.optim.AdamW])
def test_a_training_is_one_call_with_the_same_bits(made: list[Lowered], optim: Any) -> None:
    batches = [random_batch(seed) for seed in range(20)]
    assert train(True, batches, optim=optim) == train(False, batches, optim=optim)
    assert steps_in(made[0]) >= 13
    assert len(made[0]._runs) == 1


def test_numbers_that_the_code_does_not_take_go_to_the_kernel(made: list[Lowered]) -> None:
    def settings(group: dict[str, Any], number: int) -> None:
        group["lr"] = 0.1 / (number + 1)
        group["dampening"] = 0.5 if number in (7, 8) else 0.0

    batches = [random_batch(seed) for seed in range(14)]
    assert train(True, batches, settings) == train(False, batches, settings)
    assert made


def test_a_penalty_in_adams_gradient_goes_to_the_kernel() -> None:
    def optim(parameters: Any) -> Any:
        return gw.optim.Adam(parameters, lr=0.01, weight_decay=0.1)

    batches = [random_batch(seed) for seed in range(6)]
    assert train(True, batches, optim=optim) == train(False, batches, optim=optim)


def test_an_input_in_the_memory_of_a_weight_that_is_written(made: list[Lowered]) -> None:
    def shared(net: Any) -> tuple[Any, Any]:
        return net[0].weight.detach()[:6], gw.tensor([0, 1, 2, 3, 0, 1])

    batches = [random_batch(0)] * 5 + [shared] * 3 + [random_batch(1)] * 3
    assert train(True, batches) == train(False, batches)
    assert made


def test_numbers_that_no_update_can_be_made_of_are_the_kernels_to_refuse(made: list[Lowered]) -> None:
    def settings(group: dict[str, Any], number: int) -> None:
        group["betas"] = (1.0 if number == 6 else 0.9, 0.999)

    with pytest.raises(ZeroDivisionError):
        train(True, [random_batch(seed) for seed in range(8)], settings, gw.optim.Adam)
    assert steps_in(made[0]) >= 13


def test_a_long_program_is_compiled_in_part(made: list[Lowered], monkeypatch: pytest.MonkeyPatch) -> None:
    def function(x: Any) -> Any:
        for number in range(10):
            x = (x @ x).relu() * (0.5 + number) - x
            x = x / (x.abs().sum(1, keepdim=True) + 1)
        return x

    monkeypatch.setattr(lowered_programs, "_MOST_STEPS", 33)
    compiled = gw.compile(function)
    for seed in range(4):
        (x,) = arrays(seed, False, "float32", (5, 5))
        assert bits(compiled(x)) == bits(function(x))
    assert steps_in(made[0]) == 33


def test_results_that_are_kept_do_not_change() -> None:
    compiled = gw.compile(lambda x: (x + 1).relu().sum(0))
    given = [gw.full((4, 5), float(number)) for number in range(8)]
    kept = [compiled(x) for x in given]
    assert [result.tolist() for result in kept] == [[4.0 * (number + 1)] * 5 for number in range(8)]


def test_other_layouts_and_memory_of_an_input() -> None:
    def function(x: Any) -> Any:
        return (x.relu() @ x.t()).sum(1)

    compiled = gw.compile(function)
    (base,) = arrays(3, False, "float32", (6, 6))
    for x in (base, base.clone(), base.t(), base * 2, base[:, :6], base.t().contiguous()):
        assert bits(compiled(x)) == bits(function(x))


def test_every_loop_that_is_called_is_there() -> None:
    for name, types in (("add", "ff->f"), ("maximum", "dd->d"), ("exp", "f->f"), ("log", "d->d"), ("matmul", "ff->f")):
        assert inner_loop(name, types) is not None
