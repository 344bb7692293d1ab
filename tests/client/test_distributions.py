"""`gradwire.distributions` against PyTorch's, by one table of constructors; draws by their moments and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradwire import distributions

Make = Callable[[Any, Any, Any, Any], Any]

# Two parameters of three positive numbers, and one of rows; how a distribution is made of them; and values to ask about.
A, B = [0.4, 1.3, 2.5], [0.7, 1.1, 3.2]
ROWS = [[0.2, 0.5, 1.3], [1.0, 2.0, 3.0]]
SIMPLEX = [[0.2, 0.3, 0.5], [0.1, 0.6, 0.3]]
POSITIVE, UNIT, COUNTS = [0.3, 1.9, 4.0], [0.15, 0.5, 0.85], [0.0, 1.0, 3.0]
MATRIX = [[2.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 3.0]]
TABLE: dict[str, tuple[Make, Any]] = {
    "Normal": (lambda d, a, b, r: d.Normal(a, b), [-1.0, 0.2, 3.0]),
    "LogNormal": (lambda d, a, b, r: d.LogNormal(a, b), POSITIVE),
    "HalfNormal": (lambda d, a, b, r: d.HalfNormal(a), POSITIVE),
    "Uniform": (lambda d, a, b, r: d.Uniform(-a, b), UNIT),
    "Laplace": (lambda d, a, b, r: d.Laplace(a, b), [-1.0, 0.2, 3.0]),
    "Cauchy": (lambda d, a, b, r: d.Cauchy(a, b), [-1.0, 0.2, 3.0]),
    "HalfCauchy": (lambda d, a, b, r: d.HalfCauchy(a), POSITIVE),
    "Gumbel": (lambda d, a, b, r: d.Gumbel(a, b), [-1.0, 0.2, 3.0]),
    "StudentT": (lambda d, a, b, r: d.StudentT(a + 2, a, b), [-1.0, 0.2, 3.0]),
    "Exponential": (lambda d, a, b, r: d.Exponential(a), POSITIVE),
    "Gamma": (lambda d, a, b, r: d.Gamma(a, b), POSITIVE),
    "Chi2": (lambda d, a, b, r: d.Chi2(a), POSITIVE),
    "Beta": (lambda d, a, b, r: d.Beta(a, b), UNIT),
    "Dirichlet": (lambda d, a, b, r: d.Dirichlet(r), SIMPLEX),
    "FisherSnedecor": (lambda d, a, b, r: d.FisherSnedecor(a, b + 4), POSITIVE),
    "Weibull": (lambda d, a, b, r: d.Weibull(a, b + 1), POSITIVE),
    "Pareto": (lambda d, a, b, r: d.Pareto(a, b + 2), [0.5, 1.9, 4.0]),
    "Kumaraswamy": (lambda d, a, b, r: d.Kumaraswamy(a + 1, b + 1), UNIT),
    "Bernoulli": (lambda d, a, b, r: d.Bernoulli(a / 4), [0.0, 1.0, 1.0]),
    "BernoulliLogits": (lambda d, a, b, r: d.Bernoulli(logits=a), [0.0, 1.0, 1.0]),
    "Geometric": (lambda d, a, b, r: d.Geometric(a / 4), COUNTS),
    "Poisson": (lambda d, a, b, r: d.Poisson(a), COUNTS),
    "Binomial": (lambda d, a, b, r: d.Binomial(5, a / 4), COUNTS),
    "NegativeBinomial": (lambda d, a, b, r: d.NegativeBinomial(4, a / 4), COUNTS),
    "Categorical": (lambda d, a, b, r: d.Categorical(r), [2.0, 0.0]),
    "CategoricalLogits": (lambda d, a, b, r: d.Categorical(logits=r), [2.0, 0.0]),
    "OneHotCategorical": (lambda d, a, b, r: d.OneHotCategorical(r), [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
    "Multinomial": (lambda d, a, b, r: d.Multinomial(4, r), [[1.0, 1.0, 2.0], [0.0, 3.0, 1.0]]),
    "Independent": (lambda d, a, b, r: d.Independent(d.Normal(a, b), 1), [-1.0, 0.2, 3.0]),
    "Tanh": (lambda d, a, b, r: d.TransformedDistribution(d.Normal(a, b), [d.TanhTransform()]), UNIT),
    "AffineSigmoid": (
        lambda d, a, b, r: d.TransformedDistribution(
            d.Normal(a, b), [d.SigmoidTransform(), d.AffineTransform(1.0, -2.0)]
        ),
        [-0.5, 0.1, 0.7],
    ),
    "Mixture": (lambda d, a, b, r: d.MixtureSameFamily(d.Categorical(a), d.Normal(a, b)), 0.7),
    "RelaxedBernoulli": (lambda d, a, b, r: d.RelaxedBernoulli(a[0].detach(), a / 4), UNIT),
    "RelaxedOneHotCategorical": (lambda d, a, b, r: d.RelaxedOneHotCategorical(a[0].detach(), r), SIMPLEX),
    "ContinuousBernoulli": (lambda d, a, b, r: d.ContinuousBernoulli(a / 4), UNIT),
    "ContinuousBernoulliHalf": (lambda d, a, b, r: d.ContinuousBernoulli(a * 0 + 0.5002), UNIT),
    "InverseGamma": (lambda d, a, b, r: d.InverseGamma(a + 2, b), POSITIVE),
    "LogisticNormal": (lambda d, a, b, r: d.LogisticNormal(r, r), [[0.2, 0.3, 0.1, 0.4], [0.1, 0.6, 0.2, 0.1]]),
    "MultivariateNormal": (
        lambda d, a, b, r: d.MultivariateNormal(r, scale_tril=(b.reshape(3, 1) * b).tril()),
        [[0.1, 0.2, 0.3], [1.0, -1.0, 0.5]],
    ),
    "Covariance": (
        lambda d, a, b, r: d.MultivariateNormal(r, covariance_matrix=b.reshape(3, 1) * b + a.diag_embed()),
        [[0.1, 0.2, 0.3], [1.0, -1.0, 0.5]],
    ),
    "Precision": (
        lambda d, a, b, r: d.MultivariateNormal(r, precision_matrix=b.reshape(3, 1) * b + a.diag_embed()),
        [[0.1, 0.2, 0.3], [1.0, -1.0, 0.5]],
    ),
    "LowRankMultivariateNormal": (
        lambda d, a, b, r: d.LowRankMultivariateNormal(r, b.reshape(3, 1), a),
        [[0.1, 0.2, 0.3], [1.0, -1.0, 0.5]],
    ),
    "Wishart": (
        lambda d, a, b, r: d.Wishart(a + 4, (b.reshape(3, 1) * b).tril() @ (b.reshape(3, 1) * b).tril().mT),
        MATRIX,
    ),
    "LKJCholesky": (lambda d, a, b, r: d.LKJCholesky(3, a), [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, -0.6, 0.8]]),
}
QUESTIONS = ("log_prob", "cdf", "icdf", "entropy", "mean", "variance", "stddev", "mode")


# PyTorch has no gradient of gammainc in the concentration.
WITHOUT_GRADIENT = {("Gamma", "cdf"), ("Chi2", "cdf"), ("InverseGamma", "cdf")}


def parameters(t: Any) -> tuple[Any, ...]:
    return tuple(t.tensor(value, dtype=t.float64, requires_grad=True) for value in (A, B, ROWS))


def ask(t: Any, name: str, question: str) -> Any:
    """Return the answer and the gradients of its sum, as arrays; the error's class where there is no answer."""
    make, value = TABLE[name]
    given = parameters(t)
    made = make(t.distributions, *given)
    value = t.tensor(UNIT if question == "icdf" else value, dtype=t.float64)
    try:
        found = getattr(made, question)
        if callable(found):
            found = found() if question == "entropy" else found(value)
    except (NotImplementedError, RuntimeError, AttributeError) as error:
        return type(error)
    if found.requires_grad and (name, question) not in WITHOUT_GRADIENT:
        found.sum().backward()
    zeros = [np.zeros(parameter.shape) for parameter in given]
    grads = [z if p.grad is None else p.grad.numpy() for p, z in zip(given, zeros, strict=True)]
    return [found.detach().numpy(), *grads]


