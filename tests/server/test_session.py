"""A worker session under good, repeated and bad batches. No sockets: batches are made by a real client."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire_protocol.v1 import call_pb2, worker_pb2
from gradwire_server.backend import open_backend
from gradwire_server.session import Session as WorkerSession
from tests.support import Loopback, open_loopback


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """Make a loopback session the current one."""
    previous = sessions._current
    session, loopback = open_loopback()
    sessions.use(session)
    yield loopback
    sessions._current = previous


def batches(loopback: Loopback) -> list[call_pb2.Batch]:
    """Return the batches that the client sent."""
    frames = [worker_pb2.ClientFrame.FromString(message) for message in loopback.sent]
    return [frame.batch for frame in frames if frame.WhichOneof("frame") == "batch"]


def train(steps: int = 4) -> gw.nn.Module:
    """Run a short training - dropout, backward, a fused update, an update by hand - and return the model."""
    gw.manual_seed(0)
    model = gw.nn.Sequential(gw.nn.Linear(3, 5), gw.nn.ReLU(), gw.nn.Dropout(0.2), gw.nn.Linear(5, 2))
    optimizer = gw.optim.Adam(model.parameters(), lr=0.01)
    inputs, labels = gw.randn(8, 3), gw.randint(0, 2, (8,))
    for _ in range(steps):
        loss = gw.nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        with gw.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
                parameter.grad.zero_()
        loss.item()
    return model


def elements(worker: WorkerSession) -> dict[int, bytes]:
    """Return the bytes behind every handle."""
    return {handle: entry.data.tobytes() for handle, entry in worker.store.entries.items() if hasattr(entry, "data")}


def test_a_resend_of_any_batch_changes_nothing_and_gets_the_same_answer(loopback: Loopback) -> None:
    train()
    again = WorkerSession(open_backend("cpu"))
    for batch in batches(loopback):
        first = again.apply(batch)
        before = elements(again)
        assert again.apply(batch) == first
        assert elements(again) == before
    assert elements(again) == elements(loopback.worker)


def test_the_same_number_with_other_content_is_refused(loopback: Loopback) -> None:
    train(1)
    last = batches(loopback)[-1]
    before = elements(loopback.worker)
    other = call_pb2.Batch.FromString(last.SerializeToString())
    other.released.extend([1, 1])
    ack = loopback.worker.apply(other)
    assert ack.refused.error == "BatchConflict"
    assert elements(loopback.worker) == before


def test_a_skipped_number_is_refused(loopback: Loopback) -> None:
    train(1)
    ack = loopback.worker.apply(call_pb2.Batch(number=loopback.worker.applied + 2))
    assert ack.refused.error == "BatchConflict"
    assert f"must be number {loopback.worker.applied + 1}" in ack.refused.message


def _cut_inputs(batch: call_pb2.Batch) -> None:
    del batch.inputs[-1]


def _more_inputs(batch: call_pb2.Batch) -> None:
    batch.inputs.append(1)


def _more_floats(batch: call_pb2.Batch) -> None:
    batch.floats.append(1.0)


def _unknown_signature(batch: call_pb2.Batch) -> None:
    batch.calls[0] = 10_000


def _unknown_op(batch: call_pb2.Batch) -> None:
    batch.signatures[0].op = "no_such_op"


def _unknown_dtype(batch: call_pb2.Batch) -> None:
    batch.signatures[0].metas[0].dtype = 99


def _negative_size(batch: call_pb2.Batch) -> None:
    batch.signatures[0].metas[0].shape[:] = [-1]


def _gap_in_signatures(batch: call_pb2.Batch) -> None:
    batch.first_signature += 1


def _reused_handle(batch: call_pb2.Batch) -> None:
    batch.first_handle = 1


def _odd_releases(batch: call_pb2.Batch) -> None:
    batch.released.append(1)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_cut_inputs, "BatchMalformed"),
        (_more_inputs, "BatchMalformed"),
        (_more_floats, "BatchMalformed"),
        (_unknown_signature, "UnknownOp"),
        (_unknown_op, "UnknownOp"),
        (_unknown_dtype, "BatchMalformed"),
        (_negative_size, "BatchMalformed"),
        (_gap_in_signatures, "BatchMalformed"),
        (_reused_handle, "BatchMalformed"),
        (_odd_releases, "BatchMalformed"),
    ],
)
def test_a_malformed_batch_is_refused_whole_and_the_session_goes_on(
    loopback: Loopback, spoil: Callable[[call_pb2.Batch], None], error: str
) -> None:
    values = gw.tensor([1.0, 2.0])
    values.tolist()
    (values * values).tolist()
    good = next(batch for batch in batches(loopback)[1:] if batch.signatures and batch.inputs)
    worker = WorkerSession(open_backend("cpu"))
    for batch in batches(loopback)[: good.number - 1]:
        worker.apply(batch)
    before = elements(worker)
    bad = call_pb2.Batch.FromString(good.SerializeToString())
    spoil(bad)
    ack = worker.apply(bad)
    assert ack.refused.error == error, ack.refused.message
    assert elements(worker) == before
    # The number was not used up: the right batch still runs.
    assert not worker.apply(good).HasField("refused")


def test_a_handle_that_is_not_held_poisons_and_names_the_line(loopback: Loopback) -> None:
    values = gw.tensor([1.0, 2.0])
    values.tolist()
    loopback.worker.store.entries.clear()
    product = values * values
    with pytest.raises(
        gw.errors.HandleNotFound, match=r"mul\.Tensor\(float32\[2\], float32\[2\]\), called at .*test_session.py:\d+"
    ):
        product.tolist()
    # The session goes on.
    assert gw.tensor([3.0]).tolist() == [3.0]


def test_calls_on_a_poisoned_tensor_fail_with_the_first_cause(loopback: Loopback) -> None:
    values = gw.tensor([1.0, 2.0])
    values.tolist()
    loopback.worker.store.entries.clear()
    bad = values * values
    line = re.escape(f"test_session.py:{_line_of(bad)}")
    worse = bad.exp() + 1
    kept = gw.tensor([1.0, 2.0])
    kept += worse
    with pytest.raises(gw.errors.HandleNotFound, match=line):
        worse.tolist()
    with pytest.raises(gw.errors.HandleNotFound, match=line):
        worse.tolist()
    assert kept.tolist() == [1.0, 2.0], "a write with a poisoned input must change nothing"


def _line_of(tensor: Any) -> int:
    """Return the line in this file that made `bad`: the one place where it is a product."""
    return test_calls_on_a_poisoned_tensor_fail_with_the_first_cause.__code__.co_firstlineno + 4


def test_released_handles_are_gone_at_the_next_batch(loopback: Loopback) -> None:
    first = gw.tensor([1.0])
    first.tolist()
    held = loopback.worker.statistics().handles
    for _ in range(100):
        first = first * 2
    first.tolist()
    assert loopback.worker.statistics().handles == held


def test_new_handles_are_never_reused(loopback: Loopback) -> None:
    values = gw.tensor([1.0])
    seen = set()
    for _ in range(10):
        values = values * 2
        assert values.handle not in seen
        seen.add(values.handle)


def test_uint64_seeds_and_large_integers_travel_whole(loopback: Loopback) -> None:
    gw.manual_seed(2**64 - 1)
    first = gw.rand(4).tolist()
    gw.manual_seed(2**64 - 1)
    assert gw.rand(4).tolist() == first
    big = gw.tensor([2**62 + 1])
    assert (big + (2**61 + 1)).tolist() == [2**62 + 2**61 + 2]


@pytest.mark.parametrize("limit", ["MAX_SIGNATURES", "MAX_SIGNATURE_BYTES"])
def test_a_script_with_more_kinds_of_call_than_the_table_holds_goes_on(
    limit: str, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"gradwire_protocol.limits.{limit}", 20 if limit == "MAX_SIGNATURES" else 600)
    values = gw.arange(100)
    assert [values[index].item() for index in range(100)] == list(range(100))
    assert any(batch.reset_signatures for batch in batches(loopback))
    assert len(loopback.worker._signatures) <= 20
