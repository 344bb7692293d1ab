"""What a session puts on the wire, and when it waits: batches, handles, signatures, credits. Round trips are counted."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.session import Session
from gradwire_protocol import limits
from tests.client.wire import ALWAYS, Wire
from tests.support import Loopback, open_loopback


# ---------------------------------------------------------------- batches
def test_a_batch_goes_out_when_it_is_full(wire: Wire) -> None:
    x = gw.ones(2)
    wire.clear()
    for _ in range(limits.MAX_BATCH_CALLS - 1):
        x = x + 1
    assert wire.batches == []
    x = x + 1
    assert [len(batch.calls) for batch in wire.batches] == [limits.MAX_BATCH_CALLS]
    assert x.tolist() == [257.0, 257.0]


def test_a_call_after_a_pause_goes_out_at_once(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    x = gw.ones(2)
    wire.clear()
    monkeypatch.setattr(sessions, "_IDLE_SECONDS", ALWAYS)
    for _ in range(3):
        x = x + 1
    assert [len(batch.calls) for batch in wire.batches] == [1, 1, 1]


def test_a_wait_sends_what_is_pending_and_nothing_else_does(wire: Wire) -> None:
    x = gw.ones(2) + 1
    assert wire.batches == []
    assert x.tolist() == [2.0, 2.0]
    assert len(wire.batches) == 1
    wire.session.flush()
    assert len(wire.batches) == 1


def test_backward_goes_out_at_once_so_that_the_worker_can_start(wire: Wire) -> None:
    x = gw.ones(2, requires_grad=True)
    loss = (x * x).sum()
    wire.clear()
    loss.backward()
    assert [len(batch.calls) for batch in wire.batches] == [1]


def test_batches_are_numbered_densely_and_say_what_was_answered(wire: Wire) -> None:
    x = gw.ones(2)
    for _ in range(3):
        x = x + 1
        wire.session.flush()
    wire.session.wait()
    (x + 1).tolist()
    assert [batch.number for batch in wire.batches] == [1, 2, 3, 4]
    assert [batch.acknowledged for batch in wire.batches] == [0, 0, 0, 3]


def test_handles_are_numbered_by_the_call_that_makes_them(wire: Wire) -> None:
    x = gw.ones(4, 2)
    rows = x.unbind(0)
    y = rows[3] + 1
    wire.session.flush()
    z = y + 1
    wire.session.flush()
    first, second = wire.batches
    assert (first.first_handle, second.first_handle) == (1, 7)
    assert [tensor.handle for tensor in (x, *rows, y, z)] == [1, 2, 3, 4, 5, 6, 7]
    assert list(second.inputs) == [6]


# ---------------------------------------------------------------- values
@pytest.mark.parametrize(
    ("count", "op"), [(limits.INLINE_BYTES, "gw::constant"), (limits.INLINE_BYTES + 1, "gw::upload")]
)
def test_small_values_ride_inside_and_large_ones_beside(wire: Wire, count: int, op: str) -> None:
    values = np.arange(count).astype(np.uint8)
    x = gw.tensor(values)
    wire.session.flush()
    (batch,) = wire.batches
    assert wire.ops == [op]
    assert [len(tensor.data) for tensor in batch.tensors] == ([count] if op == "gw::constant" else [])
    np.testing.assert_array_equal(x.numpy(), values)


def test_many_small_values_close_a_batch_by_their_bytes(wire: Wire) -> None:
    values = np.zeros(limits.INLINE_BYTES, np.uint8)
    fitting = limits.MAX_BATCH_BYTES // limits.INLINE_BYTES
    kept = [gw.tensor(values) for _ in range(fitting - 1)]
    assert wire.batches == []
    kept.append(gw.tensor(values))
    assert [len(batch.tensors) for batch in wire.batches] == [fitting]
    assert len(wire.loopback.sent[-1]) < limits.MAX_MESSAGE_BYTES


def test_an_array_may_be_changed_once_the_tensor_is_made(wire: Wire) -> None:
    values = np.zeros(3, np.float32)
    x = gw.tensor(values)
    values += 1
    assert x.tolist() == [0.0, 0.0, 0.0]


# ---------------------------------------------------------------- released handles
def test_a_finalizer_only_notes_the_handle(wire: Wire) -> None:
    x = gw.ones(2)
    wire.clear()
    handle = x.handle
    del x
    gc.collect()
    assert wire.session.released == [handle]
    assert wire.loopback.sent == []


def test_a_finalizer_takes_no_lock(wire: Wire) -> None:
    tensors = [gw.ones(2)]
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with wire.session.lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        tensors.clear()
        assert len(wire.session.released) == 1
    finally:
        done.set()
        thread.join()


def test_released_handles_ride_with_the_next_batch_as_ranges(wire: Wire) -> None:
    tensors = [gw.ones(2) for _ in range(10)]
    wire.clear()
    kept = tensors.pop(4)
    tensors.clear()
    assert kept.tolist() == [1.0, 1.0]
    (batch,) = wire.batches
    assert list(batch.released) == [1, 4, 6, 5]
    assert list(wire.loopback.worker.store.entries) == [5]


def test_handles_are_released_after_the_calls_that_they_ride_with(wire: Wire) -> None:
    x = gw.ones(2)
    wire.clear()
    x = x + 1
    assert x.tolist() == [2.0, 2.0]
    (batch,) = wire.batches
    assert (list(batch.inputs), list(batch.released)) == ([1, 2], [1, 1])


# ---------------------------------------------------------------- credits and waits
class Watched(Loopback):
    """Notes how many batches were on their way at most."""

    most_unread = 0

    def send(self, message: bytes) -> None:
        super().send(message)
        self.most_unread = max(self.most_unread, len(self._replies))


def test_a_client_without_credit_reads_before_it_sends(wire: Wire) -> None:
    watched = Watched()
    session = sessions.use(Session(watched))
    x = gw.ones(2)
    for _ in range(20):
        x = x + 1
        session.flush()
    assert session.welcome.max_unacked_batches == watched.most_unread == 4
    assert len(watched._replies) == 4
    assert session.statistics().waits == 0
    session.wait()
    assert watched._replies == []


def test_a_refused_call_neither_waits_nor_sends(wire: Wire) -> None:
    x, y = gw.ones(2), gw.ones(3)
    wire.clear()
    before = wire.session.statistics()
    with pytest.raises(RuntimeError, match=r"size of tensor a \(2\) must match"):
        x + y
    with pytest.raises(IndexError, match="Dimension out of range"):
        x.sum(3)
    with pytest.raises(TypeError, match="must be Tensor, not str"):
        gw.mm(x, "y")
    wire.session.flush()
    assert wire.session.statistics() == before
    assert (x + 1).tolist() == [2.0, 2.0]


def training(wire: Wire, name: str) -> Any:
    """Return a training step of a small model, run twice: afterwards nothing is new any more."""
    model = gw.nn.Sequential(gw.nn.Linear(3, 5), gw.nn.ReLU(), gw.nn.Linear(5, 2))
    options = {"lr": 0.1, "momentum": 0.9} if name == "SGD" else {"lr": 0.1}
    optimizer = getattr(gw.optim, name)(model.parameters(), **options)
    inputs, labels = gw.ones(4, 3), gw.tensor([0, 1, 0, 1])

    def step() -> Any:
        optimizer.zero_grad()
        loss = gw.nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        step()
    wire.clear()
    return step


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_training_step_waits_for_nothing_and_says_nothing_new(wire: Wire, name: str) -> None:
    step = training(wire, name)
    before = wire.session.statistics()
    for _ in range(5):
        loss = step()
    after = wire.session.statistics()
    assert (after.waits, after.signatures) == (before.waits, before.signatures)
    # The update rides with the next forward, and steps that closely follow each other ride together.
    assert after.messages - before.messages == 1
    assert wire.ops == []
    assert loss.item() > 0
    assert wire.session.statistics().waits == after.waits + 1


def test_metadata_is_known_without_a_wait(wire: Wire) -> None:
    x = gw.ones(2, 3, requires_grad=True)
    y = (x @ x.mT).sum(0, keepdim=True)
    assert (tuple(y.shape), y.dtype, y.stride(), y.requires_grad, y.is_leaf) == (
        (1, 2),
        gw.float32,
        (2, 1),
        True,
        False,
    )
    assert y.grad_fn is not None
    assert (wire.session.statistics().waits, wire.batches) == (0, [])


# ---------------------------------------------------------------- signatures
def test_a_signature_is_interned_once(wire: Wire) -> None:
    x = gw.ones(2)
    for _ in range(5):
        x = (x + x) * x
        wire.session.flush()
    assert wire.ops == ["full", "add.Tensor", "mul.Tensor"]
    assert [batch.first_signature for batch in wire.batches if batch.signatures] == [0]
    assert [list(batch.calls) for batch in wire.batches] == [[0, 1, 2], *[[1, 2]] * 4]
    assert wire.session.statistics().signatures == 3


def test_numbers_that_vary_ride_in_columns_and_make_nothing_new(wire: Wire) -> None:
    x = gw.ones(2)
    wire.clear()
    ys = [x * (1 / (i + 1)) for i in range(10)]
    wire.session.flush()
    (batch,) = wire.batches
    assert len(batch.signatures) == 1
    assert list(batch.floats) == [1 / (i + 1) for i in range(10)]
    assert (list(batch.ints), ys[4].tolist()) == ([], pytest.approx([0.2, 0.2]))


def test_each_kind_of_number_is_a_signature_of_its_own(wire: Wire) -> None:
    x = gw.ones(2)
    wire.clear()
    ys = [x * number for number in (2.0, 2, True, 2j, 3.0, 3, False, 3j)]
    wire.session.flush()
    (batch,) = wire.batches
    assert len(batch.signatures) == 4
    assert list(batch.floats) == [2.0, 0.0, 2.0, 3.0, 0.0, 3.0]
    assert list(batch.ints) == [2, 1, 3, 0]
    assert [y.dtype for y in ys[:4]] == [gw.float32, gw.float32, gw.float32, gw.complex64]


def test_shapes_dtypes_and_requires_grad_are_part_of_a_signature(wire: Wire) -> None:
    inputs = [gw.ones(2), gw.ones(3), gw.ones(2, dtype=gw.float64), gw.ones(2, requires_grad=True)]
    wire.clear()
    outputs = [x.sin() for x in inputs * 3]
    wire.session.flush()
    assert wire.ops == ["sin"] * 4
    assert outputs[3].requires_grad


# ---------------------------------------------------------------- sessions apart
def test_tensors_of_two_sessions_do_not_mix(wire: Wire) -> None:
    x = gw.ones(2)
    wire.clear()
    other, _ = open_loopback()
    sessions.use(other)
    y = gw.ones(2)
    for mix in (lambda: x + y, lambda: y.mul_(x), lambda: gw.cat([y, x]), lambda: gw.where(x > 0, x, y)):
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device, but found at least two"):
            mix()
    assert (x + 1).tolist() == [2.0, 2.0]
    assert (y + gw.tensor(x.numpy())).tolist() == [2.0, 2.0]


# ---------------------------------------------------------------- what cannot be sent
@pytest.mark.parametrize(
    "attempt",
    [
        lambda x: x * 2**70,
        lambda x: gw.full((2,), 2**64),
        lambda x: x.roll(2**70),
        lambda x: x.expand(2**70, 2),
        lambda x: x.expand(2**40, 2**40, 2),
        lambda x: gw.zeros([1] * 65),
    ],
    ids=["number", "fill value", "static", "shape", "elements", "axes"],
)
def test_what_the_wire_cannot_hold_is_refused_at_its_line_and_harms_nothing(wire: Wire, attempt: Any) -> None:
    x = gw.ones(2)
    with pytest.raises((RuntimeError, OverflowError, ValueError, TypeError)):
        attempt(x)
    assert (x.sin().exp() * 0 + 1).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("attempt", "error", "words"),
    [
        (lambda: gw.tensor(2**63), RuntimeError, "Overflow when unpacking long"),
        (lambda: gw.tensor([2**70]), RuntimeError, "Overflow when unpacking long"),
        (lambda: gw.full((1,), "x"), TypeError, "must be Number, not str"),
    ],
)
def test_numbers_that_no_tensor_holds_are_refused(wire: Wire, attempt: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        attempt()
