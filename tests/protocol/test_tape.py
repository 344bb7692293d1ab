"""The outline of the graph by itself: what is recorded, in which order it runs, and what a check refuses. No values."""

from __future__ import annotations

import pytest

from gradwire_protocol.dtypes import int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.planning import leaves, plan, reach
from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import (
    CopySlices,
    Edge,
    Node,
    Storage,
    Variable,
    bind_view,
    gradient_edge,
    raise_versions,
    record,
    record_inplace,
    refresh,
)
from tests.protocol.signatures import f32, signature_of

AGAIN = "Trying to backward through the graph a second time"
MODIFIED = "one of the variables needed for gradient computation has been modified by an inplace operation: "


def variable(meta: Meta, *, leaf: bool = False, storage: Storage | None = None, offset: int = 0) -> Variable:
    """Make a tensor without a value."""
    made = Variable()
    made.meta, made.storage, made.offset = meta, storage or Storage(), offset
    made.node, made.output_nr, made.leaf_requires_grad = None, 0, leaf
    made.base, made.base_version, made.view_kind = None, 0, ""
    return made


def signed(name: str, inputs: tuple[Variable, ...], *rest: object) -> Signature:
    needs = sum(1 << i for i, value in enumerate(inputs) if gradient_edge(value) is not None)
    return signature_of(name, *(value.meta for value in inputs), *rest, needs=needs)


def call(name: str, *inputs: Variable, rest: tuple[object, ...] = ()) -> Variable:
    """Record a call of one new result."""
    signature = signed(name, inputs, *rest)
    made = variable(signature.outputs[0])
    if signature.needs:
        record(signature, inputs, [made])
    return made


def write(name: str, *inputs: Variable, rest: tuple[object, ...] = ()) -> None:
    """Record a call that writes to its first input."""
    signature = signed(name, inputs, *rest)
    if signature.needs:
        record_inplace(signature, inputs, None)
    else:
        raise_versions(signature, inputs)


def select(viewed: Variable, index: int) -> Variable:
    """Record a view: one row."""
    signature = signed("select.int", (viewed,), 0, index)
    assert signature.offsets is not None
    made = variable(signature.outputs[0], storage=viewed.storage, offset=viewed.offset + signature.offsets[0])
    if signature.needs:
        record(signature, (viewed,), [made])
    bind_view(made, viewed)
    return made


def leaf(*shape: int) -> Variable:
    return variable(f32(*shape), leaf=True)


def roots(*values: Variable) -> list[Edge | None]:
    return [gradient_edge(value) for value in values]


def names(nodes: list[Node]) -> list[str]:
    return [node.name for node in nodes]


# ---------------------------------------------------------------- recording
def test_a_gradient_goes_to_a_leaf_a_node_or_nowhere():
    x = leaf(3)
    y = call("sin", x)
    assert gradient_edge(x) == Edge(x, 0)
    assert gradient_edge(y) == Edge(y.node, 0)
    assert gradient_edge(variable(f32(3))) is None
    assert y.node.edges == (Edge(x, 0),)


def test_an_input_that_needs_no_gradient_has_no_edge():
    x, constant = leaf(3), variable(f32(3))
    assert call("mul.Tensor", constant, x).node.edges == (None, Edge(x, 0))
    assert call("mul.Tensor", constant, constant).node is None


def test_only_differentiable_results_get_the_node():
    x = leaf(2, 3)
    signature = signed("max.dim", (x,), 1)
    values, indices = map(variable, signature.outputs)
    record(signature, (x,), [values, indices])
    assert (values.node.name, values.output_nr) == ("MaxBackward0", 0)
    assert (indices.meta.dtype, indices.node) == (int64, None)


def test_each_result_has_its_number():
    x = leaf(2, 3)
    signature = signed("unbind.int", (x,), 0)
    outputs = [variable(meta) for meta in signature.outputs]
    record(signature, (x,), outputs)
    assert [output.output_nr for output in outputs] == [0, 1]
    assert outputs[0].node is outputs[1].node


