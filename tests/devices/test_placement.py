"""Where tensors are made, moved to, and what is refused between two devices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradwire as gw
from gradwire import nn
from gradwire.session import Session


def test_creation_takes_a_device(fleet: list[Session]) -> None:
    made = [
        gw.zeros(2, device="cpu:1"), gw.tensor([1.0], device="cpu:1"), gw.arange(3, device=gw.device("cpu", 1)),
        gw.randn(2, 2, device="cpu:1"), gw.eye(2, device="cpu:1"), gw.linspace(0, 1, 3, device="cpu:1"),
        gw.randperm(4, device="cpu:1"), gw.zeros(1).new_ones(2, device="cpu:1"), gw.zeros_like(gw.ones(2), device="cpu:1"),
        gw.hann_window(4, device="cpu:1"), gw.tril_indices(2, 2, device="cpu:1"), gw.full((2,), 7, device="cpu:1"),
        gw.as_tensor(np.ones(2), device="cpu:1"),
    ]  # fmt: skip
    assert {str(tensor.device) for tensor in made} == {"cpu:1"}
    assert {tensor.session for tensor in made} == {fleet[1]}
    assert made[0].get_device() == 1


def test_what_is_made_like_a_tensor_is_made_beside_it(fleet: list[Session]) -> None:
    x = gw.ones(3, device="cpu:1")
    made = [
        gw.zeros_like(x),
        gw.rand_like(x),
        gw.randint_like(x, 4),
        x.new_zeros(2),
        x.new_tensor([1]),
        x.clone(),
        x[[0, 2]],
    ]
    assert {tensor.session for tensor in made} == {fleet[1]}


def test_a_type_alone_is_the_first_worker(fleet: list[Session]) -> None:
    assert gw.ones(1, device="cpu").session is gw.ones(1).session is fleet[0]
    assert gw.ones(1, device="cpu:1").to("cpu").session is fleet[0]
    assert gw.ones(1, device="cpu:1").cpu().session is fleet[1]


def test_contexts_and_the_default_device(fleet: list[Session]) -> None:
    with gw.device("cpu:1"):
        assert gw.zeros(1).session is fleet[1]
        with gw.device("cpu:0"):
            assert gw.zeros(1).session is fleet[0]
        assert gw.zeros(1, device="cpu").session is fleet[0]
    assert gw.zeros(1).session is fleet[0]
    gw.set_default_device("cpu:1")
    assert str(gw.get_default_device()) == "cpu:1"
    assert gw.zeros(1).session is fleet[1]
    gw.set_default_device(None)
    assert gw.zeros(1).session is fleet[0]


def test_to_moves_values_of_any_dtype_and_size(fleet: list[Session]) -> None:
    for values in (
        np.arange(12.0).reshape(3, 4), np.array([True, False]), np.array(3), np.zeros((0, 2)), np.arange(200_000.0)
    ):  # fmt: skip
        x = gw.tensor(values)
        moved = x.to("cpu:1")
        assert moved.session is fleet[1]
        assert np.array_equal(moved.numpy(), values)
    assert gw.arange(6.0).reshape(2, 3).t().to("cpu:1").tolist() == [[0, 3], [1, 4], [2, 5]]
    assert gw.ones(2).to(gw.bfloat16).to("cpu:1").float().tolist() == [1, 1]
    assert gw.arange(2).to(gw.ones(1, device="cpu:1")).dtype is gw.float32
    assert gw.arange(2).to("cpu:1", gw.float64).dtype is gw.float64
    x = gw.ones(1)
    assert x.to("cpu:0") is x


def test_a_copy_is_of_the_moment(fleet: list[Session]) -> None:
    x = gw.zeros(3)
    copied = x.to("cpu:1")
    x.add_(1)
    assert copied.tolist() == [0, 0, 0]
    target = gw.zeros(3, device="cpu:1")
    target.copy_(x)
    assert target.tolist() == [1, 1, 1]


def test_mixing_devices_is_refused(fleet: list[Session]) -> None:
    x, y = gw.ones(2), gw.ones(2, device="cpu:1")
    words = "Expected all tensors to be on the same device, but found at least two devices, cpu:0 and cpu:1!"
    for mixed in (lambda: x + y, lambda: gw.cat([x, y]), lambda: x.add_(y), lambda: x + gw.ones((), device="cpu:1")):
        with pytest.raises(RuntimeError, match=words):
            mixed()
    x.requires_grad_()
    with pytest.raises(RuntimeError, match="attempting to assign a gradient located on device"):
        x.grad = y
    assert y.tolist() == [1, 1]


def test_a_device_that_is_not_there_is_refused(fleet: list[Session]) -> None:
    with pytest.raises(RuntimeError, match="invalid device ordinal: cpu:2"):
        gw.zeros(1, device="cpu:2")
    with pytest.raises(RuntimeError, match="Found no NVIDIA driver"):
        gw.zeros(1).to("cuda:0")


def test_modules_move_with_their_gradients(fleet: list[Session]) -> None:
    layer = nn.Linear(3, 2)
    layer(gw.ones(1, 3)).sum().backward()
    weight, values = layer.weight, layer.weight.tolist()
    assert layer.to("cpu:1") is layer
    assert layer.weight is weight
    assert weight.session is weight.grad.session is fleet[1]
    assert weight.tolist() == values
    optimizer = gw.optim.SGD(layer.parameters(), lr=0.5)
    optimizer.step()
    assert layer(gw.ones(1, 3, device="cpu:1")).session is fleet[1]
    made = nn.Sequential(nn.Linear(2, 2, device="cpu:1"), nn.BatchNorm1d(2, device="cpu:1"))
    assert {tensor.session for tensor in made.state_dict().values()} == {fleet[1]}


def test_printing_names_another_device(fleet: list[Session]) -> None:
    assert repr(gw.ones(1, device="cpu:1")) == "tensor([1.], device='cpu:1')"
    assert repr(gw.ones(1)) == "tensor([1.])"


def test_a_failure_travels_with_the_copy(fleet: list[Session]) -> None:
    bad = gw.ones(2).index_select(0, gw.tensor([5]))
    copied = bad.to("cpu:1")
    with pytest.raises(IndexError, match="out of range"):
        copied.tolist()
    with pytest.raises(IndexError, match="out of range"):
        fleet[0].wait()


def test_files_are_loaded_onto_a_device(fleet: list[Session], tmp_path: Path) -> None:
    for name in ("a.pt", "a.safetensors"):
        gw.save({"x": gw.arange(3.0, device="cpu:1")}, tmp_path / name)
        assert gw.load(tmp_path / name)["x"].session is fleet[0]
        loaded = gw.load(tmp_path / name, map_location="cpu:1")["x"]
        assert loaded.session is fleet[1]
        assert loaded.tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        gw.load(tmp_path / "a.pt", map_location="cpu:7")