@pytest.mark.parity
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("name", TABLE)
def test_answers_are_pytorchs(session: Any, name: str, question: str) -> None:
    import gradwire

    torch = pytest.importorskip("torch")
    if (name, question) == ("Kumaraswamy", "mode"):
        return  # PyTorch's is the logarithm of a negative number
    found, wanted = ask(gradwire, name, question), ask(torch, name, question)
    if isinstance(wanted, type):
        return
    assert not isinstance(found, type), f"PyTorch answers; got {found}"
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


PAIRS = [
    (name, name)
    for name in (
        "Normal", "LogNormal", "HalfNormal", "Bernoulli", "Binomial", "Categorical", "OneHotCategorical", "Geometric", "Poisson",
        "Exponential", "Gamma", "Beta", "Dirichlet", "Laplace", "Cauchy", "Gumbel", "Pareto", "Independent", "MultivariateNormal",
        "Tanh", "LowRankMultivariateNormal",
    )
] + [
    ("Uniform", "Normal"), ("MultivariateNormal", "LowRankMultivariateNormal"), ("LowRankMultivariateNormal", "MultivariateNormal"),
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_divergences_are_pytorchs(session: Any, pair: tuple[str, str]) -> None:
    import gradwire

    torch = pytest.importorskip("torch")
    answers = []
    for t in (gradwire, torch):
        a, b, r = parameters(t)
        p, q = (
            TABLE[pair[0]][0](t.distributions, a, b, r),
            TABLE[pair[1]][0](t.distributions, a * 0.8, b * 1.1, r * 1.2 + 0.1),
        )
        made = t.distributions.kl_divergence(p, q)
        made.sum().backward()
        answers.append([made.detach().numpy(), *[x.grad.numpy() for x in (a, b, r) if x.grad is not None]])
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-10)


