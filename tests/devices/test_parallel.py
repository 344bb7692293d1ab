"""DistributedDataParallel over worker processes: one worker's training, within rounding, and replicas equal to the bit."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import nn
from gradwire import session as sessions
from gradwire.nn.parallel import DataParallel, DistributedDataParallel
from gradwire.session import Session
from tests.devices.conftest import Worker

pytestmark = [
    pytest.mark.system,
    # Not a comparison, but where PyTorch is, gloo is.
    pytest.mark.parity,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="gloo comes inside of PyTorch"),
]

STEPS = 20
# Of float32: sums over halves of the batch are added in another order, and twenty steps carry that on.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def pair(processes: list[Worker]) -> Iterator[list[Session]]:
    previous, sessions._current = sessions._current, None
    yield gw.connect([worker.address for worker in processes])
    gw.disconnect()
    sessions._current = previous


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))


def _conv() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )


def _sgd(model: nn.Module) -> Any:
    return gw.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def _adam(model: nn.Module) -> Any:
    return gw.optim.Adam(model.parameters(), lr=0.01)


def _made(make: Callable[[], nn.Module]) -> nn.Module:
    gw.manual_seed(11)
    return make()


def _train(model: nn.Module, optimizer: Any, size: int, steps: int = STEPS, clip: float = 0.0) -> list[float]:
    gw.manual_seed(5)
    losses = []
    for _ in range(steps):
        x, y = gw.randn(10, size), gw.randint(0, 3, (10,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


def _values(model: nn.Module) -> list[Any]:
    return [parameter.detach().numpy() for parameter in model.parameters()]


def _assert_close(found: nn.Module, expected: nn.Module) -> None:
    for one, other in zip(_values(found), _values(expected), strict=True):
        np.testing.assert_allclose(one, other, **TOLERANCE)


def _assert_replicas_equal(parallel: DistributedDataParallel) -> None:
    first, *others = [_values(replica) for replica in parallel._replicas]
    for other in others:
        assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("start", [_sgd, _adam])
@pytest.mark.parametrize(("make", "size"), [(_mlp, 6), (_conv, 36)])
def test_a_training_is_that_of_one_worker(pair: list[Session], start: Any, make: Any, size: int) -> None:
    alone, wrapped = _made(make), _made(make)
    expected = _train(alone, start(alone), size)
    parallel = DistributedDataParallel(wrapped, ["cpu:0", "cpu:1"], bucket_cap_mb=0.001)
    found = _train(parallel, start(parallel), size)
    np.testing.assert_allclose(found, expected, **TOLERANCE)
    assert expected[-1] != expected[0]
    _assert_close(parallel.module, alone)
    _assert_replicas_equal(parallel)


def test_gradients_changed_before_the_step_reach_the_replicas(pair: list[Session]) -> None:
    alone, wrapped = _made(_mlp), _made(_mlp)
    expected = _train(alone, _adam(alone), 6, 5, clip=0.1)
    parallel = DataParallel(wrapped)
    np.testing.assert_allclose(_train(parallel, _adam(parallel), 6, 5, clip=0.1), expected, **TOLERANCE)
    _assert_replicas_equal(parallel)


def test_a_loaded_state_goes_on_on_every_worker(pair: list[Session]) -> None:
    alone, wrapped = _made(_mlp), _made(_mlp)
    parallel = DistributedDataParallel(wrapped)
    assert list(parallel.state_dict()) == [f"module.{name}" for name in alone.state_dict()]
    first, second = _adam(alone), _adam(parallel)
    _train(alone, first, 6, 3)
    parallel.module.load_state_dict(alone.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    np.testing.assert_allclose(_train(parallel, second, 6, 3), _train(alone, first, 6, 3), **TOLERANCE)
    _assert_replicas_equal(parallel)


def test_no_sync_adds_up_what_the_next_backward_averages(pair: list[Session]) -> None:
    alone, wrapped = _made(_mlp), _made(_mlp)
    parallel = DistributedDataParallel(wrapped)
    gw.manual_seed(2)
    x = gw.randn(8, 6)
    for model in (alone, parallel):
        with parallel.no_sync():
            model(x).square().mean().backward()
            model(x * 2).square().mean().backward()
        model(x * 3).square().mean().backward()
        # And without zero_grad, what was averaged already counts once.
        model(x).square().mean().backward()
    for own, other in zip(parallel.parameters(), alone.parameters(), strict=True):
        np.testing.assert_allclose(own.grad.numpy(), other.grad.numpy(), **TOLERANCE)


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_a_batch_need_not_divide(pair: list[Session], rows: int) -> None:
    alone, wrapped = _made(_mlp), _made(_mlp)
    parallel = DistributedDataParallel(wrapped)
    gw.manual_seed(2)
    x = gw.randn(rows, 6).requires_grad_()
    again = x.detach().requires_grad_()
    assert parallel(x).shape == (rows, 3)
    parallel(x).square().mean().backward()
    alone(again).square().mean().backward()
    np.testing.assert_allclose(x.grad.numpy(), again.grad.numpy(), **TOLERANCE)
    for own, other in zip(parallel.parameters(), alone.parameters(), strict=True):
        np.testing.assert_allclose(own.grad.numpy(), other.grad.numpy(), **TOLERANCE)
    assert parallel._replicas[1][0].weight.grad.tolist() == parallel.module[0].weight.grad.tolist()


class _Branches(nn.Module):
    """Takes and returns containers; one parameter is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, given: dict[str, Any], scale: float = 1.0) -> dict[str, Any]:
        out = self.norm(self.used(given["x"])) * scale
        return {"out": out, "parts": (out.sum(), given["name"])}


