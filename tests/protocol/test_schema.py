"""Schema strings: what is read from them, and that what is not understood is refused."""

from __future__ import annotations

import pytest

from gradwire_protocol.ops import OPS
from gradwire_protocol.schema import Kind, parse


def test_names_arguments_defaults_and_keywords_are_read():
    schema = parse("add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor")
    assert (schema.name, schema.overload, schema.full_name) == ("add", "Tensor", "add.Tensor")
    self, other, alpha = schema.arguments
    assert (self.name, other.name, alpha.name) == ("self", "other", "alpha")
    assert (self.has_default, self.keyword_only) == (False, False)
    assert (alpha.has_default, alpha.default, alpha.keyword_only) == (True, 1, True)
    assert [result.type for result in schema.returns] == ["Tensor"]


def test_a_name_without_overload_stands_alone():
    assert parse("relu(Tensor self) -> Tensor").full_name == "relu"
    assert parse("gw::fetch(Tensor self) -> Tensor").full_name == "gw::fetch"


@pytest.mark.parametrize(
    ("text", "kind", "optional", "element_optional"),
    [
        ("Tensor x", Kind.TENSOR, False, False),
        ("Tensor? x", Kind.TENSOR, True, False),
        ("Tensor[] x", Kind.TENSOR_LIST, False, False),
        ("Tensor?[] x", Kind.TENSOR_LIST, False, True),
        ("Scalar x", Kind.SCALAR, False, False),
        ("Scalar? x", Kind.SCALAR, True, False),
        ("float x", Kind.SCALAR, False, False),
        ("SymInt x", Kind.SCALAR, False, False),
        ("SymInt[] x", Kind.STATIC, False, False),
        ("int x", Kind.STATIC, False, False),
        ("int[2] x", Kind.STATIC, False, False),
        ("int[]? x", Kind.STATIC, True, False),
        ("bool x", Kind.STATIC, False, False),
        ("str x", Kind.STATIC, False, False),
        ("ScalarType? x", Kind.STATIC, True, False),
    ],
)
def test_an_argument_s_type_says_how_it_travels(text, kind, optional, element_optional):
    (argument,) = parse(f"f({text}) -> Tensor").arguments
    assert (argument.kind, argument.optional, argument.element_optional) == (kind, optional, element_optional)


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("int x=-1", -1),
        ("float x=1e-05", 1e-5),
        ("float x=0.5", 0.5),
        ("float x=inf", float("inf")),
        ("bool x=False", False),
        ("int? x=None", None),
        ("int[] x=[0, 1]", (0, 1)),
        ("int[] x=[]", ()),
        ("str x='none'", "none"),
        ('str x="mean"', "mean"),
    ],
)
def test_defaults_are_python_values(text, default):
    (argument,) = parse(f"f({text}) -> Tensor").arguments
    assert argument.has_default
    assert (argument.default, type(argument.default)) == (default, type(default))


def test_aliases_tell_views_from_writes():
    view, write = parse("f(Tensor(a) self) -> Tensor(a)"), parse("f_(Tensor(a!) self) -> Tensor(a!)")
    assert (view.arguments[0].alias, view.arguments[0].is_written, view.returns[0].alias) == ("a", False, "a")
    assert (write.arguments[0].alias, write.arguments[0].is_written, write.returns[0].alias) == ("a!", True, "a!")
    (listed,) = parse("f(Tensor(a!)[] self) -> ()").arguments
    assert (listed.kind, listed.is_written) == (Kind.TENSOR_LIST, True)


def test_several_results_none_and_lists_are_read():
    pair = parse("max.dim(Tensor self, int dim) -> (Tensor values, Tensor indices)")
    assert [result.name for result in pair.returns] == ["values", "indices"]
    assert parse("f(Tensor self) -> ()").returns == ()
    assert [result.type for result in parse("f(Tensor self) -> Tensor(a)[]").returns] == ["Tensor[]"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("add(Tensor self)", r"must read 'name.overload\(arguments\) -> returns'; got 'add\(Tensor self\)'"),
        ("(Tensor self) -> Tensor", "a schema must read"),
        ("f(Tensor) -> Tensor", "must read 'Type name' or 'Type name=default'; got 'Tensor'"),
        ("f(Tensor self other) -> Tensor", "must read 'Type name'"),
        ("f(Storage self) -> Tensor", "type must be known; got 'Storage' in 'Storage self'"),
        ("f(Tensor self) -> Scalar", r"a result must be a Tensor or Tensor\[\]; got 'Scalar'"),
    ],
)
def test_what_is_not_understood_is_shown(text, words):
    with pytest.raises(ValueError, match=words):
        parse(text)


@pytest.mark.parametrize("name", OPS)
def test_every_declared_schema_reads_as_its_name(name):
    schema = parse(OPS[name].schema.text)
    assert schema == OPS[name].schema
    assert schema.full_name == name
