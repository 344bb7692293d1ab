"""Metas, statics and signatures to protobuf and back: the only module that knows both forms."""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol import limits
from gradwire_protocol.dtypes import Category, DType, from_code
from gradwire_protocol.errors import BatchMalformed, LimitExceeded, UnknownOp, class_name, from_class_name
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS, Op
from gradwire_protocol.schema import Kind
from gradwire_protocol.signature import Signature, resolve
from gradwire_protocol.told import told
from gradwire_protocol.v1 import call_pb2, failure_pb2, tensor_pb2

__all__ = [
    "decode_failure", "decode_kinds", "decode_meta", "decode_needs", "decode_signature", "decode_static", "encode_failure",
    "encode_kinds", "encode_meta", "encode_signature", "released_ranges",
]  # fmt: skip

_KINDS: dict[str, type] = {"n": type(None), "b": bool, "i": int, "f": float, "c": complex}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


_ABSENT = tensor_pb2.TensorMeta()

# Longer texts of an error are cut: a client names an op's arguments, and one batch may fail as often as it has calls.
_MAX_TEXT = 2000


def encode_meta(meta: Meta | None) -> tensor_pb2.TensorMeta:
    """Return the message of a meta, not to be changed; an absent tensor has dtype code 0."""
    if meta is None:
        return _ABSENT
    if meta.encoded is None:
        meta.encoded = _encode_meta(meta)
    found: tensor_pb2.TensorMeta = meta.encoded
    return found


def _encode_meta(meta: Meta) -> tensor_pb2.TensorMeta:
    if meta is Meta.of(meta.shape, meta.dtype):
        return tensor_pb2.TensorMeta(dtype=meta.dtype.code, shape=meta.shape)
    return tensor_pb2.TensorMeta(dtype=meta.dtype.code, shape=meta.shape, strides=meta.strides, strided=True)


def decode_meta(message: tensor_pb2.TensorMeta) -> Meta | None:
    """Return the meta of a message; raise BatchMalformed for one that no tensor can have."""
    if message.dtype == 0:
        return None
    shape = tuple(message.shape)
    try:
        dtype = from_code(message.dtype)
    except ValueError as error:
        raise BatchMalformed(str(error)) from None
    # The axes are counted first: the product of a million sizes takes hours.
    if (
        len(shape) > limits.MAX_NDIM
        or any(size < 0 for size in shape)
        or math.prod([max(size, 1) for size in shape]) > limits.MAX_NUMEL
    ):
        raise BatchMalformed(
            f"a shape needs at most {limits.MAX_NDIM} axes, none negative, {limits.MAX_NUMEL} elements; got {list(shape)[:8]}"
        )
    if not message.strided:
        return Meta.of(shape, dtype)
    strides = tuple(message.strides)
    if len(strides) != len(shape):
        raise BatchMalformed(f"strides must match the shape's {len(shape)} axes; got {len(strides)}")
    return Meta.strided(shape, dtype, strides)


def _encode_static(value: Any) -> call_pb2.Static:
    if value is None:
        return call_pb2.Static()
    if isinstance(value, bool):
        return call_pb2.Static(boolean=value)
    if isinstance(value, int):
        return call_pb2.Static(integer=value)
    if isinstance(value, str):
        return call_pb2.Static(text=value)
    if isinstance(value, DType):
        return call_pb2.Static(dtype=value.code)
    if value and all(isinstance(item, bool) for item in value):
        return call_pb2.Static(booleans=call_pb2.Static.Ints(values=[int(item) for item in value]))
    return call_pb2.Static(ints=call_pb2.Static.Ints(values=value))


def decode_static(message: call_pb2.Static) -> Any:
    """Return the static argument of a message; raise BatchMalformed for a dtype that is none."""
    which = message.WhichOneof("value")
    if which is None:
        return None
    if which == "dtype":
        try:
            return from_code(message.dtype)
        except ValueError as error:
            raise BatchMalformed(str(error)) from None
    if which == "ints":
        return tuple(message.ints.values)
    if which == "booleans":
        return tuple(bool(value) for value in message.booleans.values)
    return getattr(message, which)


def encode_kinds(kinds: tuple[type, ...]) -> str:
    """Return the letters of numbers' types."""
    return "".join(_LETTERS[kind] for kind in kinds)


def decode_kinds(letters: str) -> tuple[type, ...]:
    """Return the types that letters stand for; raise BatchMalformed for another letter."""
    try:
        return tuple(_KINDS[letter] for letter in letters)
    except KeyError as error:
        raise BatchMalformed(f"a number's kind is one of {''.join(_KINDS)}; got {error}") from None


