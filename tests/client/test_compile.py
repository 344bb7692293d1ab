"""Compiled functions: the same bits as the function itself, over real batches, on numpy and on the strict namespace."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gradwire as gw
from gradwire import session as sessions
from tests.support import open_loopback

nn, F = gw.nn, gw.nn.functional


@pytest.fixture(autouse=True, params=["cpu", "strict"])
def backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """Make a loopback session the current one."""
    previous = sessions._current
    sessions.use(open_loopback(request.param)[0])
    yield
    sessions._current = previous


def numbers(value: Any) -> Any:
    """Return tensors as nested lists."""
    if isinstance(value, gw.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    return [numbers(item) for item in value] if isinstance(value, list | tuple) else value


def same(make: Callable[[], tuple[Callable[..., Any], Callable[[int], tuple[Any, ...]], Callable[[], Any]]]) -> Any:
    """Run what `make` gives - a function, its arguments by call, what it leaves - as it is and compiled; compare the bits."""
    seen = []
    for compiled in (False, True):
        gw.manual_seed(0)
        function, arguments, left = make()
        run = gw.compile(function) if compiled else function
        gw.manual_seed(1)
        seen.append(([numbers(run(*arguments(index))) for index in range(6)], numbers(left())))
    assert seen[0] == seen[1]
    return run


def training(optimizer: Any, model: Callable[[], Any], schedule: Any = None, clip: bool = False) -> Any:
    """Return what `same` takes for a whole training step."""

    def make() -> Any:
        net = model()
        opt = optimizer(net.parameters())
        scheduler = schedule(opt) if schedule else None
        batches = [(gw.randn(6, 8), gw.randint(0, 4, (6,))) for _ in range(6)]

        def step(x: Any, y: Any) -> Any:
            opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            opt.step()
            if scheduler is not None:
                scheduler.step()
            return loss

        return step, batches.__getitem__, lambda: [list(net.state_dict().values()), [p.grad for p in net.parameters()]]

    return make


def perceptron() -> Any:
    """Return a model with dropout and batch norm."""
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 4))


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: gw.optim.SGD(p, lr=0.1),
        lambda p: gw.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: gw.optim.AdamW(p, lr=0.01),
        lambda p: gw.optim.RMSprop(p, lr=0.01, momentum=0.5),
        lambda p: gw.optim.NAdam(p, lr=0.01),
        lambda p: gw.optim.Adagrad(p, lr=0.01),
    ],
)
def test_a_whole_step(optimizer: Any) -> None:
    run = same(training(optimizer, perceptron, lambda o: gw.optim.lr_scheduler.StepLR(o, 2, 0.5), clip=True))
    assert run.replays >= 3


def test_convolutions_and_attention() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.attend = nn.Conv2d(1, 4, 3, padding=1), nn.MultiheadAttention(4, 2, batch_first=True)
            self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            x = F.max_pool2d(self.conv(x.view(-1, 1, 4, 2)).relu(), 2).flatten(2).transpose(1, 2)
            return self.head(self.norm(self.attend(x, x, x)[0]).mean(1))

    assert same(training(lambda p: gw.optim.Adam(p, lr=0.01), Net)).replays >= 3


def test_a_forward_in_a_graph_around_it() -> None:
    def make() -> Any:
        net, x = perceptron(), gw.randn(6, 8, requires_grad=True)

        def left() -> Any:
            return [x.grad, *(p.grad for p in net.parameters()), *net.buffers()]

        def call(x: Any) -> Any:
            return {"out": [net(x * 2), x.detach() + 1]}

        def around(index: int) -> tuple[Any, ...]:
            return (x * index,)

        return call, around, left

    run = same(make)
    assert run.replays >= 3


def test_gradients_through_a_compiled_module() -> None:
    seen = []
    for wrap in (lambda m: m, gw.compile):
        gw.manual_seed(0)
        model = wrap(perceptron())
        optimizer = gw.optim.SGD(model.parameters(), lr=0.1)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            x = gw.randn(6, 8, requires_grad=True)
            loss = (model(x * 1.5) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append([loss.item(), x.grad.tolist()])
        seen.append(losses)
    assert seen[0] == seen[1]
    assert model.compiled.replays >= 2
    assert next(iter(model.state_dict())) == "_orig_mod.0.weight"
    assert isinstance(model, nn.Module)


def test_the_graph_of_a_run_is_freed_and_checked_as_any_other() -> None:
    w = gw.randn(3, requires_grad=True)
    square = gw.compile(lambda: (w * w).sum())
    for _ in range(3):
        square()
    loss = square()
    assert loss.grad_fn.name() == "CompiledFunctionBackward"
    loss.backward(retain_graph=True)
    loss.backward()
    assert gw.equal(w.grad, 4 * w)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()
    stale = square()
    with gw.no_grad():
        w.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        stale.backward()
    with pytest.raises(RuntimeError, match="does not currently support double backward"):
        gw.autograd.grad(square(), w, create_graph=True)
        w.tolist()


def test_modes_shapes_and_python_values_make_programs_of_their_own() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    run = gw.compile(lambda x, scale: net(x) * scale)
    x = gw.ones(2, 4)
    for _ in range(4):
        run(x, 2.0)
    net.eval()
    for scale in (2.0, 3.0):
        for _ in range(4):
            assert gw.equal(run(x, scale), net[0](x) * scale)
    for _ in range(4):
        assert run(gw.ones(5, 4), 2.0).shape == (5, 4)
    with gw.no_grad():
        for _ in range(4):
            assert not run(x, 2.0).requires_grad
    assert run.replays >= 8


def test_what_a_function_reads_outside_is_looked_at_before_each_run() -> None:
    state = {"w": gw.ones(2), "scale": 2.0}
    run = gw.compile(lambda x: x * state["w"] * state["scale"])
    x = gw.ones(2)
    for _ in range(4):
        assert run(x).tolist() == [2.0, 2.0]
    state["w"] = gw.full((2,), 5.0)
    assert run(x).tolist() == [10.0, 10.0]
    assert run.replays == 3
    state["scale"] = 3.0
    for _ in range(3):
        assert run(x).tolist() == [15.0, 15.0]
    state["w"] = gw.ones(1)
    assert run(x).tolist() == [3.0, 3.0]
    state.update(w=gw.ones(2), scale=2.0)
    before = run.replays
    assert run(x).tolist() == [2.0, 2.0]
    assert run.replays == before + 1


def test_learning_rates_may_change_by_hand() -> None:
    seen = []
    for wrap in (lambda f: f, gw.compile):
        w = gw.ones(3, requires_grad=True)
        optimizer = gw.optim.Adam([w], lr=0.1)

        def step(w: Any = w, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()

        run = wrap(step)
        for index in range(8):
            optimizer.param_groups[0]["lr"] = 0.1 / (index + 1)
            run()
        seen.append((w.tolist(), optimizer.state[w]["step"].item()))
    assert seen[0] == seen[1]


def test_gradients_add_up_where_they_are_not_cleared() -> None:
    w = gw.ones(2, requires_grad=True)
    run = gw.compile(lambda x: (w * x).sum().backward())
    for index in range(6):
        run(gw.ones(2))
        assert w.grad.tolist() == [index + 1.0] * 2


def test_writes_to_arguments_and_views_of_results() -> None:
    def change(x: Any) -> Any:
        x.mul_(2)
        x[0].add_(1)
        y = x + 1
        return x, y.t(), y[1:]

    x, run = gw.ones(2, 3), gw.compile(change)
    want = gw.ones(2, 3)
    for _ in range(5):
        before = x._version
        got = run(x)
        expected = change(want)
        assert got[0] is x
        assert x._version - before == 2
        assert numbers(got) == numbers(expected)
    assert run.replays == 3


def test_a_shared_argument_is_not_taken_for_two() -> None:
    run = gw.compile(lambda a, b: a.add_(1) * b)
    for _ in range(4):
        assert run(gw.ones(2), gw.ones(2)).tolist() == [2.0, 2.0]
    x = gw.ones(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for power in (2, 3, 4):
            assert run(x, x).tolist() == [float(power * power)] * 2


def test_autocast_around_it_and_inside() -> None:
    """The casts of weights that autocast keeps must not outlive a run: the weights change."""

    def make(wrap: Any) -> Any:
        net = perceptron()
        optimizer = gw.optim.SGD(net.parameters(), lr=0.1)
        x = gw.randn(6, 8)
        forward = wrap(net)

        def step(index: int) -> Any:
            optimizer.zero_grad()
            with gw.autocast("cpu", dtype=gw.bfloat16):
                loss = forward(x).float().square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return [numbers(step(index)) for index in range(6)], numbers(list(net.parameters()))

    seen = []
    for wrap in (lambda net: net, gw.compile):
        gw.manual_seed(0)
        seen.append(make(wrap))
    assert seen[0] == seen[1]


def test_custom_functions_and_checkpoints_inside() -> None:
    class Cube(gw.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    def make() -> Any:
        w = gw.randn(4, requires_grad=True)

        def step() -> Any:
            w.grad = None
            inner = gw.utils.checkpoint.checkpoint(
                lambda v: F.dropout((v.sin() * v).exp(), 0.3), w, use_reentrant=False
            )
            loss = Cube.apply(F.dropout(inner, 0.3)).sum()
            loss.backward()
            return loss.detach()

        return step, lambda index: (), lambda: w.grad

    assert same(make).replays >= 3


def test_second_gradients_inside() -> None:
    def make() -> Any:
        w = gw.randn(4, requires_grad=True)

        def penalty() -> Any:
            (g,) = gw.autograd.grad((w.sin() * w).sum(), w, create_graph=True)
            w.grad = None
            (g * g).sum().backward()
            return g.detach()

        return penalty, lambda index: (), lambda: w.grad

    assert same(make).replays >= 3


def test_a_listing_names_the_lines() -> None:
    @gw.compile
    def double(x: Any) -> Any:
        return x * 2 + 1

    assert "has no program yet" in double.program()
    for _ in range(3):
        double(gw.ones(2))
    text = double.program()
    assert "%0: float32[2] = argument 0" in text
    assert f"# {__file__}:" in text
    assert "return %2" in text


def test_pointwise_runs_are_fused_and_keep_their_bits() -> None:
    gw.manual_seed(0)
    x, row, column = gw.randn(300, 601), gw.randn(601), gw.randn(300, 1)
    weight = gw.randn(300, 601, requires_grad=True)

    def chain(x: Any) -> Any:
        y = (x * row + column).clamp(-1.5, 1.5)
        y = gw.where(y > 0, y * 2, y.neg()) - x
        z = (y * weight).relu() / 3
        weight.grad = None
        (z * z + y).sum().backward()
        return y.exp(), z.sigmoid() * 2 - 1, z > 0.5

    run = gw.compile(chain)
    for index in range(5):
        given = x * (index + 1)
        expected, gradient = chain(given), weight.grad
        for left, right in zip(run(given), expected, strict=True):
            assert gw.equal(left, right)
        assert gw.equal(weight.grad, gradient)
    assert run.replays == 3


def test_memory_given_out_is_not_written_again_while_it_is_held() -> None:
    run = gw.compile(lambda x: (x * 2, x.relu() + 1))
    held = [run(gw.full((4,), float(index))) for index in range(8)]
    for index, (double, more) in enumerate(held):
        assert double.tolist() == [2.0 * index] * 4
        assert more.tolist() == [index + 1.0] * 4
