"""Mistakes in a declaration or a rule surface at import, and leave the tables as they were."""

from __future__ import annotations

import pytest

import gradwire_server.ops  # noqa: F401  (fills the tables of rules)
from gradwire_protocol import registry
from gradwire_protocol.dtypes import float32, int64
from gradwire_protocol.infer import like
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import check_no_overlap, control, op, table_digest
from gradwire_server import rules


@pytest.fixture(autouse=True)
def _tables_stay(monkeypatch):
    monkeypatch.setattr(registry, "OPS", dict(OPS))
    for table in ("KERNELS", "GRADIENTS", "_BACKEND_KERNELS"):
        monkeypatch.setattr(rules, table, dict(getattr(rules, table)))
    yield
    table_digest.cache_clear()  # it may be of ops that were invented here


# ---------------------------------------------------------------- declarations
@pytest.mark.parametrize(
    ("keeps", "named"),
    [
        ({"othre": "self"}, "othre"),
        ({"self": "othre"}, "othre"),
        ({"self": "result1"}, "result1"),
        ({"alpha": ""}, "alpha"),
        ({"self": "alpha"}, "alpha"),
    ],
)
def test_keeps_must_name_tensors_of_the_schema(keeps, named):
    with pytest.raises(ValueError, match=f"^invented: keeps must name tensors of the schema; got {named}$"):
        op("invented(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", like, keeps)


def test_keeps_may_name_arguments_and_results():
    declared = op(
        "invented(Tensor self, Tensor other) -> (Tensor a, Tensor b)", like, {"self": "other result1", "other": "self result"}
    )  # fmt: skip
    assert declared.kept == ("other", "result1", "self", "result")


@pytest.mark.parametrize("declare", [op, control])
def test_an_op_is_declared_once(declare):
    with pytest.raises(ValueError, match="an op is declared once; relu was declared twice"):
        declare("relu(Tensor self) -> Tensor", like)


def test_an_in_place_form_that_exists_is_not_declared_again():
    op("invented_(Tensor(a!) self) -> Tensor(a!)", like)
    with pytest.raises(ValueError, match="invented_ was declared twice"):
        op("invented(Tensor self) -> Tensor", like, inplace=True)


def test_the_in_place_form_follows_from_the_functional_one():
    declared = op(
        "invented.X(Tensor self, int dim=0) -> Tensor", like, {"self": "result"}, pointwise=True, inplace=True
    )
    inplace = registry.OPS["invented_.X"]
    assert inplace.schema.text == "invented_.X(Tensor(a!) self, int dim=0) -> Tensor(a!)"
    assert inplace.functional is declared
    assert (inplace.writes, inplace.is_view, inplace.is_pointwise) == (True, False, True)
    assert (inplace.node_name, inplace.kept) == ("InventedBackward0", ("result",))


# ---------------------------------------------------------------- rules
def test_a_rule_names_a_declared_op():
    for register in (lambda: rules.gradient("invented"), lambda: rules.pointwise("invented", "sin")):
        with pytest.raises(ValueError, match="a rule must name a declared op; got 'invented'"):
            register()
    with pytest.raises(ValueError, match="got 'invented'"):
        rules.kernel("invented")(lambda xp, self: self)


def test_an_op_has_one_kernel_and_one_more_per_backend():
    with pytest.raises(ValueError, match="^mm has two kernels$"):
        rules.kernel("mm")(lambda xp, self, mat2: self)
    with pytest.raises(ValueError, match="^sin has two kernels$"):
        rules.pointwise("sin", "sin")
    rules.kernel("mm", backend="toy")(lambda xp, self, mat2: self)
    with pytest.raises(ValueError, match="^mm has two kernels for backend toy$"):
        rules.kernel("mm", backend="toy")(lambda xp, self, mat2: self)


def test_a_pointwise_kernel_is_for_an_op_declared_so():
    with pytest.raises(ValueError, match="mm must be declared with pointwise=True to have a pointwise kernel"):
        rules.pointwise("mm", "multiply")


