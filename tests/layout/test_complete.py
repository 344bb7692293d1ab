"""Every op has its three parts: the declaration, a kernel (and gradient rules), a sample record."""

from __future__ import annotations

import pytest

import gradwire_server.ops  # noqa: F401  (fills the tables)
from gradwire_protocol.registry import OPS, Op
from gradwire_server.rules import GRADIENTS, KERNELS
from tests.ops.samples import SAMPLES

RUN_BY_KERNELS = [op for op in OPS.values() if not op.is_control]
each_op = pytest.mark.parametrize("op", RUN_BY_KERNELS, ids=lambda op: op.name)


def names(op: Op) -> set[str]:
    """Return where the op's parts may stand: for an in-place op, its functional form too."""
    return {op.name} if op.functional is None else {op.name, op.functional.name}


@each_op
def test_it_has_a_kernel(op: Op) -> None:
    assert names(op) & KERNELS.keys(), f"{op.name} needs a @kernel in server/gradwire_server/ops"


@each_op
def test_it_has_a_sample(op: Op) -> None:
    assert names(op) & SAMPLES.keys(), f"{op.name} needs a record in tests/ops/samples"


@each_op
def test_each_differentiable_argument_has_a_rule(op: Op) -> None:
    if not op.differentiable:
        return
    found = names(op) & GRADIENTS.keys()
    assert found, f"{op.name} needs a gradient rule for {', '.join(op.differentiable)}"
    rule = GRADIENTS[found.pop()]
    missing = set(op.differentiable) - set(rule.rules) if rule.joint is None else set()
    assert missing == set(), f"{op.name} needs a gradient rule for {', '.join(sorted(missing))}"


def test_no_part_stands_for_an_op_that_is_not_declared() -> None:
    assert KERNELS.keys() - OPS.keys() == set()
    assert GRADIENTS.keys() - OPS.keys() == set()
    assert SAMPLES.keys() - OPS.keys() == set()


def test_a_control_op_has_no_kernel() -> None:
    assert [op.name for op in OPS.values() if op.is_control and op.name in KERNELS] == []
