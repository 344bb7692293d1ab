"""`kl_divergence` and `register_kl`: Kullback and Leibler's divergence of pairs of families, by formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gradwire as gw
from gradwire.distributions.categorical import Categorical, OneHotCategorical
from gradwire.distributions.composed import Independent, TransformedDistribution
from gradwire.distributions.discrete import Bernoulli, Binomial, Geometric, Poisson
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.exponential_family import ExponentialFamily, bregman_divergence
from gradwire.distributions.gamma import Beta, Dirichlet, Exponential, Gamma
from gradwire.distributions.location_scale import Cauchy, Gumbel, Laplace, Uniform
from gradwire.distributions.matrices import LowRankMultivariateNormal, Wishart, log_det, multivariate_digamma
from gradwire.distributions.normal import HalfNormal, MultivariateNormal, Normal, _solve_lower
from gradwire.distributions.parameters import sum_rightmost
from gradwire.distributions.transformed import LogNormal, Pareto

__all__ = ["kl_divergence", "register_kl"]

Formula = Callable[[Any, Any], Any]
_FORMULAS: dict[tuple[type, type], Formula] = {}
_EULER = 0.57721566490153286060


def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """Return a decorator that registers a formula for a pair of classes and their subclasses."""
    for kind in (type_p, type_q):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected type_p and type_q to be Distribution subclasses but got {kind}")

    def register(function: Formula) -> Formula:
        _FORMULAS[type_p, type_q] = function
        return function

    return register


def _formula(type_p: type, type_q: type) -> Formula | None:
    """Return the formula of the nearest classes, p's first."""
    for left in type_p.__mro__:
        for right in type_q.__mro__:
            found = _FORMULAS.get((left, right))
            if found is not None:
                return found
    return None


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """Return the mean under p of log p - log q, of batch_shape; raise NotImplementedError for pairs without a formula."""
    formula = _formula(type(p), type(q))
    if formula is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}"
        )
    return formula(p, q)


register_kl(ExponentialFamily, ExponentialFamily)(bregman_divergence)


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


@register_kl(LogNormal, LogNormal)
@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    extra = len(p.event_shape) - len(p.base_dist.event_shape)
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), extra)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio - 1 - ratio.log())


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes cannot be computed"
        )
    spread = _solve_lower(q.scale_tril, p.scale_tril).square().sum((-2, -1))
    away = _solve_lower(q.scale_tril, (q.loc - p.loc).unsqueeze(-1)).square().sum((-2, -1))
    return q._log_det() - p._log_det() + 0.5 * (spread + away - p.event_shape[0])


def _check_events(p: Any, q: Any) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two (Low Rank) Multivariate Normals with different event shapes cannot be computed"
        )


def _trace_in_low_rank(q: Any, factor: Any) -> Any:
    """Return the trace of F' Q^-1 F, Q the covariance of q: Q^-1 is D^-1 - A' A."""
    scaled = factor * q._given_diag.rsqrt().unsqueeze(-1)
    return scaled.square().sum((-2, -1)) - (q._whitened() @ factor).square().sum((-2, -1))


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_rank(p: Any, q: Any) -> Any:
    _check_events(p, q)
    spread = _trace_in_low_rank(q, p._given_factor) + _trace_in_low_rank(q, p._given_diag.sqrt().diag_embed())
    return q._log_det() - p._log_det() + 0.5 * (spread + q._distance(q.loc - p.loc) - p.event_shape[0])


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _full_low_rank(p: Any, q: Any) -> Any:
    _check_events(p, q)
    spread = _trace_in_low_rank(q, p._factor)
    return q._log_det() - p._log_det() + 0.5 * (spread + q._distance(q.loc - p.loc) - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _low_rank_full(p: Any, q: Any) -> Any:
    _check_events(p, q)
    parts = gw.cat([p.cov_factor, p.cov_diag.sqrt().diag_embed()], -1)
    spread = _solve_lower(q._factor, parts).square().sum((-2, -1))
    away = _solve_lower(q._factor, (q.loc - p.loc).unsqueeze(-1)).square().sum((-2, -1))
    return q._log_det() - p._log_det() + 0.5 * (spread + away - p.event_shape[0])


@register_kl(Wishart, Wishart)
def _wishart(p: Any, q: Any) -> Any:
    n = p.event_shape[-1]
    spread = _solve_lower(q._factor, p._factor).square().sum((-2, -1))
    shape = (q.df / 2).mvlgamma(n) - (p.df / 2).mvlgamma(n) + (p.df - q.df) / 2 * multivariate_digamma(p.df / 2, n)
    return q.df * (log_det(q._factor) - log_det(p._factor)) + p.df / 2 * (spread - n) + shape


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    softplus = gw.nn.functional.softplus
    ones = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    return ones + (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    kl = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return kl.masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(OneHotCategorical, OneHotCategorical)
@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    each = p.probs * (p.logits - q.logits)
    each = gw.where((q.probs == 0).expand(each.shape), math.inf, each)
    return gw.where((p.probs == 0).expand(each.shape), 0.0, each).sum(-1)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    first = q.concentration * (p.rate / q.rate).log() + q.concentration.lgamma() - p.concentration.lgamma()
    slope = (p.concentration - q.concentration) * p.concentration.digamma()
    return first + slope + (q.rate - p.rate) * (p.concentration / p.rate)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    return _dirichlet(_pair(p), _pair(q))


def _pair(beta: Any) -> Dirichlet:
    return Dirichlet(beta._both, validate_args=False)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    total_p, total_q = p.concentration.sum(-1), q.concentration.sum(-1)
    constant = total_p.lgamma() - total_q.lgamma() - (p.concentration.lgamma() - q.concentration.lgamma()).sum(-1)
    slopes = p.concentration.digamma() - total_p.digamma().unsqueeze(-1)
    return constant + ((p.concentration - q.concentration) * slopes).sum(-1)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    return ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log() - (4 * p.scale * q.scale).log()


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio, q_place, p_place = p.scale / q.scale, q.loc / q.scale, p.loc / q.scale
    first = -ratio.log() - q_place + p_place
    return first + ratio * _EULER + (q_place + (1 + ratio).lgamma() - p_place).exp() - (1 + _EULER)


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    kl = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return kl.masked_fill(p.scale < q.scale, math.inf)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    kl = ((q.high - q.low) / (p.high - p.low)).log()
    return kl.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)


@register_kl(Uniform, Normal)
def _uniform_normal(p: Any, q: Any) -> Any:
    width = p.high - p.low
    constant = (math.sqrt(math.pi * 2) * q.scale / width).log()
    return constant + (width**2 / 12 + ((p.high + p.low - 2 * q.loc) / 2) ** 2) / (2 * q.scale**2)
