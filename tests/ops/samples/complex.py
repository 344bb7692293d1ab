"""Samples of complex numbers and their parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample


def _complex(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return np.asarray(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


def _values(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((2, 3), (), (0, 2)):
        # PyTorch's view_as_complex, which makes the leaf, does not take the strides of an empty array.
        yield Case((_complex(rng, shape),), torch_gradient=0 not in shape)
    yield Case((_complex(rng, (3, 2)).T.astype(np.complex64),))


def _with_real(rng: np.random.Generator) -> Iterator[Case]:
    yield from _values(rng)
    yield Case((np.array([-1.5, 0.0, 2.0, np.nan]),), differentiable=False)
    yield Case((rng.standard_normal((2, 3)).astype(np.float32),))


def _pairs(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in (np.float64, np.float32):
        first, second = rng.standard_normal((2, 2, 3)).astype(dtype)
        yield Case((first, second))
        yield Case((first, second[:, :1]))
        yield Case((np.abs(first[0, 0]), second))


def _polar(rng: np.random.Generator) -> Iterator[Case]:
    # PyTorch's gradient by a negative size has the wrong sign.
    for case in _pairs(rng):
        yield Case((np.abs(case.args[0]), case.args[1]))


def _joined(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((2, 3, 2), (2,)):
        yield Case((rng.standard_normal(shape),))
    yield Case((rng.standard_normal((3, 2)).astype(np.float32),))


_REAL = np.ones(2)
SAMPLES: list[Sample] = [
    Sample("real", lambda x: x.real, _with_real),
    Sample("imag", lambda x: x.imag, _values,
           (Refusal((_REAL,), RuntimeError, "imag is not implemented for tensors with non-complex dtypes"),)),
    Sample("view_as_real", lambda x: np.stack((x.real, x.imag), -1), _values,
           (Refusal((_REAL,), RuntimeError, "view_as_real is only supported for complex tensors"),)),
    Sample("view_as_complex", lambda x: (x[..., 0] + x.dtype.type(1) * 1j * x[..., 1]).astype(np.result_type(x, np.complex64)), _joined,
           (Refusal((np.ones(3),), RuntimeError, "Tensor must have a last dimension of size 2"),
            Refusal((np.float64(1),), RuntimeError, "Input tensor must have one or more dimensions"))),
    Sample("complex", lambda a, b: (a + 1j * b).astype(np.result_type(a, np.complex64)), _pairs,
           (Refusal((_REAL, _REAL.astype(np.float32)), RuntimeError, "Expected object of scalar type Double but got scalar type Float"),)),
    Sample("polar", lambda a, b: (a * np.exp(1j * b)).astype(np.result_type(a, np.complex64)), _polar),
    Sample("angle", lambda x: np.where(np.isnan(x), np.nan, np.angle(x)).astype(x.real.dtype), _with_real),
]  # fmt: skip
