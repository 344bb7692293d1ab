"""Samples of the Fourier transforms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

_NORMS = ("backward", "ortho", "forward")


def _complex(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def _c2c(x: Any, dim: Any, normalization: int, forward: bool) -> Any:
    # numpy's words for the same scales depend on the direction.
    made = np.fft.fftn(x, axes=dim, norm=_NORMS[normalization]) if forward else np.conj(
        np.fft.fftn(np.conj(x), axes=dim, norm=_NORMS[normalization]))  # fmt: skip
    return made.astype(x.dtype)


def _r2c(x: Any, dim: Any, normalization: int, onesided: bool) -> Any:
    made = np.fft.fftn(x, axes=dim, norm=_NORMS[normalization])
    if onesided:
        made = np.take(made, range(x.shape[dim[-1]] // 2 + 1), axis=dim[-1])
    return made.astype(np.result_type(x, np.complex64))


def _c2r(x: Any, dim: Any, normalization: int, last_dim_size: int) -> Any:
    back = np.conj(np.fft.fftn(np.conj(x), axes=dim[:-1], norm=_NORMS[normalization])) if len(dim) > 1 else x
    return np.fft.irfft(back, last_dim_size, axis=dim[-1], norm=_NORMS[2 - normalization]).astype(x.real.dtype)


def _c2c_cases(rng: np.random.Generator) -> Iterator[Case]:
    for normalization in range(3):
        yield Case((_complex(rng, (3, 4)), (1,), normalization, True))
        yield Case((_complex(rng, (3, 4)), (0, 1), normalization, False))
    yield Case((_complex(rng, (5,)).astype(np.complex64), (0,), 0, True))


def _r2c_cases(rng: np.random.Generator) -> Iterator[Case]:
    for size in (4, 5):
        yield Case((rng.standard_normal((2, size)), (1,), 0, True))
        yield Case((rng.standard_normal((2, size)), (0, 1), 1, True))
        yield Case((rng.standard_normal((2, size)).astype(np.float32), (1,), 2, False))


def _c2r_cases(rng: np.random.Generator) -> Iterator[Case]:
    for size in (4, 5):
        half = np.fft.rfft(rng.standard_normal((2, size)))
        yield Case((half, (1,), 0, size))
        yield Case((half.astype(np.complex64), (1,), 2, size))


SAMPLES: list[Sample] = [
    Sample("_fft_c2c", _c2c, _c2c_cases,
           (Refusal((np.ones(3), (0,), 0, True), RuntimeError, "_fft_c2c expects a complex", in_torch=False),)),
    Sample("_fft_r2c", _r2c, _r2c_cases,
           (Refusal((np.ones(3, np.int64), (0,), 0, True), RuntimeError, "_fft_r2c expects a floating", in_torch=False),)),
    Sample("_fft_c2r", _c2r, _c2r_cases,
           (Refusal((np.ones(3, np.complex64), (0,), 0, 0), RuntimeError, r"Invalid number of data points \(0\) specified", in_torch=False),)),
]  # fmt: skip
