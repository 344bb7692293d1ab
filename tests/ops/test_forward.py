"""Every op against its reference: values, shapes, what is written and what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradwire_protocol.ops import OPS
from gradwire_server.engine import Array
from tests.ops.samples import SAMPLES
from tests.ops.support import call, cases, describe, engine_on, host, is_array, outputs_of, put, sampled


def _arrays(value: Any) -> list[Array]:
    if isinstance(value, Array):
        return [value]
    return [item for item in value if isinstance(item, Array)] if isinstance(value, list) else []


def _expected(sample: Any, case: Any) -> list[Any]:
    args = [np.array(a) if is_array(a) else [np.array(i) if is_array(i) else i for i in a] if isinstance(a, list) else a
            for a in case.args]  # fmt: skip
    with np.errstate(all="ignore"):
        result = sample.reference(*args, **case.kwargs)
    return list(result) if isinstance(result, tuple | list) else [result]


@pytest.mark.parametrize("name", sampled())
def test_values(name: str) -> None:
    sample, op = SAMPLES[name], OPS[name]
    for number, case in enumerate(cases(sample)):
        what = describe(op, number, case)
        engine = engine_on("cpu")
        args = [put(engine, value) for value in case.args]
        kwargs = {key: put(engine, value) for key, value in case.kwargs.items()}
        outputs = outputs_of(op, args, call(engine, op, args, kwargs))
        expected = _expected(sample, case)
        assert len(outputs) == len(expected), what
        for output, wanted in zip(outputs, expected, strict=True):
            assert output.shape == np.shape(wanted), what
            np.testing.assert_allclose(host(output), wanted, rtol=sample.rtol, atol=sample.atol, err_msg=what)


@pytest.mark.parametrize("name", sampled())
def test_only_what_is_declared_is_written(name: str) -> None:
    sample, op = SAMPLES[name], OPS[name]
    for number, case in enumerate(cases(sample)):
        engine = engine_on("cpu")
        args = [put(engine, value) for value in case.args]
        before = [[host(array) for array in _arrays(value)] for value in args]
        versions = [[array.storage.version for array in _arrays(value)] for value in args]
        result = call(engine, op, args, {key: put(engine, value) for key, value in case.kwargs.items()})
        for argument, value, held, counted in zip(op.arguments, args, before, versions, strict=False):
            for array, old, version in zip(_arrays(value), held, counted, strict=True):
                if argument.is_written:
                    assert array.storage.version == version + 1, describe(op, number, case)
                else:
                    np.testing.assert_array_equal(host(array), old, err_msg=describe(op, number, case))
        if not op.writes:
            _check_aliasing(op, args, outputs_of(op, args, result), describe(op, number, case))


def _check_aliasing(op: Any, args: list[Any], outputs: list[Array], what: str) -> None:
    """A view shares its input's memory, and nothing else does."""
    for output in outputs:
        for array in (array for value in args for array in _arrays(value)):
            shares = np.shares_memory(output.data, array.data)
            if op.is_view and array is args[0]:
                assert shares or output.meta.numel == 0, what
            elif not op.is_view:
                assert not shares, what
