"""What a signature works out from one call: needs, kept values, written inputs, columns, and its type checks."""

from __future__ import annotations

import pytest

from gradwire_protocol.dtypes import bool_, float32, float64, int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import default_dtype, set_default, tensor_span, using_default
from tests.protocol.signatures import f32, signature_of

LONGS, BOOLS = Meta.of((3,), int64), Meta.of((3,), bool_)


# ---------------------------------------------------------------- needs and kept
@pytest.mark.parametrize(("needs", "kept"), [(0, ()), (1, ("mat2",)), (2, ("self",)), (3, ("mat2", "self"))])
def test_only_what_a_needed_gradient_reads_is_kept(needs, kept):
    signature = signature_of("mm", f32(2, 3), f32(3, 4), needs=needs)
    assert signature.needs == needs
    assert set(signature.kept) == set(kept)


def test_no_node_for_an_op_without_gradient_or_a_result_that_has_none():
    assert signature_of("eq.Tensor", f32(3), f32(3), needs=3).needs == 0
    assert signature_of("_to_dtype", f32(3), int64, needs=1).needs == 0
    assert signature_of("_to_dtype", f32(3), float64, needs=1).needs == 1


def test_needs_are_cut_to_the_inputs_that_have_a_gradient():
    signature = signature_of("where.self", BOOLS, f32(3), f32(3), needs=0b111)
    assert signature.needs == 0b110


def test_each_tensor_of_a_list_has_a_bit():
    assert signature_of("cat", [f32(1), f32(2), f32(3)], needs=0b101).needs == 0b101


def test_an_output_is_kept_where_the_gradient_reads_it():
    assert signature_of("exp", f32(3), needs=1).kept == ("result",)
    assert signature_of("exp", f32(3)).kept == ()


def test_an_absent_tensor_needs_no_gradient_of_its_own():
    with_bias = signature_of("clamp.Tensor", f32(3), f32(3), None, needs=1)
    assert (with_bias.needs, len(with_bias.metas)) == (1, 3)


# ---------------------------------------------------------------- writes
def test_an_in_place_op_writes_its_first_input_and_makes_nothing():
    signature = signature_of("add_.Tensor", f32(3), f32(3))
    assert (signature.written, signature.outputs, signature.offsets) == ((0,), (), None)
    assert signature_of("add_.Tensor", f32(3), f32(3), needs=2).needs == 2
    assert signature_of("add.Tensor", f32(3), f32(3)).written == ()


def test_a_fused_update_writes_all_of_its_written_lists():
    numbers = {"weight_decay": 0.0, "momentum": 0.9, "lr": 0.1, "dampening": 0.0}
    flags = {"nesterov": False, "maximize": False, "is_first_step": True}
    pair = [f32(2), f32(3)]
    assert signature_of("_fused_sgd_", pair, pair, pair, **numbers, **flags).written == (0, 1, 4, 5)
    assert signature_of("_fused_sgd_", pair, pair, [], **numbers, **flags).written == (0, 1)


# ---------------------------------------------------------------- columns
@pytest.mark.parametrize(
    ("number", "floats", "ints"),
    [(1.5, 1, 0), (2, 0, 1), (True, 0, 1), (1j, 2, 0)],
    ids=["float", "int", "bool", "complex"],
)
def test_numbers_use_the_column_of_their_kind(number, floats, ints):
    signature = signature_of("mul.Scalar", f32(3), number)
    assert (signature.float_count, signature.int_count) == (floats, ints)


def test_an_absent_number_uses_no_column():
    signature = signature_of("clamp", f32(3), None, 1.0)
    assert (signature.kinds, signature.float_count, signature.int_count) == ((type(None), float), 1, 0)


# ---------------------------------------------------------------- outputs
def test_views_have_offsets():
    view = signature_of("select.int", f32(2, 3), 0, 1)
    assert (view.outputs, view.offsets, view.returns_list) == ((f32(3),), (3,), False)
    assert signature_of("relu", f32(3)).offsets is None


def test_a_list_of_one_is_still_a_list():
    signature = signature_of("unbind.int", f32(1, 3), 0)
    assert (signature.returns_list, signature.outputs, signature.offsets) == (True, (f32(3),), (0,))
    assert not signature_of("max.dim", f32(2, 3), 0).returns_list


def test_it_reads_as_the_call():
    assert repr(signature_of("sum.dim_IntList", f32(2, 3), (0,))) == "sum.dim_IntList(float32[2, 3], (0,), False, None)"
    assert "None" in repr(signature_of("clamp.Tensor", f32(3), None, f32(3)))


# ---------------------------------------------------------------- type checks
@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        (
            "permute",
            (f32(2), (0.5,)),
            r"permute\(\): argument 'dims' must be tuple of ints, not tuple containing \(0.5,\)",
        ),
        ("permute", (f32(2), (True,)), "must be tuple of ints, not tuple containing"),
        ("permute", (f32(2), "0"), "must be tuple of ints, not str"),
        ("select.int", (f32(2, 3), True, 0), r"select\(\): argument 'dim' must be int, not bool"),
        ("select.int", (f32(2, 3), 0.0, 0), "argument 'dim' must be int, not float"),
        ("sum.dim_IntList", (f32(2), (0,), 1), r"sum\(\): argument 'keepdim' must be bool, not int"),
        ("_to_dtype", (f32(2), "float32"), "argument 'dtype' must be gradwire.dtype, not str"),
        ("_to_dtype", (f32(2), None), "argument 'dtype' must be gradwire.dtype, not NoneType"),
        ("mul.Scalar", (f32(2), None), r"mul\(\): argument 'other' must be Number, not NoneType"),
        ("mul.Scalar", (f32(2), "2"), "must be Number, not str"),
        ("mul.Tensor", (f32(2), None), r"mul\(\): argument 'other' must be Tensor, not NoneType"),
        ("cat", ([f32(2), None],), r"cat\(\): argument 'tensors' must be Tensor, not NoneType"),
    ],
)
def test_an_argument_of_another_type_is_refused(name, args, words):
    with pytest.raises(TypeError, match=words):
        signature_of(name, *args)


# ---------------------------------------------------------------- spans, default dtype
def test_spans_count_flattened_tensors():
    update = OPS["_fused_sgd_"]
    assert tensor_span(update, "self", (2, 2, 1)) == (0, 2)
    assert tensor_span(update, "momentum_buffer_list", (2, 2, 1)) == (4, 1)
    assert tensor_span(OPS["where.self"], "other", ()) == (2, 1)
    with pytest.raises(KeyError):
        tensor_span(update, "lr", (2, 2, 1))


def test_the_default_dtype_of_a_rule_ends_with_it():
    with pytest.raises(ZeroDivisionError), using_default(float64):
        assert default_dtype() is float64
        raise ZeroDivisionError
    assert default_dtype() is float32
    set_default(float64)
    try:
        assert signature_of("sin", LONGS, default=float32).outputs[0].dtype is float32
        assert default_dtype() is float64
    finally:
        set_default(float32)
