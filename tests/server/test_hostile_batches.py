"""What a client of gradwire's own never sends, and a hostile one does: batches that would take time or memory without end.

Each ends in a refusal at once, and the session goes on. A case that hangs ends its test by `faulthandler_timeout`, and fails by
the seconds that it took where it ends at all.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gradwire_protocol import codec, limits, meta, program_codec
from gradwire_protocol.dtypes import bool_, float32
from gradwire_protocol.errors import BatchMalformed
from gradwire_protocol.meta import Meta
from gradwire_protocol.program import Loop, Program, ProgramCall, loop_signature
from gradwire_protocol.v1 import call_pb2, program_pb2, tensor_pb2
from gradwire_server.backend import open_backend
from gradwire_server.peers import offers
from gradwire_server.quota_settings import Quotas
from gradwire_server.quotas import Tenant
from gradwire_server.session import Session
from gradwire_server.store import PinnedNode, Store

VECTOR = Meta.of((3,), float32)
SECONDS = 5.0  # what a refusal takes at most, on a busy machine


def new_session() -> Session:
    session = Session(open_backend("cpu"))
    session.store.define(1, session.engine.new(np.ones(3, np.float32), VECTOR))
    session.store.next_handle = 2
    return session


def signed(op: str, metas: Sequence[Any] = (), statics: Sequence[Any] = (), **fields: Any) -> call_pb2.Signature:
    return call_pb2.Signature(
        op=op,
        metas=[item if isinstance(item, tensor_pb2.TensorMeta) else codec.encode_meta(item) for item in metas],
        statics=[codec._encode_static(value) for value in statics],
        default_dtype=float32.code,
        **fields,
    )


def apply(session: Session, signature: call_pb2.Signature, inputs: Sequence[int] = (), **fields: Any) -> call_pb2.Ack:
    """Send one call."""
    batch = call_pb2.Batch(
        number=session.applied + 1,
        first_handle=session.store.next_handle,
        first_signature=len(session._signatures),
        signatures=[signature],
        calls=[len(session._signatures)],
        inputs=inputs,
        acknowledged=session.applied,
        **fields,
    )
    with session.engine.backend.active():
        return session.apply(batch)


def first_error(ack: call_pb2.Ack) -> str:
    return ack.refused.error if ack.HasField("refused") else ack.failures[0].error


def in_time(action: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    found = action()
    assert time.perf_counter() - began < SECONDS
    return found


def is_usable(session: Session) -> bool:
    ack = apply(session, signed("neg", [VECTOR]), [1])
    return not ack.HasField("refused") and not ack.failures


LONG = (1 << 62,) * 100_000
CALLS = {
    "a meta of many axes": lambda: signed("neg", [tensor_pb2.TensorMeta(dtype=float32.code, shape=LONG)]),
    "a size of many axes": lambda: signed("gw::constant", [], [LONG, float32]),
    "a negative size": lambda: signed("gw::constant", [], [(-1,), float32]),
    "more flags than tensors": lambda: signed("neg", [VECTOR], needs=b"\xff" * 1_000_000),
    "a sum of terms without end": lambda: signed("mvlgamma", [VECTOR], [1 << 62]),
    "a mask that is none": lambda: signed("gw::masked_select", [VECTOR, VECTOR], [3]),
    "more than a mask may pick": lambda: signed("gw::masked_select", [VECTOR, Meta.of((3,), bool_)], [4]),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_without_end_is_refused_at_once(name: str) -> None:
    session = new_session()
    signature = CALLS[name]()
    ack = in_time(lambda: apply(session, signature, [1] * len(signature.metas)))
    assert ack.HasField("refused") and first_error(ack) in ("RuntimeError", "BatchMalformed", "LimitExceeded")
    assert is_usable(session)


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (1, 0, 2, 2)])
def test_padding_is_no_way_to_take_memory_or_time(shape: tuple[int, ...]) -> None:
    session, image = new_session(), Meta.of(shape, float32)
    session.store.define(2, session.engine.new(np.ones(shape, np.float32), image))
    session.store.next_handle = 3
    wide = 1 << 30
    statics = [(wide, wide), (wide, wide), (wide // 2, wide // 2), (1, 1), False]
    ack = in_time(lambda: apply(session, signed("max_pool2d_with_indices", [image], statics), [2]))
    assert first_error(ack) in ("LimitExceeded", "RuntimeError") and is_usable(session)


def test_a_mask_that_is_true_less_often_than_its_call_says_is_refused() -> None:
    session, mask = new_session(), Meta.of((3,), bool_)
    session.store.define(2, session.engine.new(np.array([True, False, True]), mask))
    session.store.next_handle = 3
    ack = apply(session, signed("gw::masked_select", [VECTOR, mask], [3]), [1, 2])
    assert first_error(ack) == "RuntimeError" and "3 times" in ack.failures[0].message


def test_a_batch_has_no_more_calls_than_the_limit() -> None:
    session = new_session()
    apply(session, signed("neg", [VECTOR]), [1])
    count = limits.MAX_BATCH_CALLS + 1
    batch = call_pb2.Batch(number=2, first_handle=session.store.next_handle, calls=[0] * count, inputs=[1] * count)
    ack = session.apply(batch)
    assert ack.refused.error == "LimitExceeded" and str(limits.MAX_BATCH_CALLS) in ack.refused.message
    del batch.calls[-1], batch.inputs[-1]
    with session.engine.backend.active():
        assert not session.apply(batch).HasField("refused")


def test_answers_that_nobody_acknowledges_are_not_kept_without_end() -> None:
    session = new_session()
    for number in range(1, 2 * limits.MAX_UNACKED_BATCHES + 1):
        assert not session.apply(call_pb2.Batch(number=number, first_handle=2)).HasField("refused")
    batch = call_pb2.Batch(number=session.applied + 1, first_handle=2)
    assert session.apply(batch).refused.error == "QuotaExceeded"
    assert session.meter.rejections == {"answers": 1}
    batch.acknowledged = session.applied
    assert not session.apply(batch).HasField("refused")
    assert len(session._answers) == 1


def test_answers_that_nobody_acknowledges_are_bounded_by_their_bytes() -> None:
    session, refused = new_session(), 0
    meta = Meta.of((limits.INLINE_BYTES // 4,), float32)
    session.store.define(2, session.engine.new(np.ones(meta.shape, np.float32), meta))
    apply(session, signed("gw::fetch", [meta]), [2])
    calls = limits.MAX_BATCH_CALLS
    while not refused and session.applied < 2 * limits.MAX_UNACKED_BATCHES:
        batch = call_pb2.Batch(number=session.applied + 1, first_handle=9, calls=[0] * calls, inputs=[2] * calls)
        refused += session.apply(batch).HasField("refused")
    kept_bytes = sum(ack.ByteSize() for _, ack, _ in session._answers.values())
    assert refused and session.meter.rejections == {"answers": 1}
    assert kept_bytes <= 8 * limits.MAX_MESSAGE_BYTES + calls * 2 * limits.INLINE_BYTES
    batch.acknowledged = session.applied
    assert not session.apply(batch).HasField("refused")


def test_interned_signatures_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    session = new_session()
    large = signed("cat", [VECTOR] * 1000, [0], lengths=[1000])
    monkeypatch.setattr(limits, "MAX_SIGNATURE_BYTES", 5 * large.ByteSize())
    errors = []
    for _ in range(6):
        batch = call_pb2.Batch(
            number=session.applied + 1, first_handle=2, first_signature=len(session._signatures), signatures=[large]
        )
        errors.append(session.apply(batch).refused.error)
    assert errors[0] == "" and errors[-1] == "LimitExceeded"
    batch = call_pb2.Batch(number=session.applied + 1, first_handle=2, signatures=[large], reset_signatures=True)
    assert not session.apply(batch).HasField("refused")


def test_texts_of_a_failure_are_cut() -> None:
    session = new_session()
    place = "x" * 1_000_000
    ack = apply(session, signed("gw::drop_saved", [Meta.of((0,), bool_)], [place]), [1])
    assert ack.ByteSize() < 10_000
    assert first_error(ack) == "BatchMalformed"


def test_a_graph_node_is_no_tensor_even_for_an_op_on_tensors_of_its_meta() -> None:
    session, node = new_session(), Meta.of((0,), bool_)
    session.store.define(2, PinnedNode(session.store.entries[1]))  # type: ignore[arg-type]
    session.store.next_handle = 3
    for _ in range(3):  # the second and third of a signature run prepared
        assert first_error(apply(session, signed("logical_not", [node]), [2])) == "HandleNotFound"
    assert is_usable(session)


def test_a_ticket_that_is_none_does_not_end_the_session_where_its_call_fails_before() -> None:
    session = new_session()
    ack = apply(session, signed("gw::offer", [VECTOR], kinds="ii"), [77], ints=[-1, -1])
    assert first_error(ack) == "HandleNotFound" and is_usable(session)


@pytest.mark.parametrize("early", [False, True])
def test_releasing_ranges_without_end_takes_no_time(early: bool) -> None:
    store = Store()
    kept = [0, 5, 30_000]
    for handle in range(30_001):
        store.entries[handle] = None  # type: ignore[assignment]
    ranges = [1, 4, 6, 29_994] * 20_000 + [40_000, (1 << 64) - 1] * 20_000
    if early:
        in_time(lambda: store.release_early(ranges, {7}, 30_000))
        assert sorted(store.entries) == [0, 5, 7, 30_000]
    else:
        in_time(lambda: store.release(ranges))
        assert sorted(store.entries) == kept


# ---------------------------------------------------------------- what the process keeps
def test_metas_and_their_messages_go_with_the_last_that_has_them() -> None:
    session = new_session()
    gc.collect()
    before = len(meta._INTERNED)
    for size in range(100_000, 102_000):
        shape = Meta.of((size, 1), float32)
        codec.encode_meta(shape)
        apply(session, signed("neg", [shape]), [1], reset_signatures=True) if size % 100 == 0 else None
    del shape
    session._signatures.clear()
    session._needs.clear()
    gc.collect()
    assert len(meta._INTERNED) < before + 100 and len(meta._CONTIGUOUS) < before + 100


def test_a_meta_is_one_object_as_long_as_anything_has_it() -> None:
    first = Meta.of((123_457, 3), float32)
    assert Meta.of((123_457, 3), float32) is first
    assert Meta.strided((123_457, 3), float32, (3, 1)) is first
    assert codec.encode_meta(first) is codec.encode_meta(Meta.of((123_457, 3), float32))


# ---------------------------------------------------------------- programs
OUTSIDE = {
    "gw::receive": ([], [(3,), float32, ""], "ii"),
    "gw::offer": ([VECTOR], [], "ii"),
    "gw::fetch": ([VECTOR], [], ""),
    "gw::upload": ([], [(3,), float32], "i"),
    "gw::reachable": ([], ["127.0.0.1:1", ""], ""),
    "gw::anchor": ([VECTOR], [], ""),
    "gw::leave": ([], ["group"], ""),
    "gw::drop_saved": ([Meta.of((0,), bool_)], ["self.0"], ""),
}


@pytest.mark.parametrize("op", OUTSIDE)
def test_a_program_holds_no_call_that_reaches_out_of_it(op: str) -> None:
    metas, statics, kinds = OUTSIDE[op]
    message = program_pb2.Program(
        inputs=[codec.encode_meta(item) for item in metas], signatures=[signed(op, metas, statics, kinds=kinds)]
    )
    message.calls.add(inputs=range(1, len(metas) + 1), numbers=[program_pb2.Program.Number(integer=1) for _ in kinds])
    with pytest.raises(BatchMalformed, match=f"a program runs no {op}"):
        program_codec.decode_program(message)


def looped(kinds: tuple[type, ...] = ()) -> Program:
    signature = codec.decode_signature(signed("neg", [VECTOR]))
    return Program((VECTOR,), kinds, (ProgramCall(signature, (0,)),), (1,))


def test_a_loop_s_tensors_are_such_as_tensors_can_be() -> None:
    for loop in (Loop(1, (1 << 62,), (0,), (0,)), Loop(65_536, (1 << 55,), (0,), (1,))):
        loop.check(looped())
        with pytest.raises(RuntimeError, match="numel: integer multiplication overflow"):
            loop_signature(looped(), "", loop)


def test_a_loop_has_no_more_numbers_than_a_message_holds() -> None:
    with pytest.raises(BatchMalformed, match="do not fit"):
        Loop(65_536, (0,), (0,), (0,)).check(looped((float,) * 1000))
    with pytest.raises(BatchMalformed, match="at most 65536 results"):
        Loop(1, (0,), (0,), (0,) * 65_537).check(looped())


def run_of(digest: str, needs: bytes = b"") -> call_pb2.Signature:
    return signed("gw::program", [VECTOR], [digest], lengths=[1], needs=needs)


def sent(factor: float) -> tuple[bytes, str]:
    """Return an encoded program, which differs from others by a constant, and its name."""
    signature = codec.decode_signature(signed("mul.Scalar", [VECTOR], kinds="f"))
    message = program_codec.encode_program(Program((VECTOR,), (), (ProgramCall(signature, (0,), (factor,)),), (1,)))
    return message.SerializeToString(), program_codec.digest_of(message)


def test_programs_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    session = new_session()
    encoded, _ = sent(0.0)
    monkeypatch.setattr(limits, "MAX_PROGRAM_BYTES", 3 * len(encoded))
    errors = []
    for turn in range(5):
        encoded, digest = sent(float(turn + 2))
        errors.append(apply(session, run_of(digest), [1], programs=[encoded]).refused.error)
    assert errors[0] == "" and errors[-1] == "LimitExceeded"
    assert len(session.programs._known) == len(session.programs._shared._known) <= 3
    assert is_usable(session)


def test_a_program_is_prepared_for_a_bounded_number_of_inputs_that_require_grad(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gradwire_server.programs.table._MOST_LOADED", 1)
    session = new_session()
    encoded, digest = sent(2.0)
    assert not apply(session, run_of(digest), [1], programs=[encoded]).failures
    assert first_error(apply(session, run_of(digest, b"\1"), [1])) == "LimitExceeded"
    assert first_error(apply(session, run_of(digest, b"\1" * 100_000), [1])) == "BatchMalformed"
    assert not apply(session, run_of(digest), [1]).failures


def test_a_program_gives_a_bounded_number_of_results() -> None:
    message = program_codec.encode_program(looped())
    message.outputs.extend([1] * limits.MAX_OUTPUTS)
    with pytest.raises(BatchMalformed, match="at most 65536 results"):
        program_codec.decode_program(message)


# ---------------------------------------------------------------- past the quotas
def limited(**quotas: int) -> Session:
    session = Session(open_backend("cpu"), tenant=Tenant(Quotas(**quotas)))
    session.store.define(1, session.engine.new(np.ones(3, np.float32), VECTOR))
    session.store.next_handle = 2
    return session


def test_tensors_that_wait_to_be_fetched_count_as_held() -> None:
    session = limited(session_bytes=100)
    errors = [apply(session, OFFER, [1], ints=[7, turn]).failures for turn in range(12)]
    assert not errors[0] and errors[-1][0].error == "QuotaExceeded"
    assert offers.of_process.held_by(session.token) <= 100
    for turn in range(12):
        ticket = offers.ticket_of(7, turn)
        if ticket in offers.of_process._held:
            offers.of_process.take(ticket, 0)
    assert not apply(session, OFFER, [1], ints=[8, 1]).failures


OFFER = signed("gw::offer", [VECTOR], kinds="ii")


@pytest.mark.parametrize("handle", [1, 99])
def test_tickets_of_tensors_and_of_failures_are_bounded(handle: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradwire_server.peers.offers._MAX_OFFERED", 5)
    session = new_session()
    acks = [apply(session, OFFER, [handle], ints=[9, turn]) for turn in range(8)]
    assert sum(held[0] == session.token for held in offers.of_process._held.values()) == 5
    assert first_error(acks[-1]) == ("LimitExceeded" if handle == 1 else "HandleNotFound")
    assert is_usable(session)


def test_what_failed_takes_no_handles_without_end_where_they_have_a_quota() -> None:
    session = limited(session_handles=10)
    many = signed("unbind.int", [Meta.of((1000, 1), float32)], [0])
    for _ in range(3):
        assert first_error(apply(session, many, [1])) in ("QuotaExceeded", "BatchMalformed")
    assert len(session.store.entries) <= 20
    assert first_error(apply(session, signed("neg", [VECTOR]), [1500])) == "HandleNotFound"
