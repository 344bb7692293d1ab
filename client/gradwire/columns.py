"""The batch that a session is filling: calls as packed columns, and what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gradwire import callsite
from gradwire_protocol import codec
from gradwire_protocol.signature import Signature
from gradwire_protocol.v1 import call_pb2, tensor_pb2

__all__ = ["Columns", "encoded_signature"]

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


@dataclass(slots=True)
class Columns:
    """The batch that is being filled."""

    first_handle: int
    first_signature: int  # of those in this batch, counted from the start of the worker's table
    reset_signatures: bool = False
    signatures: list[call_pb2.Signature] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    floats: list[float] = field(default_factory=list)
    ints: list[int] = field(default_factory=list)
    tensors: list[tensor_pb2.InlineTensor] = field(default_factory=list)
    sites: list[callsite.Site] = field(default_factory=list)
    programs: list[bytes] = field(default_factory=list)
    tensor_bytes: int = 0
    heavy_calls: int = 0  # that may wait for others

    def push(self, scalars: Sequence[Any]) -> None:
        """Append the numbers that vary of one call, each to the column of its kind.

        Raises OverflowError, as PyTorch does, before anything is appended if one does not fit in 64 bits.
        """
        if any(isinstance(value, int) and not _LEAST <= value <= _MOST for value in scalars):
            raise OverflowError("int too big to convert")
        for value in scalars:
            if type(value) is float:
                self.floats.append(value)
            elif type(value) is complex:
                self.floats += (value.real, value.imag)
            elif value is not None:
                self.ints.append(int(value))  # protobuf takes no bool for an integer

    def fill_rare(self, batch: call_pb2.Batch) -> None:
        """Add the columns that most batches of one call leave empty: setting an empty one costs as much as a full one."""
        if self.signatures:
            batch.first_signature = self.first_signature
            batch.signatures.extend(self.signatures)
            batch.reset_signatures = self.reset_signatures
            batch.programs.extend(self.programs)
        if self.floats:
            batch.floats.extend(self.floats)
        if self.ints:
            batch.ints.extend(self.ints)
        if self.tensors:
            batch.tensors.extend(self.tensors)


def encoded_signature(signature: Signature) -> call_pb2.Signature:
    """Return a signature as it travels; raise OverflowError, as PyTorch does, if a number does not fit in 64 bits."""
    try:
        return codec.encode_signature(signature)
    except ValueError:
        raise OverflowError("int too big to convert") from None