# ---------------------------------------------------------------- plan
def test_a_plan_runs_the_latest_first_and_each_node_once():
    x = leaf(3)
    shared = call("sin", x)
    left, right = call("exp", shared), call("cos", shared)
    out = call("mul.Tensor", left, right)
    assert names(plan(roots(out))) == ["MulBackward0", "CosBackward0", "ExpBackward0", "SinBackward0"]


def test_a_plan_of_several_roots_is_one_plan():
    x = leaf(3)
    first = call("sin", x)
    second = call("exp", x)
    assert names(plan(roots(first, second, first))) == ["ExpBackward0", "SinBackward0"]
    assert plan([None]) == plan(roots(x)) == []


def test_a_plan_towards_targets_runs_only_what_leads_there():
    x, y = leaf(3), leaf(3)
    towards_x, towards_y = call("sin", x), call("exp", y)
    out = call("mul.Tensor", towards_x, towards_y)
    assert names(plan(roots(out), [Edge(x, 0)])) == ["MulBackward0", "SinBackward0"]
    assert names(plan(roots(out), [Edge(towards_y.node, 0)])) == ["MulBackward0"]
    assert plan(roots(out), [Edge(leaf(3), 0)]) == []
    assert plan(roots(out), [Edge(out.node, 0)]) == []


def test_a_target_runs_where_another_lies_behind_it():
    x = leaf(3)
    inner = call("sin", x)
    out = call("exp", inner)
    assert names(plan(roots(out), [Edge(inner.node, 0), Edge(x, 0)])) == ["ExpBackward0", "SinBackward0"]


def test_a_long_chain_needs_no_recursion():
    value = x = leaf(3)
    for _ in range(5000):
        value = call("sin", value)
    assert len(plan(roots(value), [Edge(x, 0)])) == 5000


def test_leaves_are_found_once_in_order():
    x, y = leaf(3), leaf(3)
    out = call("mul.Tensor", call("add.Tensor", y, x), y)
    edges = [edge for node in plan(roots(out)) for edge in node.edges]
    assert leaves([None, *edges]) == [y, x]


# ---------------------------------------------------------------- reach
def test_reach_numbers_by_structure_and_not_by_time():
    """Two sides that record the same graph in another order of views give every node the same number."""

    def made(first: str):
        x = leaf(3)
        if first == "sin":
            left = call("sin", x)
            right = call("exp", x)
        else:
            right = call("exp", x)
            left = call("sin", x)
        return roots(call("mul.Tensor", left, right))

    one, other = reach(made("sin"))[0], reach(made("exp"))[0]
    assert names(one) == names(other) == ["MulBackward0", "SinBackward0", "ExpBackward0"]
    assert [node.order for node in one] != sorted((node.order for node in other), reverse=True)


def test_reach_names_every_edge_also_those_that_lead_nowhere():
    x = leaf(3)
    out = call("mul.Tensor", call("sin", x), variable(f32(3)))
    start = roots(out)
    nodes, edges = reach([*start, None])
    assert edges == [*start, None, *nodes[0].edges, *nodes[1].edges]
    assert edges[3] is None
    assert edges[-1] == Edge(x, 0)


# ---------------------------------------------------------------- versions
def test_a_kept_input_must_have_its_version():
    x, y = leaf(2, 3), variable(f32(2, 3))
    out = call("mul.Tensor", x, y)
    out.node.check()
    write("add_.Tensor", y, variable(f32(3)))
    words = rf"^{MODIFIED}\[torch.FloatTensor \[2, 3\]\] is at version 1; expected version 0 instead. Hint: enable"
    with pytest.raises(RuntimeError, match=words):
        out.node.check()


def test_the_message_names_the_node_that_made_the_value():
    x = leaf(3)
    middle = call("sin", x)
    out = call("exp", x)
    product = call("mul.Tensor", middle, x)
    middle.storage.version += 1
    with pytest.raises(RuntimeError, match=r"\[3\]\], which is output 0 of Sin, is at version 1; expected version 0"):
        product.node.check()
    out.storage.version += 2
    with pytest.raises(RuntimeError, match=r"\[3\]\], which is output 0 of Exp, is at version 2; expected version 0"):
        out.node.check()


