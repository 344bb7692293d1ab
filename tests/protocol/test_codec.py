"""Metas, signatures, failures and released handles to protobuf and back; and what does not decode."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwire_protocol import errors, limits
from gradwire_protocol.codec import (
    decode_failure,
    decode_meta,
    decode_signature,
    encode_failure,
    encode_meta,
    encode_signature,
    released_ranges,
)
from gradwire_protocol.dtypes import DTYPES, float32, float64, int64
from gradwire_protocol.errors import BatchMalformed, UnknownOp
from gradwire_protocol.meta import Meta
from gradwire_protocol.signature import Signature
from gradwire_protocol.v1 import call_pb2, tensor_pb2
from tests.ops.samples import SAMPLES
from tests.protocol.signatures import f32, sampled_signatures, signature_of

FIELDS = [name for name in Signature.__slots__ if name not in ("number", "kernel")]


def over_the_wire(signature):
    return decode_signature(call_pb2.Signature.FromString(encode_signature(signature).SerializeToString()))


def assert_same(decoded, signature):
    for field in FIELDS:
        assert getattr(decoded, field) == getattr(signature, field), (signature, field)
    for ours, theirs in zip(decoded.statics, signature.statics, strict=True):
        assert type(ours) is type(theirs), signature


# ---------------------------------------------------------------- metas
SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@given(SHAPES, st.sampled_from(DTYPES))
def test_metas_come_back_as_the_same_object(shape, dtype):
    meta = Meta.of(shape, dtype)
    assert decode_meta(tensor_pb2.TensorMeta.FromString(encode_meta(meta).SerializeToString())) is meta


@given(SHAPES, st.data())
def test_strides_come_back(shape, data):
    strides = tuple(data.draw(st.integers(0, 9)) for _ in shape)
    meta = Meta.strided(shape, float32, strides)
    assert decode_meta(tensor_pb2.TensorMeta.FromString(encode_meta(meta).SerializeToString())) is meta


def test_contiguous_strides_are_not_sent_and_an_absent_tensor_is_empty():
    assert not encode_meta(f32(2, 3)).strides
    assert encode_meta(None).SerializeToString() == b""
    assert decode_meta(encode_meta(None)) is None


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"dtype": 13}, "a dtype code must be one of .* got 13"),
        ({"dtype": 9, "shape": [-1]}, r"none negative, .*; got \[-1\]"),
        ({"dtype": 9, "shape": [1] * 65}, r"at most 64 axes, .*; got \[1, 1, 1, 1, 1, 1, 1, 1\]$"),
        ({"dtype": 9, "shape": [1 << 40, 1 << 40]}, "72057594037927936 elements"),
        ({"dtype": 9, "shape": [1 << 40, 0, 1 << 40]}, "72057594037927936 elements"),
        ({"dtype": 9, "shape": [2], "strides": [1, 1], "strided": True}, "must match the shape's 1 axes; got 2"),
    ],
)
def test_a_meta_that_no_tensor_can_have_is_refused(message, words):
    with pytest.raises(BatchMalformed, match=words):
        decode_meta(tensor_pb2.TensorMeta(**message))


def test_the_largest_shapes_are_taken():
    for shape in ((1,) * limits.MAX_NDIM, (limits.MAX_NUMEL,)):
        assert decode_meta(encode_meta(Meta.of(shape, float32))).shape == shape


# ---------------------------------------------------------------- signatures
@pytest.mark.parametrize("name", SAMPLES)
def test_every_sampled_call_resolves_to_the_same_on_the_other_side(name):
    for signature in sampled_signatures(name):
        assert_same(over_the_wire(signature), signature)


@pytest.mark.parametrize(
    "signature",
    [
        signature_of("gw::backward", [f32()], [None], [f32(2), f32(3)], [None, f32(3)], True, False),
        signature_of("gw::upload", (2, 3), int64, 7),
        signature_of("gw::saved", f32(0), "päivä", -1, (), float64),
        signature_of("sum.dim_IntList", f32(2, 3), (0, -1), True, dtype=None),
        signature_of("sum", Meta.strided((2, 3), float32, (0, 2)), dtype=float64, needs=1),
        signature_of("mul.Scalar", Meta.of((2,), int64), 1.5, default=float64),
        signature_of("add.Tensor", f32(2), f32(1), alpha=-3, needs=3),
        signature_of("mul.Scalar", f32(2), 1j),
    ],
    ids=str,
)
def test_odd_arguments_come_back(signature):
    assert_same(over_the_wire(signature), signature)


def test_the_default_dtype_travels():
    assert over_the_wire(signature_of("sin", Meta.of((2,), int64), default=float64)).outputs[0].dtype is float64


def test_needs_of_many_tensors_travel():
    signature = signature_of("cat", [f32(1)] * 100, needs=1 << 99 | 1)
    assert over_the_wire(signature).needs == signature.needs == 1 << 99 | 1


def message(**fields):
    encoded = call_pb2.Signature()
    encoded.CopyFrom(encode_signature(signature_of("add.Tensor", f32(2), f32(2), alpha=2.0)))
    for name, value in fields.items():
        encoded.ClearField(name)
        encoded.MergeFrom(call_pb2.Signature(**{name: value}))
    return encoded


@pytest.mark.parametrize("name", ["", "add", "invented.Tensor", "__class__"])
def test_an_undeclared_op_is_refused(name):
    with pytest.raises(UnknownOp, match=f"must be declared in the contract; got '{name}'; update the older side"):
        decode_signature(message(op=name))


def test_a_long_name_is_shown_in_part():
    with pytest.raises(UnknownOp) as caught:
        decode_signature(message(op="x" * 10_000))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"metas": [encode_meta(f32(2))]}, r"\(2, 0, 1, 0\); the signature has \(1, 0, 1, 0\)"),
        ({"metas": [encode_meta(f32(2))] * 3}, r"the signature has \(3, 0, 1, 0\)"),
        ({"metas": [tensor_pb2.TensorMeta(dtype=13)] * 2}, "dtype code"),
        ({"kinds": ""}, r"the signature has \(2, 0, 0, 0\)"),
        ({"kinds": "ff"}, r"the signature has \(2, 0, 2, 0\)"),
        ({"kinds": "x"}, "a number's kind is one of nbifc; got 'x'"),
        ({"statics": [call_pb2.Static(integer=1)]}, r"the signature has \(2, 1, 1, 0\)"),
        ({"statics": [call_pb2.Static(dtype=13)]}, "dtype code"),
        ({"lengths": [0]}, r"the signature has \(2, 0, 1, 1\)"),
        ({"default_dtype": 0}, "does not decode: a dtype code must be one of"),
    ],
)
def test_a_malformed_signature_is_refused(fields, words):
    with pytest.raises(BatchMalformed, match=words):
        decode_signature(message(**fields))


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"metas": [encode_meta(f32(2)), encode_meta(f32(3))]}, RuntimeError, "must match the size of tensor b"),
        ({"metas": [encode_meta(None), encode_meta(f32(3))]}, TypeError, "'self' must be Tensor, not NoneType"),
        ({"kinds": "n"}, TypeError, "'alpha' must be Number, not NoneType"),
    ],
)
def test_a_lying_client_gets_the_shape_rule_s_own_error(fields, error, words):
    with pytest.raises(error, match=words):
        decode_signature(message(**fields))


@pytest.mark.parametrize(
    "static",
    [
        call_pb2.Static(),
        call_pb2.Static(integer=1),
        call_pb2.Static(text="0"),
        call_pb2.Static(booleans=call_pb2.Static.Ints(values=[1])),
    ],
)
def test_a_static_of_another_type_is_refused(static):
    encoded = encode_signature(signature_of("permute", f32(2), (0,)))
    changed = call_pb2.Signature.FromString(encoded.SerializeToString())
    changed.statics[0].CopyFrom(static)
    with pytest.raises(TypeError, match=r"permute\(\): argument 'dims' must be tuple of ints, not"):
        decode_signature(changed)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_refusals(content):
    try:
        encoded = call_pb2.Signature.FromString(content)
    except Exception as error:
        assert type(error).__name__ == "DecodeError"
        return
    with pytest.raises((BatchMalformed, UnknownOp)):
        decode_signature(encoded)


# ---------------------------------------------------------------- failures, released handles
@pytest.mark.parametrize(
    ("error", "decoded"),
    [
        (IndexError("x"), IndexError),
        (errors.HandleNotFound("x"), errors.HandleNotFound),
        (errors.WorkerUnreachable("x"), errors.GradwireError),
        (UnicodeError("x"), ValueError),
    ],
)
def test_an_error_arrives_as_its_nearest_known_class(error, decoded):
    back = decode_failure(encode_failure(error, 3, 4, "op"))
    assert (type(back), str(back)) == (decoded, "x")


@pytest.mark.parametrize("error", [OSError("x"), KeyboardInterrupt("x")])
def test_an_error_of_no_known_class_keeps_its_words_to_the_workers_log(error):
    back = decode_failure(encode_failure(error, 3, 4, "op"))
    assert type(back) is errors.KernelError and "under error" in str(back)


def test_a_class_name_that_nobody_knows_is_a_runtime_error():
    assert type(errors.from_class_name("SystemExit", "x")) is RuntimeError


@pytest.mark.parametrize(
    ("handles", "ranges"),
    [([], []), ([5], [5, 1]), ([3, 1, 2], [1, 3]), ([9, 1, 2, 7], [1, 2, 7, 1, 9, 1])],
)
def test_released_handles_ride_as_ranges(handles, ranges):
    assert released_ranges(handles) == ranges


@given(st.sets(st.integers(1, 60)))
def test_ranges_name_each_released_handle_once(handles):
    ranges = released_ranges(list(handles))
    pairs = list(zip(ranges[::2], ranges[1::2], strict=True))
    assert [handle for first, count in pairs for handle in range(first, first + count)] == sorted(handles)
