"""Distributions of matrices, angles and tails by their formulas, where PyTorch's answers are rough or wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

LOC, KAPPA = np.array([0.3, -2.0, 1.0]), np.array([0.1, 2.0, 30.0])


def test_the_density_of_angles(t: Any) -> None:
    made = t.distributions.VonMises(t.tensor(LOC), t.tensor(KAPPA))
    x = np.array([1.0, 2.0, 1.2])
    # PyTorch has polynomials of seven digits for the Bessel functions.
    wanted = KAPPA * np.cos(x - LOC) - np.log(2 * math.pi * np.i0(KAPPA))
    np.testing.assert_allclose(made.log_prob(t.tensor(x)).numpy(), wanted, rtol=1e-6, atol=1e-6)


def test_draws_of_angles(t: Any) -> None:
    t.manual_seed(0)
    made = t.distributions.VonMises(t.tensor(LOC), t.tensor(KAPPA))
    x = made.sample((20_000,)).numpy()
    assert (np.abs(x) <= math.pi + 1e-6).all()
    np.testing.assert_allclose(np.cos(x - LOC).mean(0), 1 - made.variance.numpy(), atol=0.03)
    np.testing.assert_allclose(np.sin(x - LOC).mean(0), 0, atol=0.03)


@pytest.mark.parametrize("c", [0.3, 0.0, -0.4])
def test_tails(t: Any, c: float) -> None:
    # PyTorch's log_prob compares the concentration with a single-precision zero, and refuses double precision so.
    loc, scale, shape = (t.tensor([value], dtype=t.float32) for value in (0.1, 2.0, c))
    made = t.distributions.GeneralizedPareto(loc, scale, shape)
    x = np.array([0.5, 1.7], np.float32)
    z = (x - 0.1) / 2
    survival = np.exp(-z) if c == 0 else (1 + c * z) ** (-1 / c)
    density = survival / 2 if c == 0 else survival / (1 + c * z) / 2
    np.testing.assert_allclose(made.log_prob(t.tensor(x)).numpy(), np.log(density), rtol=1e-5)
    np.testing.assert_allclose(made.cdf(t.tensor(x)).numpy(), 1 - survival, rtol=1e-5)
    np.testing.assert_allclose(made.icdf(made.cdf(t.tensor(x))).numpy(), x, rtol=1e-5)
    np.testing.assert_allclose(made.mean.numpy(), 0.1 + 2 / (1 - c), rtol=1e-6)


def test_a_tail_that_ends_is_refused_beyond_its_end(t: Any) -> None:
    made = t.distributions.GeneralizedPareto(t.tensor([0.0]), t.tensor([1.0]), t.tensor([-0.5]))
    with pytest.raises(ValueError, match="to be within the support"):
        made.log_prob(t.tensor([2.5]))


@pytest.mark.parametrize("concentration", [1.0, 3.0])
def test_correlations_are_drawn_alike_in_all_places(session: Any, concentration: float) -> None:
    """Each has the variance 1 / (2 concentration + dim - 1): PyTorch's draws have it in the first place alone."""
    import gradwire as t

    t.manual_seed(0)
    factors = t.distributions.LKJCholesky(4, concentration).sample((20_000,)).numpy()
    matrices = factors @ factors.swapaxes(-1, -2)
    np.testing.assert_allclose(matrices.diagonal(axis1=-2, axis2=-1), 1, rtol=1e-5)
    spread = matrices.var(0)[np.tril_indices(4, -1)]
    np.testing.assert_allclose(spread, 1 / (2 * concentration + 3), rtol=0.06)


def test_the_divergence_of_wisharts_is_the_mean_of_log_ratios(session: Any) -> None:
    """PyTorch's formula gives negative numbers."""
    import gradwire as t

    t.manual_seed(0)
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    p = t.distributions.Wishart(4.0, covariance_matrix=t.tensor(matrix))
    q = t.distributions.Wishart(5.0, scale_tril=t.tensor(np.linalg.cholesky(matrix * 0.7)))
    drawn = p.sample((20_000,))
    ratios = (p.log_prob(drawn) - q.log_prob(drawn)).numpy()
    found = t.distributions.kl_divergence(p, q).item()
    assert abs(found - ratios.mean()) < 5 * ratios.std() / math.sqrt(20_000)


def test_few_degrees_of_freedom(t: Any) -> None:
    with pytest.raises(ValueError, match="expected to be greater than ndim - 1 = 1"):
        t.distributions.Wishart(t.tensor(1.0), covariance_matrix=t.eye(2))
    with pytest.warns(UserWarning, match="Low df values detected"):
        t.distributions.Wishart(t.tensor(1.5), covariance_matrix=t.eye(2))


@pytest.mark.parametrize("name", ["corr_cholesky", "positive_definite", "cdf"])
def test_maps_onto_matrices(session: Any, name: str) -> None:
    import gradwire

    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((4, 3, 3) if name == "positive_definite" else (4, 6))
    answers = []
    for t in (gradwire, torch):
        d = t.distributions
        transform = d.transform_to(getattr(d.constraints, name)) if name != "cdf" else None
        transform = transform or d.CumulativeDistributionTransform(d.Normal(0.0, t.tensor(2.0, dtype=t.float64)))
        given = t.tensor(x, requires_grad=True)
        y = transform(given)
        assert transform.codomain.check(y).all()
        back = transform.inv(y)
        parts = [y, y.sum(), back]
        if name != "positive_definite":
            np.testing.assert_allclose(back.detach().numpy(), x, rtol=1e-6)
            parts += [transform.log_abs_det_jacobian(given, y), transform.forward_shape((4, 6))]
        y.square().cumsum(-1).sum().backward()
        answers.append([np.array(p.detach().numpy() if hasattr(p, "detach") else p) for p in [*parts, given.grad]])
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-10)
