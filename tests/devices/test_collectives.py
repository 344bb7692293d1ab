"""Groups of worker processes: sums and joins with their gradients, epochs, and the death of a member."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator

import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.collectives import Group
from gradwire.session import Session
from gradwire_protocol.errors import GroupBroken
from tests.devices.conftest import Worker

needs_gloo = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="gloo comes inside of PyTorch")
# Not comparisons, but where PyTorch is, gloo is.
pytestmark = [pytest.mark.system, pytest.mark.parity, needs_gloo]


@pytest.fixture
def pair(processes: list[Worker]) -> Iterator[list[Session]]:
    previous, sessions._current = sessions._current, None
    yield gw.connect([worker.address for worker in processes])
    gw.disconnect()
    sessions._current = previous


def test_collectives_and_their_gradients(pair: list[Session]) -> None:
    group = Group(pair)
    a = gw.tensor([[1.0], [2.0]], requires_grad=True)
    b = gw.tensor([[10.0], [20.0]], device="cpu:1", requires_grad=True)

    def backward(made: list[gw.Tensor]) -> tuple[list[float], list[float]]:
        # Weights 1, 2, ... on cpu:0 and 10, 20, ... on cpu:1, so that each path shows in the sum.
        one, two = (gw.arange(1.0, made[0].numel() + 1, device=tensor.device) for tensor in made)
        loss = (made[0].flatten() * one).sum() + (made[1].flatten() * two * 10).sum().to("cpu:0")
        return tuple(g.flatten().tolist() for g in gw.autograd.grad(loss, [a, b]))  # type: ignore[return-value]

    made = group.all_reduce([a * 1, b])
    assert [tensor.flatten().tolist() for tensor in made] == [[11, 22], [11, 22]]
    assert [tensor.session for tensor in made] == pair
    assert backward(made) == ([11, 22], [11, 22])
    made = group.all_gather([a, b])
    assert [tensor.flatten().tolist() for tensor in made] == [[1, 2, 10, 20]] * 2
    assert backward(made) == ([11, 22], [33, 44])
    made = group.reduce_scatter([a, b])
    assert [tensor.flatten().tolist() for tensor in made] == [[11], [22]]
    assert backward(made) == ([1, 10], [1, 10])
    made = group.broadcast(b)
    assert [tensor.flatten().tolist() for tensor in made] == [[10, 20], [10, 20]]
    (made[0].sum() + made[1].sum().to("cpu:0") * 5).backward()
    assert b.grad.flatten().tolist() == [6, 6]
    assert a.grad is None
    group.barrier()
    group.close()


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int64"])
def test_other_dtypes(pair: list[Session], dtype: str) -> None:
    kind = getattr(gw, dtype)
    made = Group(pair).all_reduce([gw.ones(3, dtype=kind), gw.full((3,), 2, dtype=kind, device="cpu:1")])
    assert made[1].dtype is kind
    assert made[1].tolist() == [3, 3, 3]


def test_second_gradients(pair: list[Session]) -> None:
    group = Group(pair)
    a = gw.tensor([2.0], requires_grad=True)
    b = gw.tensor([3.0], device="cpu:1", requires_grad=True)
    loss = (group.all_reduce([a**2, b**2])[0] ** 2).sum()
    first = gw.autograd.grad(loss, [a, b], create_graph=True)
    assert [g.item() for g in first] == [104, 156]
    assert [g.item() for g in gw.autograd.grad(first[0].sum(), [a, b])] == [84, 48]


def test_what_does_not_fit_is_refused_here(pair: list[Session]) -> None:
    group = Group(pair)
    with pytest.raises(ValueError, match="takes a tensor from each of cpu:0, cpu:1"):
        group.all_reduce([gw.ones(2), gw.ones(2)])
    with pytest.raises(ValueError, match="tensors of one shape and dtype"):
        group.all_reduce([gw.ones(2), gw.ones(3, device="cpu:1")])
    with pytest.raises(RuntimeError, match="first dimension that they divide"):
        group.reduce_scatter([gw.ones(3), gw.ones(3, device="cpu:1")])
    group = Group(pair)
    assert group.all_reduce([gw.ones(1), gw.ones(1, device="cpu:1")])[0].item() == 2


def test_stale_epochs_and_turns_out_of_order_are_refused(pair: list[Session]) -> None:
    group = Group(pair)
    group.form(pair)
    assert group.epoch == 2
    tensors = [gw.ones(1), gw.ones(1, device="cpu:1")]
    group.epoch = 1
    late = group.all_reduce(tensors)
    with pytest.raises(GroupBroken, match="a call of epoch 1 comes too late"):
        late[0].item()
    with pytest.raises(GroupBroken, match="epoch 2, is the present one"):
        late[1].item()
    # The fence did not cost the present epoch.
    group.epoch, group._turn = 2, 0
    assert group.all_reduce(tensors)[1].item() == 2
    group._turn = 5
    with pytest.raises(GroupBroken, match="takes its turns in order; 2 is next, got 6"):
        group.all_reduce(tensors)[0].item()


def test_a_member_whose_tensor_failed_ends_the_epoch_for_all(pair: list[Session]) -> None:
    group = Group(pair)
    bad = gw.ones(2).index_select(0, gw.tensor([7])).expand(1)
    made = group.all_reduce([bad, gw.ones(1, device="cpu:1")])
    began = time.monotonic()
    with pytest.raises(GroupBroken, match="is over at turn 1"):
        made[1].item()
    assert time.monotonic() - began < 10
    with pytest.raises(IndexError):
        made[0].item()
    group.form(pair)
    assert group.all_reduce([gw.ones(1), gw.ones(1, device="cpu:1")])[0].item() == 2


def test_a_killed_member_is_named_and_replaced() -> None:
    previous, sessions._current = sessions._current, None
    workers = [Worker(), Worker(), Worker()]
    try:
        opened = gw.connect([worker.address for worker in workers], reconnect_seconds=1)
        group = Group(opened[:2])
        tensors = [gw.ones(1), gw.ones(1, device="cpu:1"), gw.ones(1, device="cpu:2")]
        assert group.all_reduce(tensors[:2])[0].item() == 2
        workers[1].process.kill()
        began = time.monotonic()
        with pytest.raises((GroupBroken, gw.errors.WorkerLost), match="cpu:1|" + workers[1].address):
            group.all_reduce(tensors[:2])
            opened[0].wait()
        assert time.monotonic() - began < 5
        group.form([opened[0], opened[2]])
        assert group.epoch == 2
        assert group.all_reduce([tensors[0], tensors[2]])[0].item() == 2
    finally:
        gw.disconnect()
        sessions._current = previous
        for worker in workers:
            worker.kill()
