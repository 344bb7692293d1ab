"""Averages of weights: what the averages are, buffers, the copy's independence, and statistics made anew."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.session import Session


def model(t: Any) -> Any:
    layer = t.nn.Linear(2, 1)
    with t.no_grad():
        layer.weight.fill_(0.0)
        layer.bias.fill_(0.0)
    layer.register_buffer("seen", t.zeros(2))
    layer.register_buffer("count", t.tensor(0))
    return layer


def follow(t: Any, averaged: Any, values: list[float]) -> list[float]:
    source, found = model(t), []
    for value in values:
        with t.no_grad():
            source.weight.fill_(value)
            source.seen.fill_(value)
            source.count.fill_(int(value))
        averaged.update_parameters(source)
        found.append(averaged.module.weight.tolist()[0][0])
    return found


def test_an_equal_mean(t: Any) -> None:
    averaged = t.optim.swa_utils.AveragedModel(model(t))
    np.testing.assert_allclose(follow(t, averaged, [1, 4, 1, 8]), [1, 2.5, 2, 3.5], rtol=1e-6)
    assert averaged.n_averaged.item() == 4
    assert averaged.module.seen.tolist() == [8, 8]
    assert list(averaged.state_dict()) == [
        "n_averaged", "module.weight", "module.bias", "module.seen", "module.count",
    ]  # fmt: skip
    x = t.ones(1, 2)
    assert averaged(x).item() == averaged.module(x).item() == 7


@pytest.mark.parametrize("multi", [False, True])
def test_an_exponential_mean(t: Any, multi: bool) -> None:
    s = t.optim.swa_utils
    options = {"multi_avg_fn": s.get_ema_multi_avg_fn(0.75)} if multi else {"avg_fn": s.get_ema_avg_fn(0.75)}
    averaged = s.AveragedModel(model(t), use_buffers=True, **options)
    np.testing.assert_allclose(follow(t, averaged, [4, 8, 4]), [4, 5, 4.75], rtol=1e-6)
    np.testing.assert_allclose(averaged.module.seen.tolist(), [4.75, 4.75], rtol=1e-6)
    assert averaged.module.count.item() == 4


def test_means_by_function(t: Any) -> None:
    s = t.optim.swa_utils
    averaged = s.AveragedModel(model(t), avg_fn=s.get_swa_avg_fn())
    np.testing.assert_allclose(follow(t, averaged, [1, 4, 1]), [1, 2.5, 2], rtol=1e-6)
    averaged = s.AveragedModel(model(t), multi_avg_fn=s.get_swa_multi_avg_fn())
    np.testing.assert_allclose(follow(t, averaged, [1, 4, 1]), [1, 2.5, 2], rtol=1e-6)
    averaged = s.AveragedModel(model(t), avg_fn=lambda average, weight, count: average + weight * count)
    np.testing.assert_allclose(follow(t, averaged, [1, 4, 1]), [1, 5, 7], rtol=1e-6)
    p = [t.ones(2), t.zeros(1)]
    s.get_swa_multi_avg_fn()(p, [t.zeros(2), t.ones(1)], 3)
    assert [entry.tolist() for entry in p] == [[0.75, 0.75], [0.25]]


def test_the_copy_goes_its_own_way(t: Any) -> None:
    source = model(t)
    averaged = t.optim.swa_utils.AveragedModel(source)
    with t.no_grad():
        source.weight.fill_(5.0)
    assert averaged.module.weight.tolist() == [[0, 0]]
    assert averaged.module.weight.requires_grad


def test_statistics_are_made_anew(t: Any) -> None:
    if not hasattr(t.nn, "BatchNorm1d"):
        pytest.skip("this version has no batch normalisation")
    net = t.nn.Sequential(t.nn.Linear(2, 3), t.nn.BatchNorm1d(3)).eval()
    rng = np.random.default_rng(0)
    batches = [(t.tensor(rng.standard_normal((8, 2)).astype(np.float32)), 1) for _ in range(3)]
    net(batches[0][0])
    t.optim.swa_utils.update_bn(batches, net)
    outputs = [net[0](batch).detach().numpy() for batch, _ in batches]
    np.testing.assert_allclose(
        net[1].running_mean.numpy(), np.mean([o.mean(0) for o in outputs], 0), rtol=1e-4, atol=1e-5
    )
    variance = np.mean([o.var(0, ddof=1) for o in outputs], 0)
    np.testing.assert_allclose(net[1].running_var.numpy(), variance, rtol=1e-4, atol=1e-5)
    assert net[1].momentum == 0.1
    assert not net[1].training


def test_refusals(t: Any) -> None:
    s, o = t.optim.swa_utils, t.optim.SGD([t.nn.Parameter(t.zeros(1))])
    with pytest.raises(ValueError, match="Invalid decay value 2 provided"):
        s.get_ema_multi_avg_fn(2)
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        s.AveragedModel(model(t), avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ValueError, match="anneal_strategy must be one of 'cos' or 'linear', instead got x"):
        s.SWALR(o, 0.1, anneal_strategy="x")
    with pytest.raises(ValueError, match="anneal_epochs must be equal or greater than 0, got -1"):
        s.SWALR(o, 0.1, -1)


@pytest.mark.parity
def test_signatures(session: Session) -> None:
    torch: Any = pytest.importorskip("torch")
    for name in torch.optim.swa_utils.__all__:
        mine, theirs = (
            [(p.name, p.default) for p in inspect.signature(getattr(t.optim.swa_utils, name)).parameters.values()]
            for t in (gw, torch)
        )
        assert mine == theirs, name
