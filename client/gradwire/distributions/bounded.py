"""Further families: ContinuousBernoulli, InverseGamma, LogisticNormal."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.composed import TransformedDistribution
from gradwire.distributions.exponential_family import ExponentialFamily
from gradwire.distributions.gamma import Gamma
from gradwire.distributions.normal import Normal
from gradwire.distributions.parameters import ProbsOrLogits, broadcast_all, clamp_probs
from gradwire.distributions.transformed import _Mapped
from gradwire.distributions.transforms import PowerTransform, StickBreakingTransform

__all__ = ["ContinuousBernoulli", "InverseGamma", "LogisticNormal"]


class ContinuousBernoulli(ProbsOrLogits, ExponentialFamily):
    """The density C p^x (1 - p)^(1 - x) of x in [0, 1]: Loaiza-Ganem and Cunningham, NeurIPS 2019.

    Its formulas divide 0 by 0 at p = 1/2; for p between `lims` the first terms of their series stand in.
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _parameters = ("probs", "logits")
    _mean_carrier_measure = 0

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: Any = (0.499, 0.501), validate_args: bool | None = None
    ) -> None:
        (value,) = broadcast_all(self._take(probs, logits))
        self._lims = lims
        self._hold(value)
        super().__init__(value.size(), validate_args=validate_args)
        if probs is not None:
            self._hold(clamp_probs(value))

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.logits,)

    def _log_normalizer(self, theta: Any) -> Any:
        """Return log((exp(theta) - 1) / theta), by the first terms of its series near 0."""
        outside = (theta <= self._lims[0] - 0.5) | (theta > self._lims[1] - 0.5)
        away = gw.where(outside, theta, self._lims[0] - 0.5)
        series = theta / 2 + theta.square() / 24 - theta.pow(4) / 2880
        return gw.where(outside, away.expm1().abs().log() - away.abs().log(), series)

    def _copy_to(self, new: Any, batch_shape: Any) -> None:
        super()._copy_to(new, batch_shape)
        new._lims = self._lims

    def _outside(self) -> Any:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut(self) -> tuple[Any, Any]:
        """Return p, kept out of `lims`, and log((1 - p) / p) of it."""
        p = gw.where(self._outside(), self.probs, self._lims[0])
        return p, (-p).log1p() - p.log()

    def _log_norm(self) -> Any:
        p, odds = self._cut()
        below = gw.where(p <= 0.5, p, 0.0)
        above = gw.where(p >= 0.5, p, 1.0)
        exact = odds.abs().log() - gw.where(p <= 0.5, (-2 * below).log1p(), (2 * above - 1).log())
        x = (self.probs - 0.5) ** 2
        return gw.where(self._outside(), exact, math.log(2) + (4 / 3 + 104 / 45 * x) * x)

    def _mean(self) -> Any:
        p, odds = self._cut()
        x = self.probs - 0.5
        return gw.where(self._outside(), p / (2 * p - 1) + 1 / odds, 0.5 + (1 / 3 + 16 / 45 * x**2) * x)

    def _variance(self) -> Any:
        p, odds = self._cut()
        x = (self.probs - 0.5) ** 2
        exact = p * (p - 1) / (1 - 2 * p) ** 2 + 1 / odds**2
        return gw.where(self._outside(), exact, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)

    def _rsample(self, sample_shape: Any) -> Any:
        info = gw.finfo(self.probs.dtype)
        u = gw.rand(*self._extended_shape(sample_shape), dtype=self.probs.dtype)
        return self._icdf(u.clamp(min=info.tiny, max=1 - info.eps))

    def _icdf(self, value: Any) -> Any:
        p, odds = self._cut()
        return gw.where(self._outside(), ((-p).log1p() - (-p + value * (2 * p - 1)).log1p()) / odds, value)

    def _cdf(self, value: Any) -> Any:
        p, _ = self._cut()
        inside = (p**value * (1 - p) ** (1 - value) + p - 1) / (2 * p - 1)
        unbounded = gw.where(self._outside(), inside, value)
        return gw.where(value <= 0, 0.0, gw.where(value >= 1, 1.0, unbounded))

    def _log_prob(self, value: Any) -> Any:
        logits, value = broadcast_all(self.logits, value)
        cross = gw.nn.functional.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return self._log_norm() - cross

    def _entropy(self) -> Any:
        failure = (-self.probs).log1p()
        return self.mean * (failure - self.probs.log()) - self._log_norm() - failure


class InverseGamma(_Mapped):
    """The reciprocal of a gamma number."""

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args=validate_args)
        super().__init__(base, PowerTransform(-base.rate.new_ones(())), validate_args=validate_args)

    @property
    def concentration(self) -> Any:
        """Return the gamma number's concentration."""
        return self.base_dist.concentration

    @property
    def rate(self) -> Any:
        """Return the gamma number's rate."""
        return self.base_dist.rate

    def _mean(self) -> Any:
        return gw.where(self.concentration > 1, self.rate / (self.concentration - 1), math.inf)

    def _mode(self) -> Any:
        return self.rate / (self.concentration + 1)

    def _variance(self) -> Any:
        a = self.concentration
        return gw.where(a > 2, self.rate.square() / ((a - 1).square() * (a - 2)), math.inf)

    def _entropy(self) -> Any:
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()


class LogisticNormal(TransformedDistribution):
    """Points of the simplex that a stick of normal numbers breaks into."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand((1,))
        super().__init__(base, StickBreakingTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return this distribution for a larger batch."""
        return super().expand(batch_shape, self._get_checked_instance(LogisticNormal, _instance))

    @property
    def loc(self) -> Any:
        """Return the means of the normal numbers."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """Return their standard deviations."""
        return self.base_dist.base_dist.scale
