"""A recorded training, sent to a fresh worker process as it was encoded, gives the same bits: what a journal will need."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.session import Session
from tests.system.recording import Download, Frame, Recording, Upload, replay
from tests.system.test_worker import Worker
from tests.system.training import train

pytestmark = pytest.mark.system

_STEPS = 16


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Worker, Worker]]:
    """Two worker processes, to which large tensors go in chunks: the client keeps those until they are acknowledged."""
    monkeypatch.setenv("GRADWIRE_SHARED_MEMORY", "0")
    previous, sessions._current = sessions._current, None
    pair = Worker(), Worker()
    yield pair
    gw.disconnect()
    sessions._current = previous
    for worker in pair:
        worker.process.kill()
        worker.close()


def test_a_recorded_training_gives_the_same_bits_on_a_fresh_worker(workers: tuple[Worker, Worker]) -> None:
    recording = Recording(workers[0].address)
    sessions.use(Session(recording))
    losses, _ = train(_STEPS)
    assert len(set(losses)) == 2 * _STEPS, "the losses of a training differ from step to step"
    sent = [event for event in recording.events if isinstance(event, Frame)]
    assert any(b"gw::program" in event.message for event in sent), "the compiled step is a program"
    assert sum(isinstance(event, Upload) for event in recording.events) == _STEPS
    assert sum(isinstance(event, Download) for event in recording.events) == 1
    done = replay(recording.events, recording.answers, workers[1].address)
    assert done.batches == len(sent) - 1 == len(recording.answers) - 1 > _STEPS
    assert done.transfers == _STEPS + 1
    done.connection.close()


def test_a_replay_sees_one_bit_that_differs(workers: tuple[Worker, Worker]) -> None:
    recording = Recording(workers[0].address)
    sessions.use(Session(recording))
    train(_STEPS)
    place = next(at for at, event in enumerate(recording.events) if isinstance(event, Upload))
    upload = recording.events[place]
    assert isinstance(upload, Upload)
    upload.values.view(np.uint32)[3, 7] ^= 1 << 20
    with pytest.raises(AssertionError, match=r"batch \d+ has another answer"):
        replay(recording.events, recording.answers, workers[1].address)


@pytest.mark.parametrize("dies_at", [3, _STEPS // 2])
def test_a_training_whose_worker_is_killed_goes_on_elsewhere_by_replay(
    workers: tuple[Worker, Worker], dies_at: int
) -> None:
    sessions.use(Session(Recording(workers[0].address)))
    undisturbed = train(_STEPS)
    gw.disconnect()
    recording = Recording(workers[0].address, successor=workers[1].address)
    sessions.use(Session(recording, reconnect_seconds=10))
    assert train(_STEPS, lambda step: workers[0].process.kill() if step == dies_at else None) == undisturbed
    assert workers[0].process.wait(timeout=10) != 0
    assert recording.replayed > dies_at