# PyTorch's Wishart says this of draws that are not.
@pytest.mark.filterwarnings("ignore:Singular sample")
@pytest.mark.parametrize("name", [name for name in TABLE if name not in ("Cauchy", "HalfCauchy", "Categorical")])
def test_draws_have_the_shape_mean_and_support(t: Any, name: str) -> None:
    t.manual_seed(0)
    a, b, r = parameters(t)
    made = TABLE[name][0](t.distributions, a, b, r)
    drawn = made.sample((2000,))
    assert tuple(drawn.shape) == (2000, *made.batch_shape, *made.event_shape)
    assert not drawn.requires_grad
    wide = made.expand((5, *made.batch_shape))
    assert tuple(wide.sample((2,)).shape) == (2, 5, *made.batch_shape, *made.event_shape)
    assert tuple(made.log_prob(drawn).shape) == (2000, *made.batch_shape)
    try:
        mean, deviation = made.mean.detach().numpy(), made.stddev.detach().numpy()
    except NotImplementedError:
        return
    if np.isfinite(mean).all() and np.isfinite(deviation).all():
        assert (np.abs(drawn.numpy().mean(0) - mean) < 6 * deviation / math.sqrt(2000) + 1e-9).all()


# d sample / d parameters, as functions of the sample and the parameters.
SLOPES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "Normal": (lambda x, a, b: np.ones(3), lambda x, a, b: (x - a) / b),
    "Laplace": (lambda x, a, b: np.ones(3), lambda x, a, b: (x - a) / b),
    "Gumbel": (lambda x, a, b: np.ones(3), lambda x, a, b: (x - a) / b),
    "LogNormal": (lambda x, a, b: x, lambda x, a, b: x * (np.log(x) - a) / b),
    "Uniform": (lambda x, a, b: -(b - x) / (a + b), lambda x, a, b: (x + a) / (a + b)),
    "Exponential": (lambda x, a, b: -x / a, lambda x, a, b: None),
}


@pytest.mark.parametrize("name", SLOPES)
def test_draws_carry_gradients(t: Any, name: str) -> None:
    a, b, r = parameters(t)
    t.manual_seed(1)
    drawn = TABLE[name][0](t.distributions, a, b, r).rsample()
    drawn.sum().backward()
    x = drawn.detach().numpy()
    for parameter, slope in zip((a, b), SLOPES[name], strict=True):
        wanted = slope(x, np.array(A), np.array(B))
        if wanted is not None:
            np.testing.assert_allclose(parameter.grad.numpy(), wanted, rtol=1e-6)