@pytest.mark.parametrize(
    "given",
    [{}, {"self": 0}, {"self": 0, "mat3": 0}, {"self": 0, "mat2": 0, "mat3": 0}],
    ids=["none", "too few", "another", "too many"],
)
def test_gradients_cover_just_the_declared_arguments(given):
    given = dict.fromkeys(given, lambda g, call: g)
    words = (
        rf"^mm: rules must cover just .* declared \['mat2', 'self'\], got \[{', '.join(map(repr, sorted(given)))}\]$"
    )
    with pytest.raises(ValueError, match=words):
        rules.gradient("mm", **given)


def test_a_gradient_for_an_op_that_declares_none_is_refused():
    with pytest.raises(ValueError, match=r"declared \[\], got \['self'\]"):
        rules.gradient("eq.Tensor", self=lambda g, call: g)


def test_an_op_has_one_gradient():
    with pytest.raises(ValueError, match="^mm has two gradients$"):
        rules.gradient("mm", self=lambda g, call: g, mat2=lambda g, call: g)
    with pytest.raises(ValueError, match="^mm has two gradients$"):
        rules.joint_gradient("mm")(lambda g, call: {})


# ---------------------------------------------------------------- binding
@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, r"^add\(\) missing required argument: 'self'$"),
        ((1,), {}, r"^add\(\) missing required argument: 'other'$"),
        ((1, 2, 3), {}, r"^add\(\) takes 2 positional arguments but 3 were given$"),
        ((1, 2), {"beta": 1}, r"^add\(\) got an unexpected keyword argument 'beta'$"),
        ((1, 2), {"self": 1}, r"^add\(\) got an unexpected keyword argument 'self'$"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_python_s_words(args, kwargs, words):
    with pytest.raises(TypeError, match=words):
        OPS["add.Tensor"].bind(args, kwargs)


def test_binding_fills_defaults():
    assert OPS["add.Tensor"].bind((1,), {"other": 2}) == [1, 2, 1]
    assert OPS["add.Tensor"].bind((1, 2), {"alpha": 3}) == [1, 2, 3]


def test_arrange_undoes_split():
    update = OPS["_fused_sgd_"]
    bound = [("p", "q"), ("g", "h"), (), 0.1, 0.9, 0.01, 0.0, False, True, False]
    tensors, statics, scalars, lengths = update.split(bound)
    assert (tensors, lengths) == (("p", "q", "g", "h"), (2, 2, 0))
    assert (statics, scalars) == ((False, True, False), (0.1, 0.9, 0.01, 0.0))
    assert update.arrange(tensors, statics, scalars, lengths) == bound


def test_a_call_without_any_tensor_is_refused():
    with pytest.raises(TypeError, match=r"^clamp\(\) needs at least one tensor argument; got none$"):
        OPS["clamp.Tensor"](None, None, None)


# ---------------------------------------------------------------- the whole table
def test_the_digest_sees_every_declaration():
    before = table_digest()
    assert before == table_digest()
    op("invented(Tensor self, Tensor other) -> Tensor", like)
    assert table_digest() != before


def test_a_write_to_elements_that_share_memory_is_refused():
    check_no_overlap(Meta.strided((1, 3), float32, (0, 1)))
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single memory"):
        check_no_overlap(Meta.strided((2, 3), float32, (0, 1)))


def test_an_in_place_op_refuses_what_it_cannot_store():
    add_ = OPS["add_.Tensor"].infer
    floats, ints = Meta.of((3,), float32), Meta.of((3,), int64)
    assert add_(floats, ints, int) == ()
    with pytest.raises(RuntimeError, match=r"output with shape \[3\] doesn't match the broadcast shape \[2, 3\]"):
        add_(floats, Meta.of((2, 3), float32), int)
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        add_(ints, floats, int)
