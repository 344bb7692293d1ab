"""What is no message at all, on real streams of a real worker: the call ends, and nobody else notices."""

from __future__ import annotations

import os
from collections.abc import Iterator

import grpc
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire_protocol import limits
from gradwire_protocol.registry import table_digest
from gradwire_protocol.v1 import worker_pb2
from tests.system.test_worker import Worker, connect

pytestmark = pytest.mark.system

HELLO = worker_pb2.Hello(protocol_version=limits.PROTOCOL_VERSION, op_table_digest=table_digest())
GREETING = worker_pb2.ClientFrame(hello=HELLO).SerializeToString()
STREAMS = {
    "no message": [b"\xff\xff\xff"],
    "no message after a greeting": [GREETING, b"\xff" * 10],
    "a cut message": [GREETING, worker_pb2.ClientFrame(hello=HELLO).SerializeToString()[:-3]],
    "random bytes": [GREETING, os.urandom(4000)],
    "nothing in a message": [b""],
    "two greetings": [GREETING, GREETING],
    "more than a message may have": [b"a" * (limits.MAX_MESSAGE_BYTES + 1)],
}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    running = Worker()
    yield running
    running.process.terminate()
    assert running.process.stderr is not None
    log = running.process.stderr.read()
    running.close()
    # Who sends such bytes must not be able to fill the log with traces.
    assert "Traceback" not in log, log


@pytest.mark.parametrize("name", STREAMS)
def test_bytes_that_are_no_message_end_their_call_alone(name: str, worker: Worker) -> None:
    session = connect(worker)
    previous, sessions._current = sessions._current, session
    try:
        held = gw.ones(3)
        with grpc.insecure_channel(worker.address) as channel:
            call = channel.stream_stream("/gradwire.v1.Worker/Run", None, None)(iter(STREAMS[name]), timeout=20)
            frames = []
            try:
                frames.extend(worker_pb2.WorkerFrame.FromString(message).WhichOneof("frame") for message in call)
            except grpc.RpcError as error:
                assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
            else:
                assert name in ("nothing in a message", "two greetings"), frames  # which decode
        assert (held + 1).tolist() == [2, 2, 2]
    finally:
        session.close()
        sessions._current = previous
