"""What stands for PyTorch's modules, and what is said where nothing does. tests/system/test_run.py runs scripts."""

from __future__ import annotations

from importlib import import_module

import pytest

import gradwire as gw
from gradwire.run import install
from gradwire.run.finder import TorchFinder, TorchModule
from gradwire.run.names import counterpart, missing
from gradwire.version import TorchVersion, torch_version


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("torch", gw),
        ("torch.nn", gw.nn),
        ("torch.nn.functional", gw.nn.functional),
        ("torch.nn.modules", gw.nn),
        ("torch.nn.modules.loss", gw.nn),
        ("torch.autograd.variable", gw.autograd),
        ("torch.utils.data.dataloader", import_module("gradwire.utils.data.dataloader")),
        ("torch.nn.modules.nonsense", None),
        ("torch.nonsense", None),
        ("torch.nonsense.deeper", None),
    ],
)
def test_each_module_has_its_counterpart(name: str, ours: object) -> None:
    assert counterpart(name) is ours


def test_the_words_for_a_missing_name_give_the_nearest() -> None:
    assert missing("torch.nn", "Linera") == (
        "gradwire has no torch.nn.Linera; the nearest name it has is torch.nn.Linear; "
        "docs/coverage.md lists what it covers"
    )
    assert missing("torch", "qqqqqq") == "gradwire has no torch.qqqqqq; docs/coverage.md lists what it covers"


def test_the_finder_leaves_other_packages_alone() -> None:
    assert TorchFinder().find_spec("numpy") is None
    assert TorchFinder().find_spec("torchvision") is None
    with pytest.raises(ModuleNotFoundError, match=r"gradwire has no torch\.nonsense"):
        TorchFinder().find_spec("torch.nonsense")


def test_a_setting_reaches_gradwire() -> None:
    module = TorchModule("torch", gw)
    module.some_setting = 3
    try:
        assert gw.some_setting == 3  # type: ignore[attr-defined]
    finally:
        del gw.some_setting  # type: ignore[attr-defined]
    assert module.__version__ == torch_version != gw.__version__
    assert module.float32 is gw.float32


def test_private_names_that_scripts_use_are_found() -> None:
    module = TorchModule("torch.nn.modules.batchnorm", gw.nn)
    assert isinstance(gw.nn.BatchNorm1d(2), module._BatchNorm)
    assert TorchModule("torch.nn.modules.utils", gw.nn)._pair(3) == (3, 3)
    assert TorchModule("torch.nn.modules.utils", gw.nn)._triple((1, 2, 3)) == (1, 2, 3)


@pytest.mark.parity
def test_it_is_too_late_once_pytorch_is_there() -> None:
    pytest.importorskip("torch")
    with pytest.raises(RuntimeError, match="call it first"):
        install()


def test_versions_compare_by_numbers() -> None:
    version = TorchVersion("2.13.0+gradwire.0.1.0")
    assert version >= "2.4"
    assert version >= (2, 13)
    assert version > "1.13.1"
    assert version < "2.13.1"
    assert not version < "2.13"
    assert version.split(".")[0] == "2"
    assert str(torch_version).endswith(gw.__version__)
