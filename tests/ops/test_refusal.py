"""What must be refused is refused in PyTorch's class and words: by the shape rule, or by the kernel where values decide."""

from __future__ import annotations

import re

import pytest

from gradwire_protocol.ops import OPS
from tests.ops.samples import SAMPLES, Refusal
from tests.ops.support import call, engine_on, put, sampled


def refuse(name: str, refusal: Refusal) -> None:
    """Make a call that must be refused."""
    engine, op = engine_on("cpu"), OPS[name]
    kwargs = {key: put(engine, value) for key, value in refusal.kwargs.items()}
    call(engine, op, [put(engine, value) for value in refusal.args], kwargs)


@pytest.mark.parametrize("name", [name for name in sampled() if SAMPLES[name].refusals])
def test_refusals(name: str) -> None:
    for number, refusal in enumerate(SAMPLES[name].refusals):
        try:
            refuse(name, refusal)
        except refusal.error as error:
            assert re.search(refusal.match, str(error)), f"{name} refusal {number}: {error}"
        else:
            pytest.fail(f"{name} refusal {number} was not refused")
