"""Every gradient rule against central differences in float64."""

from __future__ import annotations

import pytest

from gradwire_protocol.ops import OPS
from tests.ops.samples import SAMPLES
from tests.ops.support import Function, assert_matches, describe, differentiable_cases, numeric_gradient, sampled


@pytest.mark.parametrize("name", sampled(gradients_only=True))
def test_gradient(name: str) -> None:
    sample, op = SAMPLES[name], OPS[name]
    covered: set[str] = set()
    for number, case in differentiable_cases(sample):
        function = Function(op, case)
        values = function.values()
        covered |= {op.arguments[position].name for position, _ in function.places}
        analytic = function.gradient(values)
        assert_matches(
            analytic, numeric_gradient(function.number, values), sample.gradient_rtol, describe(op, number, case)
        )
    assert covered == set(op.differentiable), (
        f"{name}: a case with float64 inputs is needed for each of {set(op.differentiable)}"
    )
