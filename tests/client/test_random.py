"""Random draws: what repeats, what is refused and in which words, and the moments of each family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

DRAWS: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "exponential": (lambda t: t.empty(20000).exponential_(4.0), 0.25, 0.0625),
    "log_normal": (lambda t: t.empty(20000).log_normal_(0.0, 0.5), np.exp(0.125), (np.exp(0.25) - 1) * np.exp(0.25)),
    "geometric": (lambda t: t.empty(20000).geometric_(0.25), 4.0, 12.0),
    "bernoulli_by": (lambda t: t.empty(20000).bernoulli_(t.full((20000,), 0.25)), 0.25, 0.1875),
    "bernoulli": (lambda t: t.bernoulli(t.full((20000,), 0.25)), 0.25, 0.1875),
    "poisson": (lambda t: t.poisson(t.full((20000,), 3.5)), 3.5, 3.5),
    "binomial": (lambda t: t.binomial(t.full((20000,), 40.0), t.full((20000,), 0.3)), 12.0, 8.4),
    "standard_gamma": (lambda t: t._standard_gamma(t.full((20000,), 0.7)), 0.7, 0.7),
    "dirichlet": (lambda t: t._sample_dirichlet(t.tensor([2.0, 1.0, 1.0]).expand(20000, 3))[:, 0], 0.5, 0.05),
    "normal": (lambda t: t.normal(2.0, 3.0, (20000,)), 2.0, 9.0),
    "normal_tensors": (lambda t: t.normal(t.full((20000,), 2.0), t.tensor(3.0).expand(20000)), 2.0, 9.0),
    "random": (lambda t: t.empty(20000).random_(2, 8), 4.5, 35 / 12),
    "multinomial": (lambda t: t.multinomial(t.tensor([1.0, 0.0, 3.0]), 20000, True).float(), 1.5, 0.75),
    "rand_like": (lambda t: t.rand_like(t.empty(20000)), 0.5, 1 / 12),
    "complex": (lambda t: t.randn(20000, dtype=t.complex64).abs().square(), 1.0, 1.0),
}


@pytest.mark.parametrize("name", DRAWS)
def test_mean_and_variance(t: Any, name: str) -> None:
    draw, mean, variance = DRAWS[name]
    t.manual_seed(0)
    drawn = draw(t).numpy().astype(np.float64)
    assert drawn.shape == (20000,)
    assert abs(drawn.mean() - mean) < 6 * np.sqrt(variance / 20000)
    assert abs(drawn.var() - variance) < 0.15 * variance


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_repeats_a_draw_and_no_other_does(t: Any, name: str) -> None:
    draw = DRAWS[name][0]
    t.manual_seed(3)
    first, second = draw(t), draw(t)
    t.manual_seed(3)
    assert t.equal(draw(t), first)
    assert not t.equal(first, second)


def test_multinomial_without_replacement_draws_distinct_indices(t: Any) -> None:
    weights = t.tensor([[1.0, 0.0, 5.0, 2.0], [0.0, 1.0, 1.0, 1.0]]).repeat(200, 1)
    drawn = t.multinomial(weights, 3).numpy()
    assert {tuple(sorted(row)) for row in drawn[::2]} == {(0, 2, 3)}
    assert {tuple(sorted(row)) for row in drawn[1::2]} == {(1, 2, 3)}
    first = (drawn[::2, 0] == 2).mean()
    assert abs(first - 5 / 8) < 0.15


def test_generators(t: Any) -> None:
    generator = t.Generator().manual_seed(5)
    assert generator.initial_seed() == 5
    assert str(generator.device) == "cpu"
    state = generator.get_state()
    first = t.rand(4, generator=generator)
    twin = generator.clone_state()
    second = t.empty(4).exponential_(generator=generator)
    assert t.equal(t.empty(4).exponential_(generator=twin), second)
    generator.set_state(state)
    assert t.equal(t.rand(4, generator=generator), first)
    with pytest.raises(RuntimeError, match="manual_seed expected a long, but got float"):
        generator.manual_seed(1.5)
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        generator.manual_seed(2**64)
    with pytest.raises(TypeError, match=r"RNG state must be a torch\.ByteTensor"):
        generator.set_state(t.zeros(16))


def test_fork_rng_and_state_round_trips(t: Any) -> None:
    t.manual_seed(1)
    with t.random.fork_rng(devices=[]):
        inside = t.rand(3)
    assert t.equal(t.rand(3), inside)
    state = t.get_rng_state()
    first = t.randn(3)
    t.random.set_rng_state(state)
    assert t.equal(t.randn(3), first)
    assert t.random.initial_seed() == 1


REFUSED: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "exponential": (
        lambda t: t.empty(2).exponential_(0.0),
        RuntimeError,
        "exponential_ expects lambda > 0.0, but found lambda=0",
    ),
    "cauchy": (lambda t: t.empty(2).cauchy_(0, -1), RuntimeError, "cauchy_ expects sigma > 0.0, but found sigma=-1"),
    "log_normal": (
        lambda t: t.empty(2).log_normal_(0, 0),
        RuntimeError,
        "log_normal_ expects std > 0.0, but found std=0",
    ),
    "geometric": (
        lambda t: t.empty(2).geometric_(1.0),
        RuntimeError,
        r"geometric_ expects p to be in \(0, 1\), but got p=1",
    ),
    "bernoulli": (
        lambda t: t.bernoulli(t.empty(2), 1.5),
        RuntimeError,
        r"bernoulli_ expects p to be in \[0, 1\], but got p=1.5",
    ),
    "long": (lambda t: t.zeros(2, dtype=t.int64).normal_(), NotImplementedError, "not implemented for 'Long'"),
    "rand": (lambda t: t.rand(2, dtype=t.int64), NotImplementedError, "not implemented for 'Long'"),
    "random": (lambda t: t.empty(2).random_(5, 3), RuntimeError, "to be less than 'to', but got from=5 >= to=3"),
    "random_bounds": (
        lambda t: t.zeros(2, dtype=t.int8).random_(300),
        RuntimeError,
        "to - 1 is out of bounds for signed char",
    ),
    "normal": (lambda t: t.normal(t.zeros(2), -1.0), RuntimeError, "normal expects std >= 0.0, but found std -1"),
    "normal_size": (lambda t: t.normal(0, 1), TypeError, "normal"),
    "randperm": (lambda t: t.randperm(3, dtype=t.bool), NotImplementedError, "\"randperm\" not implemented for 'Bool'"),
    "weights": (lambda t: t.multinomial(t.tensor([1.0, -1.0]), 1).tolist(), RuntimeError, "inf`, `nan` or element < 0"),
    "rate": (lambda t: t.poisson(t.tensor([-1.0])).tolist(), RuntimeError, "invalid Poisson rate"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(t: Any, name: str) -> None:
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        call(t)


def test_draws_are_constant_in_their_parameters(t: Any) -> None:
    mean = t.ones(3, requires_grad=True)
    for drawn in (t.normal(mean, 1.0), t.normal(0.0, mean), t.normal(mean, mean), t.poisson(mean), t.bernoulli(mean)):
        mean.grad = None
        drawn.sum().backward()
        assert mean.grad.tolist() == [0, 0, 0]


def test_the_gradient_of_gamma_numbers_follows_the_quantile(t: Any) -> None:
    from scipy import special

    concentration = t.tensor([0.3, 1.0, 4.0, 60.0], dtype=t.float64, requires_grad=True)
    t.manual_seed(0)
    drawn = t._standard_gamma(concentration)
    drawn.sum().backward()
    a, x = concentration.detach().numpy(), drawn.detach().numpy()
    below, step = special.gammainc(a, x), 1e-4 * a
    slope = (special.gammaincinv(a + step, below) - special.gammaincinv(a - step, below)) / (2 * step)
    np.testing.assert_allclose(concentration.grad.numpy(), slope, rtol=1e-3)
