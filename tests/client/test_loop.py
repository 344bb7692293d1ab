"""Loops over compiled steps: the same bits as that many calls, by one message; failures that name the step."""

from __future__ import annotations

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


def bits(value: Any) -> Any:
    """Return tensors as bytes."""
    return [bits(item) for item in value] if isinstance(value, list | tuple) else value.detach().numpy().tobytes()


def trained(optimizer: Callable[..., Any], schedule: Any, run: Callable[..., Any]) -> Any:
    """Make three times five training steps by `run(step, xs, ys)`; return the losses and all that they left."""
    gw.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 4))
    opt = optimizer(net.parameters())
    scheduler = schedule(opt) if schedule else None
    data = [(gw.randn(5, 6, 8), gw.randint(0, 4, (5, 6))) for _ in range(3)]

    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        if scheduler is not None:
            scheduler.step()
        return {"loss": loss, "guess": net[4].weight.t()[1:] * 2}

    seen = [run(step, *item) for item in data]
    left = [*net.state_dict().values(), *(p.grad for p in net.parameters())]
    return [bits([item["loss"], item["guess"]]) for item in seen], bits(left), [p._version for p in net.parameters()]


def single(step: Any, xs: Any, ys: Any) -> Any:
    made = [step(x, y) for x, y in zip(xs, ys, strict=True)]
    return {key: gw.stack([item[key].detach() for item in made]) for key in made[0]}


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (lambda p: gw.optim.SGD(p, lr=0.1, momentum=0.9), None),
        (lambda p: gw.optim.AdamW(p, lr=0.01), lambda o: gw.optim.lr_scheduler.StepLR(o, 2, 0.5)),
    ],
)
def test_a_loop_is_as_many_calls(optimizer: Any, schedule: Any) -> None:
    expected = trained(optimizer, schedule, single)
    compiled: list[Any] = []

    def looped(step: Any, xs: Any, ys: Any) -> Any:
        compiled.append(compiled[0] if compiled else gw.compile(step))
        return gw.loop(compiled[0], xs, ys)

    assert trained(optimizer, schedule, looped) == expected
    assert compiled[0].replays == 12
    assert compiled[0].recordings == 3


def test_a_loop_is_one_message() -> None:
    w = gw.ones(3, requires_grad=True)
    opt = gw.optim.SGD([w], lr=0.1)

    @gw.compile(steps=20)
    def step(x: Any) -> Any:
        opt.zero_grad()
        loss = (w * x).square().sum()
        loss.backward()
        opt.step()
        return loss

    for _ in range(2):
        step(gw.ones(20, 3))
    xs, session = gw.ones(20, 3), w.session
    session.wait()
    before = session.statistics()
    losses = step(xs)
    session.flush()
    assert session.statistics().calls - before.calls == 2  # the first row, to see what kind it is, and the loop
    assert losses.shape == (20,)
    assert not losses.requires_grad
    with pytest.raises(RuntimeError, match="needs tensors with 20 rows"):
        step(gw.ones(5, 3))


def test_rows_repeat_where_there_are_more_steps() -> None:
    total = gw.zeros(2)
    step = gw.compile(lambda x, scale: total.add_(x * scale) * 1)
    xs = gw.arange(6.0).view(3, 2)
    got = gw.loop(step, xs, 2.0, steps=8)
    expected = gw.cumsum(gw.cat([xs, xs, xs])[:8] * 2, 0)
    assert got.tolist() == expected.tolist()
    assert gw.loop(step, xs, 2.0, steps=4).tolist() == (expected[-1] + gw.cumsum(gw.cat([xs, xs])[:4] * 2, 0)).tolist()


def test_gradients_are_carried_from_step_to_step() -> None:
    seen = []
    for looped in (False, True):
        w = gw.ones(3, requires_grad=True)

        def step(x: Any, w: Any = w) -> Any:
            old = w.grad
            w.grad = None
            (w * x).sum().backward()
            w.grad = w.grad + old * 0.5
            return w.grad * 2

        w.grad = gw.zeros(3)
        xs, run = gw.randn(12, 3, generator=gw.Generator().manual_seed(1)), gw.compile(step)
        made = gw.loop(run, xs) if looped else gw.stack([step(x) for x in xs])
        seen.append(bits([made, w.grad]))
        assert not looped or run.replays == 10
    assert seen[0] == seen[1]


def test_what_only_single_calls_can_follow() -> None:
    w = gw.ones(2, requires_grad=True)
    step = gw.compile(lambda x: (w * x).sum().backward())
    gw.loop(step, gw.ones(6, 2))
    assert w.grad.tolist() == [6.0, 6.0]
    state = gw.zeros(2)
    assert gw.loop(lambda x: state.add_(x), gw.ones(4, 2)).tolist() == [[i, i] for i in (1.0, 2.0, 3.0, 4.0)]


def test_refusals() -> None:
    for arguments, words in [
        ((gw.ones(3, 2), gw.ones(2)), "as many rows each"),
        ((gw.ones(()),), "as many rows each"),
        ((gw.ones(2, requires_grad=True),), "may not require grad"),
        ((), "must be told how many steps"),
    ]:
        with pytest.raises(RuntimeError, match=words):
            gw.loop(lambda *xs: None, *arguments)
    with pytest.raises(RuntimeError, match="one step or more"):
        gw.loop(lambda: None, steps=0)


def test_a_failure_names_the_step_and_the_line() -> None:
    table = gw.arange(6.0).view(3, 2)
    count = gw.zeros(())

    @gw.compile
    def look_up(index: Any) -> Any:
        count.add_(1)
        return F.embedding(index, table * 2)  # the look-up

    good = gw.tensor([[0], [1], [2]])
    gw.loop(look_up, good)
    with pytest.raises(IndexError, match="in step 2 of the loop, the call of .*test_loop.py"):
        gw.loop(look_up, gw.tensor([[0], [7], [2]])).tolist()
    assert count.item() == 5.0
    assert gw.loop(look_up, good).tolist() == [[[0.0, 2.0]], [[4.0, 6.0]], [[8.0, 10.0]]]