REFUSED: dict[str, tuple[Callable[[Any, Any], Any], type[Exception], str]] = {
    "parameter": (
        lambda t, d: d.Normal(0.0, -1.0), ValueError,
        r"Expected parameter scale \(Tensor of shape \(\)\) of distribution Normal\(loc: 0.0, scale: -1.0\) to satisfy the "
        r"constraint GreaterThan\(lower_bound=0.0\), but found invalid values:\n-1.0",
    ),
    "support": (
        lambda t, d: d.Bernoulli(0.5).log_prob(t.tensor(2.0)), ValueError,
        r"Expected value argument \(Tensor of shape \(\)\) to be within the support \(Boolean\(\)\) of the distribution "
        r"Bernoulli\(probs: 0.5\), but found invalid values:\n2.0",
    ),
    "shape": (
        lambda t, d: d.Normal(t.zeros(3), 1.0).log_prob(t.zeros(2)), ValueError,
        r"Value is not broadcastable with batch_shape\+event_shape: torch.Size\(\[2\]\) vs torch.Size\(\[3\]\).",
    ),
    "number": (lambda t, d: d.Normal(0.0, 1.0).log_prob(1.0), ValueError, "argument to log_prob must be a Tensor"),
    "both": (lambda t, d: d.Bernoulli(0.5, logits=0.3), ValueError, "Either `probs` or `logits` must be specified, but not both"),
    "axis": (lambda t, d: d.Categorical(t.tensor(1.0)), ValueError, "`probs` parameter must be at least one-dimensional."),
    "rsample": (lambda t, d: d.Poisson(1.0).rsample(), NotImplementedError, "^$"),
    "uniform": (lambda t, d: d.Uniform(1.0, 0.0), ValueError, "Expected parameter low"),
    "independent": (lambda t, d: d.Independent(d.Normal(0.0, 1.0), 1), ValueError, "Expected reinterpreted_batch_ndims <= "),
    "biject": (lambda t, d: d.biject_to(d.constraints.boolean), NotImplementedError, "Cannot transform _Boolean constraints"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(t: Any, name: str) -> None:
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        call(t, t.distributions)


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.ExpTransform(), lambda d: d.SigmoidTransform(), lambda d: d.TanhTransform(), lambda d: d.SoftplusTransform(),
        lambda d: d.AffineTransform(1.0, -2.0), lambda d: d.PowerTransform(2.0), lambda d: d.StickBreakingTransform(),
        lambda d: d.ComposeTransform([d.ExpTransform(), d.AffineTransform(0.5, 3.0)]), lambda d: d.ExpTransform().inv,
        lambda d: d.IndependentTransform(d.ExpTransform(), 1), lambda d: d.ReshapeTransform((3,), (3, 1)),
        lambda d: d.biject_to(d.constraints.interval(-1.0, 2.0)), lambda d: d.transform_to(d.constraints.greater_than(2.0)),
    ],
)  # fmt: skip
def test_maps_invert_and_know_their_jacobian(session: Any, make: Any) -> None:
    import gradwire

    torch = pytest.importorskip("torch")
    answers = []
    for t in (gradwire, torch):
        transform, x = make(t.distributions), t.tensor(UNIT, dtype=t.float64)
        y = transform(x)
        np.testing.assert_allclose(transform.inv(y).numpy(), UNIT, rtol=1e-7)
        assert tuple(transform.forward_shape(x.shape)) == tuple(y.shape)
        answers.append([y.numpy(), transform.log_abs_det_jacobian(x, y).numpy(), (transform.domain.event_dim,)])
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7)


def test_support_can_be_enumerated(t: Any) -> None:
    d = t.distributions
    assert d.Bernoulli(t.tensor([0.2, 0.3])).enumerate_support().tolist() == [[0, 0], [1, 1]]
    assert tuple(d.Categorical(t.ones(4, 3)).enumerate_support(expand=False).shape) == (3, 1)
    assert d.Binomial(2, t.tensor(0.5)).enumerate_support().tolist() == [0, 1, 2]
    assert tuple(d.OneHotCategorical(t.ones(4, 3)).enumerate_support().shape) == (3, 4, 3)


def test_all_names_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    ours = {name for name in vars(distributions) if isinstance(getattr(distributions, name), type) and name[0] != "_"}
    assert ours <= set(dir(torch.distributions))
