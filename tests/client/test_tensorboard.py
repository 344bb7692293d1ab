"""Logging to TensorBoard, read back by its own reader where it is installed; and the words where it is not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

import gradwire as gw
from gradwire.session import Session

INSTALLED = importlib.util.find_spec("tensorboard") is not None


@pytest.mark.skipif(INSTALLED, reason="tensorboard is installed")
def test_without_the_package_the_import_says_so() -> None:
    sys.modules.pop("gradwire.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        importlib.import_module("gradwire.utils.tensorboard")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not INSTALLED, reason="tensorboard is not installed")
def test_what_is_logged_is_read_back(session: Session, tmp_path: Path) -> None:
    from gradwire.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path / "run") as writer:
        for step in range(3):
            writer.add_scalar("loss", gw.tensor(1.5) * step, step)
        writer.add_scalars("both", {"a": 1, "b": gw.ones(1)}, 0)
        writer.add_histogram("weights", gw.arange(10.0), 1)
        writer.add_histogram("few", [1.0, 2.0, 3.0], 1, bins="auto", max_bins=2)
        writer.add_text("note", "hello", 2)
    events = read(writer.get_logdir())
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(0, 0.0), (1, 1.5), (2, 3.0)]
    histogram = events.Histograms("weights")[0].histogram_value
    assert (histogram.num, histogram.sum, sum(histogram.bucket)) == (10, 45, 10)
    assert sum(events.Histograms("few")[0].histogram_value.bucket) == 3
    assert events.Tensors("note/text_summary")[0].tensor_proto.string_val == [b"hello"]
    assert read(f"{writer.get_logdir()}/both_b").Scalars("both")[0].value == 1.0


def read(directory: str) -> Any:
    accumulators = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    events = accumulators.EventAccumulator(directory)
    events.Reload()
    return events
