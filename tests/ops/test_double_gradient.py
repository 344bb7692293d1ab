"""The gradients of gradients: the rules are differentiable themselves, checked against differences of the first gradient."""

from __future__ import annotations

import pytest

from gradwire_protocol.ops import OPS
from tests.ops.samples import SAMPLES
from tests.ops.support import Function, assert_matches, describe, differentiable_cases, numeric_gradient, sampled


@pytest.mark.parametrize("name", [name for name in sampled(gradients_only=True) if SAMPLES[name].second_order])
def test_double_gradient(name: str) -> None:
    sample, op = SAMPLES[name], OPS[name]
    for number, case in differentiable_cases(sample):
        function = Function(op, case)
        values = function.values()
        numeric = numeric_gradient(function.directional, values, most=5)
        analytic = function.second_gradient(values)
        assert_matches(analytic, numeric, max(sample.gradient_rtol, 1e-4), describe(op, number, case))
