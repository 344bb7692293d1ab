"""Data that lives on the worker, and batches that travel there before they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.utils.data import DataLoader, Subset, TensorDataset, prefetch
from gradwire_protocol.v1 import worker_pb2
from tests.support import Loopback, open_loopback


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """A session of its own whose messages can be counted."""
    previous = sessions._current
    session, loopback = open_loopback()
    sessions.use(session)
    yield loopback
    sessions._current = previous


def calls(loopback: Loopback) -> int:
    """Return how many calls were sent."""
    sessions.current().flush()
    return sum(len(worker_pb2.ClientFrame.FromString(message).batch.calls) for message in loopback.sent)


@pytest.mark.parametrize("depth", [0, 1])
def test_a_batch_of_rows_on_the_worker_is_one_selection_a_tensor(loopback: Loopback, depth: int) -> None:
    images = np.arange(100 * 64, dtype=np.float32).reshape(100, 64)
    data = TensorDataset(gw.tensor(images), gw.arange(100))
    shown = Subset(data, range(99, -1, -1)) if depth else data
    loader = DataLoader(shown, batch_size=10, shuffle=True)
    batches = iter(loader)
    rows, labels = next(batches)
    np.testing.assert_array_equal(rows.numpy(), images[labels.numpy()])
    before, sent = calls(loopback), sum(map(len, loopback.sent))
    kept = list(batches)
    assert calls(loopback) - before == 3 * len(kept), "the indices, and a selection from each tensor"
    assert sum(map(len, loopback.sent)) - sent < 9 * (10 * 8 + 200), "of the data only indices travel"
    assert sorted(int(i) for _, labels in [(rows, labels), *kept] for i in labels.tolist()) == list(range(100))


def test_indices_from_the_end_mean_what_they_mean_elsewhere(loopback: Loopback) -> None:
    data = TensorDataset(gw.arange(5))
    assert [batch.tolist() for (batch,) in DataLoader(data, batch_sampler=[[0, -1], [-2, 1]])] == [[0, 4], [3, 1]]


@pytest.mark.parametrize("depth", [1, 2, 10])
def test_prefetch_gives_the_same_batches_and_begins_the_next(depth: int) -> None:
    made: list[int] = []

    def batches() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    seen = []
    for batch in prefetch(batches(), depth):
        assert len(made) == min(batch + 1 + depth, 5)
        seen.append(batch)
    assert seen == list(range(5))


def test_an_error_of_the_loader_comes_in_its_turn() -> None:
    def batches() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("unreadable")

    ahead = prefetch(batches(), 4)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(OSError, match="unreadable"):
        next(ahead)
    with pytest.raises(ValueError, match="at least 1"):
        prefetch([], 0)
