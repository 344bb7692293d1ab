"""Samples of the random family. The bits come from numpy's own Philox; what is made of them is worked out here again.

The distributions themselves are tested in tests/server/test_philox.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.special
import scipy.stats

from gradwire_protocol.dtypes import float32, float64, int32, int64
from gradwire_server import philox
from tests.ops.samples.record import Case, Refusal, Sample

Array = np.ndarray[Any, Any]
_SEED, _OFFSET = 1234, 5


def _words(count: int, seed: int, offset: int) -> Array:
    """Return words of numpy's Philox, which steps its counter before it draws."""
    return np.random.Philox(key=seed % 2**64, counter=(offset - 1) % 2**256).random_raw(count)


def _uniform64(shape: tuple[int, ...], seed: int, offset: int) -> Array:
    count = int(np.prod(shape))
    return ((_words(count, seed, offset) >> np.uint64(11)) * 2.0**-53).reshape(shape)


def _cases(*rest: Any, dtypes: tuple[Any, ...] = (float64,)) -> Any:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for size in ((), (5,), (2, 0), (3, 4)):
            for dtype in dtypes:
                yield Case((size, *rest, _SEED, _OFFSET), {"dtype": dtype})
        yield Case(((7,), *rest, -1, 0), {"dtype": dtypes[0]})

    return cases


def _in_place(*numbers: Any) -> Any:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for array in (np.zeros((3, 4)), np.zeros((4, 3)).T, np.zeros(()), np.zeros(0)):
            yield Case((array, *numbers, _SEED, _OFFSET), differentiable=False)
        # The gradient of what was overwritten is zero, which finite differences see too.
        yield Case((np.ones((2, 2)), *numbers, _SEED, _OFFSET))

    return cases


def _dropout_cases(rng: np.random.Generator) -> Iterator[Case]:
    for p in (0.0, 0.3, 1.0):
        yield Case((rng.standard_normal((3, 4)), p, _SEED, _OFFSET))
        yield Case((rng.standard_normal(5).astype(np.float32), p, _SEED, _OFFSET))


def _dropout(input: Array, p: float, seed: int, offset: int) -> tuple[Array, Array]:
    mask = philox.bernoulli(np, input.shape, 1 - p, seed, offset)
    kept = np.where(mask, input / (1 - p) if p < 1 else 0, 0)
    return kept.astype(input.dtype), mask


def _normal(shape: tuple[int, ...], seed: int, offset: int) -> Array:
    return philox.normal(np, shape, float64, seed, offset)  # type: ignore[no-any-return]


def _open(shape: tuple[int, ...], seed: int, offset: int) -> Array:
    count = int(np.prod(shape))
    return (((_words(count, seed, offset) >> np.uint64(12)) + 0.5) * 2.0**-52).reshape(shape)


def _gamma_slope(a: Array, x: Array) -> Array:
    """Return the slope of the quantile function in the concentration, at the quantile of x."""
    step = 1e-4 * a
    below = scipy.special.gammainc(a, x)
    return (scipy.special.gammaincinv(a + step, below) - scipy.special.gammaincinv(a - step, below)) / (2 * step)


def _choices(weights: Array, count: int, replacement: bool, seed: int, offset: int) -> Array:
    if not replacement:
        with np.errstate(divide="ignore"):
            keys = -np.log(_open(weights.shape, seed, offset)) / weights
        return np.argsort(keys, -1)[..., :count]
    sums = weights.cumsum(-1)
    values = _open((*weights.shape[:-1], count), seed, offset) * sums[..., -1:]
    return (sums[..., None, :] <= values[..., :, None]).sum(-1)


def _floats_only(match: str, *numbers: float, error: type[Exception] = NotImplementedError) -> Refusal:
    return Refusal((np.zeros(2, int), *numbers, 0, 0), error, match, in_torch=False)


def _no_floats(match: str, *rest: Array, error: type[Exception] = NotImplementedError) -> Refusal:
    return Refusal((np.ones(2, int), *rest, 0, 0), error, match, in_torch=False)


_NEGATIVE = Refusal(((-1,), 0, 0), RuntimeError, "negative dimension -1", {"dtype": float32}, in_torch=False)

