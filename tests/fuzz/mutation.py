"""Changes a fuzz input as one who knows the protocol would: other ops, shapes, handles, numbers, programs, orders of calls.

Bytes changed at random nearly always end in the same refusal. These changes keep batches decodable, and most of the time they are
mended afterwards (`repair`), so that what is odd about them reaches shape rules, kernels and gradients.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from google.protobuf.message import DecodeError

from gradwire_protocol.dtypes import DTYPES
from gradwire_protocol.ops import OPS
from gradwire_protocol.program_codec import digest_of
from gradwire_protocol.registry import Op
from gradwire_protocol.schema import Kind
from gradwire_protocol.v1 import call_pb2, program_pb2, tensor_pb2
from tests.fuzz import cases
from tests.fuzz.repair import repair

__all__ = ["crossed", "mutated"]

_NAMES = sorted(OPS)
_INTS = (
    0,
    1,
    -1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    31,
    64,
    255,
    1 << 15,
    1 << 20,
    1 << 31,
    -(1 << 31),
    1 << 40,
    (1 << 63) - 1,
    -(1 << 63),
)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-45, 1e38, 1e308, float("inf"), float("-inf"), float("nan"), 3.7e9)
_SHAPES = (
    (),
    (0,),
    (1,),
    (3,),
    (2, 3),
    (3, 2),
    (3, 3),
    (4, 1),
    (1, 4),
    (2, 0, 3),
    (2, 3, 4),
    (1, 2, 4, 4),
    (1 << 30, 1 << 20),
)
_TEXTS = ("", "mean", "sum", "none", "bilinear", "self.0", "self.0,result.1", "result", "0;0.0;l0.0:float32:3", ";;")

Change = Callable[[random.Random, list[call_pb2.Batch]], None]
_CHANGES: list[Change] = []


def _change(function: Change) -> Change:
    _CHANGES.append(function)
    return function


def mutated(data: bytes, most_bytes: int, seed: int) -> bytes:
    """Return an input of at most so many bytes, some changes away from this one."""
    rng = random.Random(seed)
    batches = list(cases.decode(data)) or [call_pb2.Batch()]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        with suppress(ValueError):  # what a field cannot hold
            rng.choice(_CHANGES)(rng, batches)
    return _fitting(rng, batches, most_bytes)


def crossed(first: bytes, second: bytes, most_bytes: int, seed: int) -> bytes:
    """Return the beginning of one input and the end of another."""
    rng = random.Random(seed)
    left, right = list(cases.decode(first)), list(cases.decode(second))
    return _fitting(rng, [*left[: rng.randint(0, len(left))], *right[rng.randint(0, len(right)) :]], most_bytes)


def _fitting(rng: random.Random, batches: list[call_pb2.Batch], most_bytes: int) -> bytes:
    if rng.random() < 0.85:
        repair(rng, batches)
    data = cases.encode(batches)
    while len(data) > most_bytes and len(batches) > 1:
        del batches[rng.randrange(len(batches))]
        data = cases.encode(batches)
    return data[:most_bytes]


# ---------------------------------------------------------------- picking
def _batch(rng: random.Random, batches: list[call_pb2.Batch]) -> call_pb2.Batch:
    if not batches:
        batches.append(call_pb2.Batch())
    return rng.choice(batches)


def _signature(rng: random.Random, batches: list[call_pb2.Batch]) -> call_pb2.Signature:
    """Return a signature of some batch, or of some program in it: then a copy, which `_programs` puts back."""
    found = [signature for batch in batches for signature in batch.signatures]
    return rng.choice(found) if found else _batch(rng, batches).signatures.add(op=rng.choice(_NAMES))


def _integer(rng: random.Random) -> int:
    return rng.choice(_INTS) if rng.random() < 0.8 else rng.randint(-8, 8)


def _some_static(rng: random.Random, kind: str) -> call_pb2.Static:
    """Return a static argument of a type that a schema names."""
    if kind == "bool":
        return call_pb2.Static(boolean=rng.random() < 0.5)
    if kind in ("int", "SymInt"):
        return call_pb2.Static(integer=_integer(rng))
    if kind == "str":
        return call_pb2.Static(text=rng.choice(_TEXTS))
    if kind == "ScalarType":
        return call_pb2.Static(dtype=rng.choice(DTYPES).code)
    if kind == "int[]":
        sizes = rng.choice(_SHAPES) if rng.random() < 0.5 else [_integer(rng) for _ in range(rng.randint(0, 5))]
        return call_pb2.Static(ints=call_pb2.Static.Ints(values=sizes))
    if kind == "bool[]":
        return call_pb2.Static(
            booleans=call_pb2.Static.Ints(values=[rng.randint(0, 1) for _ in range(rng.randint(0, 3))])
        )
    return call_pb2.Static()


def _static_kinds(op: Op | None) -> list[str]:
    return [argument.type for argument in op.arguments if argument.kind is Kind.STATIC] if op is not None else []


def _some_meta(rng: random.Random) -> tensor_pb2.TensorMeta:
    meta = tensor_pb2.TensorMeta(dtype=rng.choice(DTYPES).code, shape=rng.choice(_SHAPES))
    if rng.random() < 0.1:
        meta.strided = True
        meta.strides.extend(_integer(rng) for _ in meta.shape)
    return meta


def _handle(rng: random.Random, batches: list[call_pb2.Batch]) -> int:
    """Return a handle that may be held, mostly."""
    if rng.random() < 0.05:
        return rng.choice((0, 1 << 40, (1 << 64) - 1))
    return rng.randint(1, max((batch.first_handle + len(batch.calls) for batch in batches), default=1) % (1 << 32) + 1)


# ---------------------------------------------------------------- signatures
@_change
def _other_op(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    _signature(rng, batches).op = rng.choice(_NAMES)


@_change
def _other_static(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    signature = _signature(rng, batches)
    if not signature.statics:
        return
    index = rng.randrange(len(signature.statics))
    kinds = _static_kinds(OPS.get(signature.op))
    kind = (
        kinds[index]
        if index < len(kinds) and rng.random() < 0.9
        else rng.choice(("int", "int[]", "str", "bool", "ScalarType", ""))
    )
    signature.statics[index].CopyFrom(_some_static(rng, kind))


@_change
def _other_meta(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    signature = _signature(rng, batches)
    if signature.metas:
        meta = rng.choice(signature.metas)
        if rng.random() < 0.5 and meta.shape:
            meta.shape[rng.randrange(len(meta.shape))] = _integer(rng)
        else:
            meta.CopyFrom(_some_meta(rng))


@_change
def _other_details(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    signature = _signature(rng, batches)
    which = rng.randrange(5)
    if which == 0:
        signature.needs = bytes(rng.randrange(256) for _ in range(rng.randint(0, 2)))
    elif which == 1:
        signature.kinds = "".join(rng.choice("nbifcx") for _ in range(rng.randint(0, 4)))
    elif which == 2:
        del signature.lengths[:]
        signature.lengths.extend(rng.randint(0, 3) for _ in range(rng.randint(0, 3)))
    elif which == 3:
        signature.usual = not signature.usual
    else:
        signature.default_dtype = rng.choice(DTYPES).code


@_change
def _new_call(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    """Append a call of any op on what there may be; `repair` gives it the metas of its handles."""
    batch, op = _batch(rng, batches), OPS[rng.choice(_NAMES)]
    signature = batch.signatures.add(op=op.name, needs=rng.choice((b"", b"\1", b"\3")), default_dtype=DTYPES[-1].code)
    for argument in op.arguments:
        if argument.kind is Kind.STATIC:
            signature.statics.append(
                _some_static(rng, "" if argument.optional and rng.random() < 0.3 else argument.type)
            )
        elif argument.kind is Kind.SCALAR:
            signature.kinds += {"SymInt": "i", "float": "f"}.get(argument.type) or rng.choice("iiffcb")
        else:
            count = 1 if argument.kind is Kind.TENSOR else rng.randint(0, 3)
            if argument.kind is Kind.TENSOR_LIST:
                signature.lengths.append(count)
            for _ in range(count):
                is_absent = (argument.optional or argument.element_optional) and rng.random() < 0.5
                signature.metas.append(tensor_pb2.TensorMeta() if is_absent else _some_meta(rng))
                batch.inputs.append(0 if is_absent else _handle(rng, batches))
    batch.calls.append(batch.first_signature + len(batch.signatures) - 1)
    batch.ints.extend(_integer(rng) for letter in signature.kinds if letter in "ib")
    batch.floats.extend(rng.choice(_FLOATS) for letter in signature.kinds if letter in "fcc")


# ---------------------------------------------------------------- columns
@_change
def _other_input(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    batch = _batch(rng, batches)
    if batch.inputs:
        batch.inputs[rng.randrange(len(batch.inputs))] = _handle(rng, batches)


@_change
def _other_number(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    batch = _batch(rng, batches)
    if batch.ints and rng.random() < 0.5:
        batch.ints[rng.randrange(len(batch.ints))] = _integer(rng)
    elif batch.floats:
        batch.floats[rng.randrange(len(batch.floats))] = rng.choice(_FLOATS)


@_change
def _other_calls(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    batch = _batch(rng, batches)
    if not batch.calls:
        return
    index, which = rng.randrange(len(batch.calls)), rng.randrange(4)
    if which == 0:
        del batch.calls[index]
    elif which == 1:
        batch.calls.insert(index, rng.choice(batch.calls))
    elif which == 2:
        other = rng.randrange(len(batch.calls))
        batch.calls[index], batch.calls[other] = batch.calls[other], batch.calls[index]
    else:
        batch.calls[index] = rng.randint(0, max(batch.calls) + 1)


@_change
def _other_tensor(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    batch = _batch(rng, batches)
    if batch.tensors:
        tensor = rng.choice(batch.tensors)
        data = bytearray(tensor.data)
        for _ in range(rng.randint(1, 8) if data else 0):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        tensor.data = bytes(data)


# ---------------------------------------------------------------- batches
@_change
def _other_batches(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    _batch(rng, batches)
    index, which = rng.randrange(len(batches)), rng.randrange(4)
    if which == 0 and len(batches) > 1:
        del batches[index]
    elif which == 1 and len(batches) < cases.MOST_BATCHES:
        copy = call_pb2.Batch()
        copy.CopyFrom(batches[index])
        batches.insert(rng.randint(0, len(batches)), copy)
    elif which == 2:
        rng.shuffle(batches)
    else:
        del batches[index + 1 :]


@_change
def _other_header(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    batch, wide = _batch(rng, batches), rng.choice((0, 1, 2, 5, 1 << 31, (1 << 64) - 1))
    which = rng.randrange(6)
    if which == 0:
        batch.number = wide
    elif which == 1:
        batch.first_handle = wide
    elif which == 2:
        batch.first_signature = wide % (1 << 32)
    elif which == 3:
        batch.reset_signatures = not batch.reset_signatures
    elif which == 4:
        batch.acknowledged = wide
    else:
        batch.profile = not batch.profile


@_change
def _released(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    batch = _batch(rng, batches)
    batch.released.extend((_handle(rng, batches), rng.choice((0, 1, 2, 1 << 31, (1 << 64) - 1))))


# ---------------------------------------------------------------- programs
@_change
def _other_program(rng: random.Random, batches: list[call_pb2.Batch]) -> None:
    """Change a program, and let the calls that name it name the changed one."""
    found = [batch for batch in batches if batch.programs]
    if not found:
        return
    batch = rng.choice(found)
    index = rng.randrange(len(batch.programs))
    try:
        program = program_pb2.Program.FromString(batch.programs[index])
    except DecodeError:
        return
    before = digest_of(program)
    _inside(rng, program)
    batch.programs[index] = program.SerializeToString()
    after = digest_of(program)
    for other in batches:
        for signature in other.signatures:
            for static in signature.statics:
                if static.text == before:
                    static.text = after


def _inside(rng: random.Random, program: program_pb2.Program) -> None:
    """Change a signature, a call, a number or the outputs of a program."""
    which = rng.randrange(5)
    if which == 0 and program.signatures:
        holder = call_pb2.Batch(signatures=program.signatures)
        rng.choice((_other_op, _other_static, _other_meta, _other_details))(rng, [holder])
        del program.signatures[:]
        program.signatures.extend(holder.signatures)
    elif which == 1 and program.calls:
        call = rng.choice(program.calls)
        if call.inputs:
            call.inputs[rng.randrange(len(call.inputs))] = rng.randint(0, len(program.inputs) + len(program.calls) + 1)
    elif which == 2 and program.calls:
        del program.calls[rng.randrange(len(program.calls))]
    elif which == 3 and program.calls:
        numbers: Any = rng.choice(program.calls).numbers
        if numbers:
            rng.choice(numbers).CopyFrom(program_pb2.Program.Number(integer=_integer(rng)))
    else:
        program.outputs.append(rng.randint(0, len(program.inputs) + len(program.calls) + 1))
