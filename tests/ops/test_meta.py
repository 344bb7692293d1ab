"""What the shape rule promises is what the kernel makes; strides and offsets of views are those of the memory."""

from __future__ import annotations

import pytest

from gradwire_protocol.ops import OPS
from gradwire_server.engine import Array
from tests.ops.samples import SAMPLES
from tests.ops.support import call, cases, describe, engine_on, outputs_of, put, sampled


@pytest.mark.parametrize("name", sampled())
def test_the_rule_says_what_the_kernel_makes(name: str) -> None:
    sample, op = SAMPLES[name], OPS[name]
    for number, case in enumerate(cases(sample)):
        engine = engine_on("cpu")
        args = [put(engine, value) for value in case.args]
        result = call(engine, op, args, {key: put(engine, value) for key, value in case.kwargs.items()})
        for output in outputs_of(op, args, result):
            what = describe(op, number, case)
            assert (output.data.shape, output.data.dtype) == (output.meta.shape, output.meta.dtype.numpy), what
            if op.is_view:
                _check_geometry(output, args[0], what)
            elif not op.writes:
                assert output.data.flags.c_contiguous and output.meta.is_contiguous, what


def _check_geometry(view: Array, viewed: Array, what: str) -> None:
    meta = view.meta
    if meta.numel == 0:
        return
    for size, stride, real in zip(meta.shape, meta.strides, view.data.strides, strict=True):
        assert size == 1 or real == stride * meta.dtype.itemsize, what
    moved = view.data.ctypes.data - viewed.data.ctypes.data
    assert moved == (view.offset - viewed.offset) * meta.dtype.itemsize, what
