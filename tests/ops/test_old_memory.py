"""No result shows what its memory held before: on a worker that serves several, that may be another session's tensor.

Every op runs in memory that is filled with one pattern, then with another one. What differs was never written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradwire_protocol.ops import OPS
from tests.ops.samples import SAMPLES
from tests.ops.support import call, cases, describe, engine_on, host, outputs_of, put, sampled


def _filled(make: Callable[..., Any], pattern: int) -> Callable[..., Any]:
    def made(*args: Any, **kwargs: Any) -> Any:
        array = make(*args, **kwargs)
        # By bytes, so that every dtype has other values; True and False stay themselves.
        array.reshape(-1).view(np.uint8)[...] = pattern if array.dtype != bool else pattern & 1
        return array

    return made


def _outputs(name: str, case: Any, pattern: int, patch: pytest.MonkeyPatch) -> list[bytes]:
    op = OPS[name]
    with patch.context() as patched:
        engine = engine_on("cpu")
        args = [put(engine, value) for value in case.args]
        kwargs = {key: put(engine, value) for key, value in case.kwargs.items()}
        for maker in ("empty", "empty_like"):
            patched.setattr(np, maker, _filled(getattr(np, maker), pattern))
        return [host(output).tobytes() for output in outputs_of(op, args, call(engine, op, args, kwargs))]


def test_the_patterns_are_what_kernels_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "empty", _filled(np.empty, 0x3E))
    assert engine_on("cpu").backend.empty((2,), np.dtype(np.int16)).tolist() == [0x3E3E] * 2


@pytest.mark.parametrize("name", sampled())
def test_results_do_not_show_what_their_memory_held(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, case in enumerate(cases(SAMPLES[name])):
        first, second = (_outputs(name, case, pattern, monkeypatch) for pattern in (0x3E, 0x41))
        assert first == second, describe(OPS[name], number, case)
