"""Programs to protobuf and back. The digest of the encoding is a program's name."""

from __future__ import annotations

import hashlib
from typing import Any

from gradwire_protocol import codec, limits
from gradwire_protocol.errors import BatchMalformed
from gradwire_protocol.program import ABSENT, Program, ProgramCall, Varying
from gradwire_protocol.signature import Signature
from gradwire_protocol.v1 import program_pb2

__all__ = ["decode_program", "digest_of", "encode_program"]

# The control ops that a program may run: those which know only its own values and their graph, and wait for nobody.
_CONTROLS = frozenset((
    "gw::attach", "gw::backward", "gw::backward_part", "gw::checkpoint", "gw::constant", "gw::data", "gw::function", "gw::grad_fn",
    "gw::next_function", "gw::restore_saved", "gw::saved",
))  # fmt: skip

_Number = program_pb2.Program.Number


def digest_of(message: program_pb2.Program) -> str:
    """Return the name of an encoded program."""
    return hashlib.blake2b(message.SerializeToString(deterministic=True), digest_size=16).hexdigest()


def encode_program(program: Program) -> program_pb2.Program:
    """Return the message of a program; each signature is in it once."""
    numbers: dict[int, int] = {}
    message = program_pb2.Program(inputs=[codec.encode_meta(meta) for meta in program.inputs], outputs=program.outputs)
    message.kinds = codec.encode_kinds(program.kinds)
    for call in program.calls:
        number = numbers.setdefault(id(call.signature), len(numbers))
        if number == len(message.signatures):
            message.signatures.append(codec.encode_signature(call.signature))
        message.calls.add(
            signature=number,
            inputs=[value + 1 for value in call.inputs],
            numbers=[_encode_number(value) for value in call.numbers],
            data=call.data,
        )
    return message


def _encode_number(value: Any) -> program_pb2.Program.Number:
    if value is None:
        return _Number()
    if isinstance(value, Varying):
        return _Number(varying=value.index)
    if isinstance(value, bool):
        return _Number(boolean=value)
    if isinstance(value, int):
        return _Number(integer=value)
    if isinstance(value, float):
        return _Number(real=value)
    return _Number(complex=_Number.Complex(real=value.real, imaginary=value.imag))


def _decode_number(message: program_pb2.Program.Number, kinds: tuple[type, ...]) -> tuple[type, Any]:
    """Return a number and its type."""
    which = message.WhichOneof("value")
    if which is None:
        return type(None), None
    if which == "varying":
        if message.varying >= len(kinds):
            raise BatchMalformed(f"a program with {len(kinds)} varying numbers names number {message.varying}")
        return kinds[message.varying], Varying(message.varying)
    value = getattr(message, which)
    if which == "complex":
        value = complex(value.real, value.imaginary)
    return type(value), value


def decode_program(message: program_pb2.Program) -> Program:
    """Check and resolve a program; raise BatchMalformed where a call does not fit the values it names."""
    inputs = [codec.decode_meta(meta) for meta in message.inputs]
    if any(meta is None for meta in inputs):
        raise BatchMalformed("a program's inputs must have a dtype; one has none")
    if len(message.signatures) > limits.MAX_SIGNATURES:
        raise BatchMalformed(f"a program may have {limits.MAX_SIGNATURES} signatures; got {len(message.signatures)}")
    kinds = codec.decode_kinds(message.kinds)
    signatures = [codec.decode_signature(item) for item in message.signatures]
    metas: list[Any] = list(inputs)
    calls = []
    for item in message.calls:
        call = _decode_call(item, signatures, kinds)
        _check_call(call, metas)
        metas.extend(call.signature.outputs)
        calls.append(call)
    if len(message.outputs) > limits.MAX_OUTPUTS:
        raise BatchMalformed(f"a program gives at most {limits.MAX_OUTPUTS} results; got {len(message.outputs)}")
    if any(not len(inputs) <= value < len(metas) for value in message.outputs):
        raise BatchMalformed("a program's outputs must be results of its calls; one is not")
    return Program(tuple(inputs), kinds, tuple(calls), tuple(message.outputs))  # type: ignore[arg-type]


def _decode_call(
    message: program_pb2.Program.Call, signatures: list[Signature], kinds: tuple[type, ...]
) -> ProgramCall:
    if message.signature >= len(signatures):
        raise BatchMalformed(f"a program has {len(signatures)} signatures; a call names number {message.signature}")
    signature = signatures[message.signature]
    found = [_decode_number(number, kinds) for number in message.numbers]
    if tuple(kind for kind, _ in found) != signature.kinds:
        raise BatchMalformed(f"{signature.op.name} needs numbers {signature.kinds}; the program gives {found}")
    inputs = tuple(value - 1 for value in message.inputs)
    return ProgramCall(signature, inputs, tuple(value for _, value in found), message.data or None)


def _check_call(call: ProgramCall, metas: list[Any]) -> None:
    signature = call.signature
    if signature.op.is_control and signature.op.name not in _CONTROLS:
        raise BatchMalformed(f"a program runs no {signature.op.name}")
    if len(call.inputs) != len(signature.metas) or any(value >= len(metas) for value in call.inputs):
        raise BatchMalformed(f"{signature!r} names values that the program does not have")
    for value, meta in zip(call.inputs, signature.metas, strict=True):
        if (None if value == ABSENT else metas[value]) is not meta:
            raise BatchMalformed(f"{signature!r} does not fit value {value} of the program, {metas[value]}")
    if signature.op.name == "gw::constant" and len(call.data or b"") != signature.outputs[0].nbytes:
        raise BatchMalformed(f"an inline {signature.outputs[0]} needs {signature.outputs[0].nbytes} bytes")