def encode_signature(signature: Signature) -> call_pb2.Signature:
    """Return the message that interns a signature."""
    return call_pb2.Signature(
        op=signature.op.name,
        metas=[encode_meta(meta) for meta in signature.metas],
        statics=[_encode_static(value) for value in signature.statics],
        kinds=encode_kinds(signature.kinds),
        lengths=signature.lengths,
        needs=signature.needs.to_bytes((signature.needs.bit_length() + 7) // 8, "little"),
        default_dtype=signature.default.code,
        usual=signature.usual,
    )


def decode_signature(message: call_pb2.Signature) -> Signature:
    """Check and resolve a signature by the same rules as the client; raise what the shape rule raises."""
    op = OPS.get(message.op)
    if op is None:
        raise UnknownOp(f"an op must be declared in the contract; got {message.op[:80]!r}; update the older side")
    metas = tuple(decode_meta(meta) for meta in message.metas)
    statics = tuple(decode_static(value) for value in message.statics)
    kinds = decode_kinds(message.kinds)
    default = _decode_default(op, message.default_dtype)
    lengths = tuple(message.lengths)
    _check_counts(op.name, op, len(metas), len(statics), len(kinds), lengths)
    if message.usual and kinds != op.usual_kinds:
        raise BatchMalformed(f"the usual numbers of {op.name} are {op.usual_kinds}; the signature has {kinds}")
    needs = decode_needs(message.needs, len(metas))
    signature = resolve(op, metas, statics, kinds, lengths, needs, default, message.usual)
    _check_numbers(op, metas, kinds, signature)
    return signature


def _decode_default(op: Op, code: int) -> DType:
    try:
        default = from_code(code)
    except ValueError as error:
        raise BatchMalformed(f"a signature of {op.name} does not decode: {error}") from None
    if default.category is not Category.FLOAT and not op.is_control:  # which compute nothing with it
        raise BatchMalformed(f"a signature's default dtype must be one of floats; {op.name} has {default.name}")
    return default


def decode_needs(data: bytes, inputs: int) -> int:
    """Return the bits of the inputs that require grad; raise BatchMalformed for more bits than inputs."""
    if len(data) > (inputs + 7) // 8:
        raise BatchMalformed(
            f"a signature says of each of its {inputs} tensors whether it requires grad; got {len(data)} bytes"
        )
    return int.from_bytes(data, "little")


def _check_numbers(op: Op, metas: tuple[Meta | None, ...], kinds: tuple[type, ...], signature: Signature) -> None:
    """Raise TypeError for a number that the argument cannot be; a client's own functions never send one."""
    results = (*signature.outputs, *([metas[0]] if op.writes else []))
    is_real = not any(meta is not None and meta.dtype.is_complex for meta in (*metas, *results))
    numbers = [argument for argument in op.arguments if argument.kind is Kind.SCALAR]
    for argument, kind in zip(numbers, kinds, strict=True):
        if kind is type(None) and not argument.optional:
            raise TypeError(f"{op.name}: argument '{argument.name}' must be a number; got None")
        if kind is float and argument.type == "SymInt":
            raise TypeError(f"{op.name}: argument '{argument.name}' must be an integer; got a float")
        is_compared = op.schema.name.rstrip("_") in ("eq", "ne")
        if kind is complex and (argument.type != "Scalar" or (is_real and not is_compared)):
            raise TypeError(f"{op.name}: argument '{argument.name}' must be real; got a complex number")


def _check_counts(name: str, op: Any, metas: int, statics: int, kinds: int, lengths: tuple[int, ...]) -> None:
    counts = dict.fromkeys(("TENSOR", "TENSOR_LIST", "SCALAR", "STATIC"), 0)
    for argument in op.arguments:
        counts[argument.kind.name] += 1
    wanted = (counts["TENSOR"] + sum(lengths), counts["STATIC"], counts["SCALAR"], counts["TENSOR_LIST"])
    given = (metas, statics, kinds, len(lengths))
    if wanted != given:
        raise BatchMalformed(f"{name} takes (tensors, statics, numbers, lists) = {wanted}; the signature has {given}")


def encode_failure(error: BaseException, batch: int = 0, call: int = 0, op: str = "") -> failure_pb2.Failure:
    """Return the message of an error; it carries the class and the words, never a path or a traceback."""
    retry_after_seconds = error.retry_after_seconds if isinstance(error, LimitExceeded) else 0.0
    error = told(error)
    inner, step = getattr(error, "program_call", 0), getattr(error, "program_step", 0)
    return failure_pb2.Failure(
        error=class_name(error),
        message=_cut(str(error)),
        batch=batch,
        call=call,
        op=_cut(op),
        program_call=inner,
        program_step=step,
        retry_after_seconds=retry_after_seconds,
    )


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."


def decode_failure(message: failure_pb2.Failure) -> Exception:
    """Return the error of a failure message."""
    error = from_class_name(message.error, message.message)
    if message.retry_after_seconds and isinstance(error, LimitExceeded):
        error.retry_after_seconds = message.retry_after_seconds
    return error


def released_ranges(handles: list[int]) -> list[int]:
    """Return handles as a flat list of (first, count) pairs; most are freed in runs."""
    handles.sort()
    ranges: list[int] = []
    for handle in handles:
        if ranges and handle == ranges[-2] + ranges[-1]:
            ranges[-1] += 1
        else:
            ranges += (handle, 1)
    return ranges
