"""Mends a mutated input, so far that the session looks further than at its outline: numbers, metas, lengths of columns."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from gradwire_protocol import codec, limits
from gradwire_protocol.program import Loop, Program, loop_signature, program_signature
from gradwire_protocol.program_codec import decode_program, digest_of
from gradwire_protocol.signature import Signature
from gradwire_protocol.v1 import call_pb2, program_pb2, tensor_pb2

__all__ = ["repair"]

_MOST_INLINE_BYTES = 4096


def repair(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    """Number batches, signatures and handles anew, and give calls the metas of their handles and columns that fit."""
    state = _Client(rng)
    for batch in batches:
        state.mend(batch)


class _Client:
    """What a client would know: the signatures it sent, and the meta behind each handle."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._number, self._handle = 0, 1
        self._messages: list[call_pb2.Signature] = []
        self._signatures: list[Signature | None] = []
        self._programs: dict[str, Program] = {}
        self._metas: dict[int, tensor_pb2.TensorMeta] = {}

    def mend(self, batch: call_pb2.Batch) -> None:
        """Mend one batch, the next."""
        if batch.reset_signatures:
            self._messages, self._signatures = [], []
        self._number += 1
        batch.number, batch.first_signature, batch.first_handle = self._number, len(self._messages), self._handle
        batch.acknowledged = self._number - 1
        self._messages += batch.signatures
        self._signatures += [None] * len(batch.signatures)
        self._learn(batch.programs)
        new = range(batch.first_signature, len(self._messages))
        inputs, floats, ints, tensors = (
            list(column) for column in (batch.inputs, batch.floats, batch.ints, batch.tensors)
        )
        kept: list[int] = []
        columns: dict[str, list[Any]] = {"inputs": [], "floats": [], "ints": [], "tensors": []}
        for number in list(batch.calls)[: limits.MAX_BATCH_CALLS]:
            if number >= len(self._messages):
                number = self._rng.randrange(len(self._messages)) if self._messages else 0
            handles = [inputs.pop(0) if inputs else self._any_handle() for _ in self._tensors(number)]
            signature = self._resolved(number, handles, number in new)
            if signature is None:
                continue  # its call would have the whole batch refused
            kept.append(number)
            columns["inputs"] += handles
            columns["floats"] += [floats.pop(0) if floats else 1.0 for _ in range(signature.float_count)]
            columns["ints"] += [ints.pop(0) if ints else 1 for _ in range(signature.int_count)]
            if signature.op.name == "gw::constant":
                columns["tensors"].append(
                    _sized(tensors.pop(0) if tensors else call_pb2.Batch().tensors.add(), signature)
                )
            if signature.op.name == "gw::set_data" and handles[1] in self._metas:
                self._metas[handles[0]] = self._metas[handles[1]]
            for meta in signature.outputs:
                self._metas[self._handle] = codec.encode_meta(meta)
                self._handle += 1
        batch.ClearField("calls")
        batch.calls.extend(kept)
        for name, values in columns.items():
            batch.ClearField(name)  # type: ignore[arg-type]
            getattr(batch, name).extend(values)
        if len(batch.released) % 2:
            batch.released.append(1)

    def _tensors(self, number: int) -> Any:
        known = self._signatures[number] if number < len(self._messages) else None
        return (
            known.metas if known is not None else self._messages[number].metas if number < len(self._messages) else ()
        )

    def _decoded(self, message: call_pb2.Signature) -> Signature:
        if message.op not in ("gw::program", "gw::loop"):
            return codec.decode_signature(message)
        digest, *described = [codec.decode_static(static) for static in message.statics]
        program = self._programs[digest]
        if message.op == "gw::program":
            return program_signature(program, digest, int.from_bytes(message.needs, "little"))
        loop = Loop(*described)
        loop.check(program)
        return loop_signature(program, digest, loop)

    def _learn(self, programs: Iterable[bytes]) -> None:
        for encoded in programs:
            try:
                program = program_pb2.Program.FromString(encoded)
                self._programs[digest_of(program)] = decode_program(program)
            except Exception:
                continue  # the session refuses it too

    def _any_handle(self) -> int:
        return self._rng.choice(list(self._metas)) if self._metas else 0

    def _resolved(self, number: int, handles: list[int], is_new: bool) -> Signature | None:
        """Return the signature of a call, whose metas become those of its handles if this batch brings it."""
        if number >= len(self._messages):
            return None
        message, found = self._messages[number], self._signatures[number]
        if found is None and is_new:
            for index, handle in enumerate(handles):
                if handle in self._metas and self._rng.random() < 0.97:
                    message.metas[index].CopyFrom(self._metas[handle])
            try:
                found = self._signatures[number] = self._decoded(message)
            except Exception:
                return None
        if found is not None and found.op.name == "gw::constant" and found.outputs[0].nbytes > _MOST_INLINE_BYTES:
            return None
        return found


def _sized(tensor: tensor_pb2.InlineTensor, signature: Signature) -> tensor_pb2.InlineTensor:
    """Give an inline tensor as many bytes as its call says."""
    wanted = signature.outputs[0].nbytes
    tensor.data = (tensor.data * (wanted // max(len(tensor.data), 1) + 1))[:wanted].ljust(wanted, b"\1")
    return tensor
