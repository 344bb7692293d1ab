"""A fuzz input: the batches of one session, in order, each behind its length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError

from gradwire_protocol.v1 import call_pb2

__all__ = ["MOST_BATCHES", "decode", "encode"]

MOST_BATCHES = 64
_LENGTH_BYTES = 4


def encode(batches: Iterable[call_pb2.Batch]) -> bytes:
    """Return the input that stands for these batches."""
    messages = [batch.SerializeToString() for batch in batches]
    return b"".join(len(message).to_bytes(_LENGTH_BYTES, "little") + message for message in messages)


def decode(data: bytes) -> Sequence[call_pb2.Batch]:
    """Return the batches of an input; bytes that are no batch are left out, as gRPC would leave them out."""
    batches: list[call_pb2.Batch] = []
    position = 0
    while position + _LENGTH_BYTES <= len(data) and len(batches) < MOST_BATCHES:
        start = position + _LENGTH_BYTES
        position = start + int.from_bytes(data[position:start], "little")
        try:
            batches.append(call_pb2.Batch.FromString(data[start:position]))
        except DecodeError:
            continue
    return batches
