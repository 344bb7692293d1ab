"""A program that a hostile client sends: its batch is refused, and the session goes on."""

from __future__ import annotations

import pytest

from gradwire_protocol import codec, dtypes
from gradwire_protocol.meta import Meta
from gradwire_protocol.v1 import call_pb2, program_pb2
from gradwire_server.backend import open_backend
from gradwire_server.session import Session

MATRIX = codec.encode_meta(Meta.of((2, 3), dtypes.float32))


def signature(op: str, metas: int, kinds: str = "") -> call_pb2.Signature:
    """Return a signature over matrices that cannot be multiplied with each other."""
    return call_pb2.Signature(op=op, metas=[MATRIX] * metas, kinds=kinds, default_dtype=MATRIX.dtype)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (signature("mm", 2), "RuntimeError"),
        (signature("add.Tensor", 2, "n"), "TypeError"),
        (signature("nonsense", 2), "UnknownOp"),
        (signature("mm", 1), "BatchMalformed"),
    ],
)
def test_a_program_that_a_shape_rule_refuses_refuses_its_batch(bad: call_pb2.Signature, error: str) -> None:
    session = Session(open_backend("cpu"))
    program = program_pb2.Program(inputs=[MATRIX], signatures=[bad])
    batch = call_pb2.Batch(
        number=1, first_handle=1, signatures=[signature("relu", 1)], programs=[program.SerializeToString()]
    )
    ack = session.apply(batch)
    assert ack.refused.error == error
    assert session.applied == 0
    del batch.programs[:]
    assert not session.apply(batch).HasField("refused")
