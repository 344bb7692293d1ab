"""Steps that LLVM compiles have the bits of numpy's calls, also for zeros with signs, infinities and NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradwire_protocol.ops import OPS
from gradwire_server.native import machine
from gradwire_server.native.instructions import INSTRUCTIONS
from gradwire_server.programs.fusion import Fusion
from gradwire_server.programs.segments import NAME, Segment, cut, segment_text
from tests.server.fusions import sampled_fusions

needs_llvm = pytest.mark.skipif(
    not machine.is_available(), reason="no llvmlite (pip install 'gradwire[jit]'), or GRADWIRE_JIT=0"
)

_SPECIAL = np.array([0.0, -0.0, 1, -1, 0.5, -0.25, np.nan, np.inf, -np.inf, 1e-40, 3])


def test_every_instruction_is_of_a_pointwise_op() -> None:
    assert [name for name in INSTRUCTIONS if name not in OPS or not OPS[name].is_pointwise] == []


def _run(fusion: Fusion, segment: Segment, arrays: list[Any], result: Any) -> None:
    """Call a segment on whole arrays; what is to be read must not move meanwhile."""
    held = [*dict(zip(fusion.inputs, arrays, strict=True)).values(), result]
    function = machine.compiled(segment_text(segment), NAME, len(held) + 2)
    layout = fusion.layout
    sizes = (1, layout.rows * layout.columns) if segment.is_flat else (layout.rows, layout.columns)
    function(*sizes, *(array.__array_interface__["data"][0] for array in held))


def _as_segment(fusion: Fusion) -> Segment:
    kinds = tuple(fusion.kind(value.meta) for value in fusion.inputs)
    return Segment(fusion.steps, fusion.inputs, fusion.outputs, kinds)


def _is_compiled(fusion: Fusion) -> bool:
    """Return whether two of its step would be compiled together."""
    twice = Fusion(fusion.steps * 2, fusion.layout, fusion.inputs, fusion.outputs)
    return isinstance(cut(twice)[0], Segment)


@needs_llvm
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_instructions_have_the_bits_of_kernels(name: str, dtype: str) -> None:
    draw = np.random.default_rng(5)
    seen = 0
    for change in (None, lambda value: draw.choice(_SPECIAL, value.shape).astype(value.dtype)):
        for what, fusion, arrays, expected in sampled_fusions(name, dtype, change):
            if not _is_compiled(fusion):
                continue
            result = np.empty_like(expected)
            _run(fusion, _as_segment(fusion), arrays, result)
            seen += 1
            same = (result == expected) & (np.signbit(result) == np.signbit(expected)) if result.dtype.kind == "f" else (
                result == expected
            )  # fmt: skip
            assert (same | (result != result) & (expected != expected)).all(), f"{what}: {result} for {expected}"
    assert seen >= 2