def test_a_write_to_a_view_is_seen_by_what_kept_its_base():
    x, base = leaf(2, 3), variable(f32(2, 3))
    out = call("mul.Tensor", x, base)
    write("zero_", select(base, 1))
    with pytest.raises(RuntimeError, match="is at version 1; expected version 0"):
        out.node.check()


def test_what_a_gradient_does_not_read_may_change():
    x, y = leaf(3), leaf(3)
    out = call("add.Tensor", call("sin", y), x)
    write("zero_", variable(f32(3), storage=x.storage))
    out.node.check()


# ---------------------------------------------------------------- freed
def test_a_released_node_that_kept_something_cannot_run_again():
    out = call("sin", leaf(3))
    out.node.release()
    assert out.node.kept == {}
    with pytest.raises(RuntimeError, match=AGAIN):
        out.node.check()


@pytest.mark.parametrize(("name", "rest", "freed"), [("neg", (), False), ("mul.Scalar", (2.0,), True)])
def test_a_node_that_keeps_nothing_runs_again_unless_pytorch_keeps_its_number(name, rest, freed):
    node = call(name, leaf(3), rest=rest).node
    node.release()
    assert node.freed is freed


def test_nodes_let_go_of_what_they_kept():
    x = leaf(3)
    out = call("mul.Tensor", x, x)
    assert {kept.value for kept in out.node.kept_values()} == {x}
    out.node.release()
    assert list(out.node.kept_values()) == []


# ---------------------------------------------------------------- writes and views
def test_a_recorded_write_gives_the_tensor_a_new_node_and_version():
    x = leaf(3)
    y = call("sin", x)
    before = y.node
    write("mul_.Scalar", y, rest=(2.0,))
    assert (y.node.name, y.node.edges, y.storage.version) == ("MulBackward0", (Edge(before, 0),), 1)
    assert names(plan(roots(y))) == ["MulBackward0", "SinBackward0"]


def test_a_write_to_a_view_goes_through_the_base():
    x = leaf(2, 3)
    base = call("sin", x)
    row = select(base, 1)
    write("mul_.Scalar", row, rest=(2.0,))
    slices = base.node
    assert isinstance(slices, CopySlices)
    assert (slices.name, slices.offset, slices.view, slices.function.name) == ("CopySlices", 3, f32(3), "MulBackward0")
    assert (row.node.name, row.node.edges) == ("AsStridedBackward0", (Edge(slices, 0),))
    assert names(plan(roots(row))) == ["AsStridedBackward0", "CopySlices", "SinBackward0"]


def test_a_view_gets_its_new_node_when_it_is_asked_for():
    x = leaf(2, 3)
    base = call("sin", x)
    row, other = select(base, 0), select(base, 1)
    before = other.node
    write("mul_.Scalar", row, rest=(2.0,))
    assert other.node is before
    refresh(other)
    assert (other.node.name, other.node.edges) == ("AsStridedBackward0", (Edge(base.node, 0),))
    now = other.node
    refresh(other)
    assert other.node is now


def test_a_view_of_a_view_is_one_of_the_base():
    base = call("sin", leaf(2, 3, 4))
    inner = select(select(base, 1), 2)
    assert inner.base is base
    write("mul_.Scalar", inner, rest=(2.0,))
    assert (base.node.offset, base.node.view) == (12 + 8, f32(4))


def test_one_of_several_views_of_a_call_cannot_be_refreshed():
    base = call("sin", leaf(2, 3))
    row = select(base, 0)
    row.view_kind = "multiple outputs"
    write("mul_.Scalar", base, rest=(2.0,))
    with pytest.raises(RuntimeError, match="Such functions do not allow the output views to be modified inplace"):
        gradient_edge(row)


def test_an_unrecorded_write_only_counts():
    x = variable(f32(3))
    write("zero_", x)
    assert (x.node, x.storage.version) == (None, 1)