def test_containers_unused_parameters_and_buffers(pair: list[Session]) -> None:
    parallel = DistributedDataParallel(_Branches())
    found = parallel({"x": gw.randn(6, 2), "name": "n"}, scale=2.0)
    assert found["out"].shape == (6, 2)
    assert found["parts"][0].shape == (2,)
    assert found["parts"][1] == "n"
    found["out"].square().sum().backward()
    assert parallel.module.unused.weight.grad is None
    assert parallel.module.used.weight.grad is not None
    parallel.eval()
    parallel({"x": gw.randn(6, 2), "name": "n"})
    assert not parallel._replicas[1].training
    first, second = (replica.norm.running_mean.tolist() for replica in parallel._replicas)
    assert first == second


def test_sums_begin_while_backward_runs(pair: list[Session]) -> None:
    parallel = DistributedDataParallel(_made(_mlp), bucket_cap_mb=0.001)
    assert len(parallel._reducer.buckets) > 2
    loss = parallel(gw.randn(8, 6)).sum()
    for session in pair:
        session.wait()
    sent: dict[str, list[str]] = {}
    for session in pair:
        append = session.append
        session.append = lambda signature, *rest, _a=append, _s=session, **options: (  # type: ignore[method-assign]
            sent.setdefault(_s.device, []).append(signature.op.name) or _a(signature, *rest, **options)
        )
    loss.backward()
    for session in pair:
        del session.append
        order = [
            name for name in sent[session.device] if name in ("gw::backward_part", "gw::mean_start", "gw::mean_finish")
        ]
        starts = [place for place, name in enumerate(order) if name == "gw::mean_start"]
        assert len(starts) == len(parallel._reducer.buckets)
        last_part = max(place for place, name in enumerate(order) if name == "gw::backward_part")
        assert starts[0] < last_part
        assert order.index("gw::mean_finish") > starts[-1]


def test_what_would_be_wrong_is_refused(pair: list[Session]) -> None:
    parallel = DistributedDataParallel(_made(_mlp))
    loss = parallel(gw.randn(4, 6)).sum()
    with pytest.raises(RuntimeError, match="autograd.grad does not work with parameters of DistributedDataParallel"):
        gw.autograd.grad(loss, list(parallel.parameters()))
    with pytest.raises(RuntimeError, match="create_graph=True"):
        loss.backward(create_graph=True)
    with pytest.raises(RuntimeError, match="doesn't have any parameter that requires a gradient"):
        DistributedDataParallel(nn.ReLU())
    with pytest.raises(ValueError, match="devices that differ"):
        DistributedDataParallel(_made(_mlp), ["cpu:1", "cpu:1"])
    with pytest.raises(TypeError):
        DistributedDataParallel(_made(_mlp), gradient_as_bucket_view=True)


def test_an_error_in_a_hook_costs_one_epoch(pair: list[Session]) -> None:
    parallel = DistributedDataParallel(_made(_mlp), bucket_cap_mb=0.001)
    x = gw.randn(4, 6)
    out = parallel(x)

    def fail(_: Any) -> None:
        raise KeyError("mine")

    handle = parallel.module[0].weight.register_hook(fail)
    with pytest.raises(KeyError):
        parallel(x).sum().backward()
    handle.remove()
    out.sum().backward()
    assert parallel.module[0].weight.grad.isfinite().all()


def test_a_compiled_step_runs_as_ever(pair: list[Session]) -> None:
    parallel = DistributedDataParallel(_made(_mlp))
    optimizer = _sgd(parallel)

    @gw.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = parallel(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    with pytest.warns(UserWarning, match="copies a tensor from one worker to another"):
        losses = [step(gw.ones(4, 6)).item() for _ in range(4)]
    assert losses == sorted(losses, reverse=True)
    _assert_replicas_equal(parallel)
