"""Kernels and gradient rules on the namespace that refuses implicit host conversion: the same results as on numpy."""

from __future__ import annotations

import numpy as np
import pytest

from gradwire_protocol.ops import OPS
from tests.ops.samples import SAMPLES
from tests.ops.support import (
    Function,
    call,
    cases,
    describe,
    differentiable_cases,
    engine_on,
    host,
    outputs_of,
    put,
    sampled,
)


def _run(name: str, number: int, backend: str) -> list[np.ndarray]:  # type: ignore[type-arg]
    op, case, engine = OPS[name], cases(SAMPLES[name])[number], engine_on(backend)
    args = [put(engine, value) for value in case.args]
    result = call(engine, op, args, {key: put(engine, value) for key, value in case.kwargs.items()})
    return [host(output) for output in outputs_of(op, args, result)]


@pytest.mark.parametrize("name", sampled())
def test_kernel(name: str) -> None:
    for number, case in enumerate(cases(SAMPLES[name])):
        for mine, wanted in zip(_run(name, number, "strict"), _run(name, number, "cpu"), strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-6, atol=1e-12, err_msg=describe(OPS[name], number, case))


@pytest.mark.parametrize("name", sampled(gradients_only=True))
def test_gradient(name: str) -> None:
    op = OPS[name]
    for number, case in differentiable_cases(SAMPLES[name]):
        strict, plain = Function(op, case, "strict"), Function(op, case)
        for mine, wanted in zip(strict.gradient(strict.values()), plain.gradient(plain.values()), strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-6, atol=1e-12, err_msg=describe(op, number, case))
