"""Whole modules in `.pt` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gradwire as gw
from gradwire import nn
from gradwire_protocol.errors import CheckpointError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4, num_layers=2)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.sizes = {"hidden": 4}

    def forward(self, x: Any) -> Any:
        return self.layer(self.rnn(x)[0])


@pytest.mark.usefixtures("session")
def test_a_module_comes_back_whole(tmp_path: Path) -> None:
    model = Net().eval()
    gw.save(model, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="whole module, which load takes with weights_only=False"):
        gw.load(tmp_path / "model.pt")
    loaded = gw.load(tmp_path / "model.pt", weights_only=False)
    assert type(loaded) is Net
    assert loaded.sizes == {"hidden": 4}
    x = gw.ones(2, 5, 3)
    assert loaded(x).equal(model(x))
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in model.named_parameters()]


@pytest.mark.usefixtures("session")
def test_a_class_that_is_not_imported_is_refused(tmp_path: Path) -> None:
    class Local(nn.Module):
        pass

    gw.save(Local(), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="which this process has not imported"):
        gw.load(tmp_path / "model.pt", weights_only=False)


@pytest.mark.usefixtures("session")
def test_a_function_of_the_user_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    model.hook = lambda x: x
    with pytest.raises(TypeError, match="save needs tensors"):
        gw.save(model, tmp_path / "model.pt")