SAMPLES: list[Sample] = [
    Sample("gw::uniform", lambda size, seed, offset, dtype: _uniform64(size, seed, offset), _cases(), (_NEGATIVE,)),
    Sample("gw::normal", lambda size, seed, offset, dtype: _normal(size, seed, offset), _cases(), (_NEGATIVE,)),
    Sample(
        "gw::integers",
        lambda size, low, high, seed, offset, dtype: (
            ((_words(int(np.prod(size)), seed, offset) % np.uint64(high - low)).astype(np.int64) + low)
            .reshape(size)
            .astype(dtype.numpy)
        ),
        _cases(-3, 9, dtypes=(int64, int32)),
    ),
    Sample(
        "gw::permutation",
        lambda n, seed, offset, dtype: philox.permutation(np, n, dtype, seed, offset),
        lambda rng: [Case((n, _SEED, _OFFSET), {"dtype": int64}) for n in (0, 1, 7, 100)],
    ),
    Sample(
        "gw::uniform_",
        lambda self, low, high, s, o: low + (high - low) * _uniform64(self.shape, s, o),
        _in_place(-1.0, 3.0),
    ),
    Sample("gw::normal_", lambda self, mean, std, s, o: mean + std * _normal(self.shape, s, o), _in_place(1.0, 2.0)),
    Sample(
        "gw::bernoulli_",
        lambda self, p, s, o: philox.bernoulli(np, self.shape, p, s, o).astype(self.dtype),
        _in_place(0.4),
    ),
    Sample(
        "gw::random_",
        lambda self, low, high, s, o: (
            (_words(self.size, s, o) % np.uint64(high - low)).reshape(self.shape).astype(self.dtype) + low
        ),
        _in_place(2, 8),
    ),
    Sample(
        "gw::bernoulli",
        lambda self, s, o: (_uniform64(self.shape, s, o) < self).astype(self.dtype),
        lambda rng: [Case((rng.random((3, 4)), _SEED, _OFFSET)), Case((np.array(1.0), _SEED, _OFFSET))],
    ),
    Sample("gw::dropout", _dropout, _dropout_cases),
    Sample(
        "gw::exponential_",
        lambda self, lambd, s, o: -np.log(_open(self.shape, s, o)) / lambd,
        _in_place(2.0),
        (_floats_only("dtype must be a floating point but you specified Long", 1.0, error=RuntimeError),),
    ),
    Sample(
        "gw::cauchy_",
        lambda self, median, sigma, s, o: scipy.stats.cauchy.ppf(_open(self.shape, s, o), median, sigma),
        _in_place(1.0, 2.0),
        (_floats_only("Cauchy distribution is a continuous", 0.0, 1.0, error=RuntimeError),),
    ),
    Sample(
        "gw::log_normal_",
        lambda self, mean, std, s, o: np.exp(mean + std * _normal(self.shape, s, o)),
        _in_place(0.5, 0.3),
        (_floats_only("\"log_normal_cpu\" not implemented for 'Long'", 0.0, 1.0),),
    ),
    Sample(
        "gw::geometric_",
        # The upper tail at u is the lower one at 1 - u.
        lambda self, p, s, o: scipy.stats.geom.isf(_open(self.shape, s, o), p),
        _in_place(0.3),
        (Refusal((np.zeros(2, bool), 0.5, 0, 0), NotImplementedError, "geometric_cpu", in_torch=False),),
    ),
    Sample(
        "gw::bernoulli_by_",
        lambda self, p, s, o: (_uniform64(self.shape, s, o) < p).astype(self.dtype),
        lambda rng: [Case((np.ones((3, 4)), rng.random(4), _SEED, _OFFSET)), Case((np.ones(3), np.array(0.5), 1, 0))],
        (
            Refusal(
                (np.zeros(2), np.zeros(2, int), 0, 0), NotImplementedError, "bernoulli_tensor_cpu_p_", in_torch=False
            ),
        ),
    ),
    Sample(
        "gw::normal_around",
        lambda mean, std, s, o: mean + std * _normal(np.broadcast_shapes(mean.shape, std.shape), s, o),
        lambda rng: [
            Case((rng.random((3, 1)), rng.random(4), _SEED, _OFFSET), differentiable=False),
            Case((np.zeros(0), np.ones(0), _SEED, _OFFSET)),
        ],
        (_no_floats('"normal_kernel_cpu"', np.ones(2)),),
    ),
    Sample(
        "gw::normal_with_mean",
        lambda mean, std, s, o: mean + std * _normal(mean.shape, s, o),
        lambda rng: [
            Case((rng.random((3, 1)), 0.5, _SEED, _OFFSET), differentiable=False),
            Case((np.zeros(0), 0.5, _SEED, _OFFSET)),
        ],
    ),
    Sample(
        "gw::normal_with_std",
        lambda mean, std, s, o: mean + std * _normal(std.shape, s, o),
        lambda rng: [
            Case((1.5, rng.random((3, 1)), _SEED, _OFFSET), differentiable=False),
            Case((1.5, np.zeros(0), _SEED, _OFFSET)),
        ],
    ),
    Sample(
        "gw::poisson",
        lambda self, s, o: scipy.stats.poisson.ppf(_open(self.shape, s, o), self),
        lambda rng: [
            Case((rate, _SEED, _OFFSET), differentiable=rate.ndim == 0)
            for rate in (rng.random((3, 4)) * 20, np.array([0.0, 1e-3, 1e3, 1e9]), np.zeros(0), np.array(2.0))
        ],
        (_no_floats("\"poisson_cpu\" not implemented for 'Long'"),),
    ),
    Sample(
        "gw::binomial",
        lambda n, p, s, o: scipy.stats.binom.ppf(_open(np.broadcast_shapes(n.shape, p.shape), s, o), n, p),
        lambda rng: [
            Case((np.array([[0.0], [1.0], [30.0], [1e6]]), np.array([0.0, 0.01, 0.5, 0.97, 1.0]), _SEED, _OFFSET)),
            Case((np.zeros(0), np.zeros(0), _SEED, _OFFSET)),
        ],
        (
            _no_floats(
                "binomial only supports floating-point dtypes for count, got: Long", np.ones(2), error=ValueError
            ),
            Refusal(
                (np.ones(2), np.ones(2, np.float32), 0, 0),
                RuntimeError,
                "Found dtype Float but expected Double",
                in_torch=False,
            ),
        ),
    ),
    Sample(
        "gw::standard_gamma",
        lambda self, s, o: np.maximum(scipy.stats.gamma.ppf(_open(self.shape, s, o), self), np.finfo(self.dtype).tiny),
        lambda rng: [
            Case((a, _SEED, _OFFSET))
            for a in (rng.random((3, 4)) * 5 + 0.1, np.array([30.0, 4e3]), np.zeros(0), np.array(1.0))
        ],
        (_no_floats("\"gamma_cpu\" not implemented for 'Long'"),),
        second_order=False,
    ),
    Sample(
        "_standard_gamma_grad",
        _gamma_slope,
        lambda rng: [
            Case(
                (
                    np.array([[0.1], [1.0], [7.0], [40.0]]),
                    np.array([0.3, 1.0, 1.7]) * np.array([[0.1], [1], [7], [40]]),
                ),
                differentiable=False,
                torch_gradient=False,
            ),
        ],
        (Refusal((np.ones(2, int), np.ones(2)), RuntimeError, "Found dtype Double but expected Long"),),
        # PyTorch approximates.
        rtol=2e-4,
        second_order=False,
        gradients_by_values=False,
    ),
    Sample(
        "gw::multinomial",
        _choices,
        lambda rng: [
            Case((weights, 3, replacement, _SEED, _OFFSET))
            for weights in (rng.random(5), rng.random((4, 7)), np.array([0.0, 1.0, 2.0, 0.0, 3.0]), np.ones((0, 3)))
            for replacement in (False, True)
        ],
        (
            Refusal((np.ones(()), 1, False, 0, 0), RuntimeError, "prob_dist must be 1 or 2 dim", in_torch=False),
            Refusal((np.ones(2), 0, False, 0, 0), RuntimeError, "cannot sample n_sample <= 0 samples", in_torch=False),
            Refusal((np.ones(2), 3, False, 0, 0), RuntimeError, "samples without replacement", in_torch=False),
            Refusal(
                (np.ones(2, int), 1, False, 0, 0), RuntimeError, "multinomial only supports floating", in_torch=False
            ),
        ),
    ),
]
