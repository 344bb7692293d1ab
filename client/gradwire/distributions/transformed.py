"""Distributions that are maps of others: LogNormal, Weibull, Pareto, Kumaraswamy, and the relaxed discrete ones."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.categorical import Categorical
from gradwire.distributions.composed import TransformedDistribution
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.gamma import Exponential
from gradwire.distributions.normal import Normal
from gradwire.distributions.parameters import ProbsOrLogits, broadcast_all, clamp_probs, probs_to_logits
from gradwire.distributions.transforms import AffineTransform, ExpTransform, PowerTransform, SigmoidTransform

__all__ = ["Kumaraswamy", "LogNormal", "Pareto", "RelaxedBernoulli", "RelaxedOneHotCategorical", "Weibull"]

_EULER = 0.57721566490153286060


class _Mapped(TransformedDistribution):
    """A map of a distribution, made again from its parameters where the batch grows."""

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return this distribution for a larger batch."""
        given = {name: getattr(self, name).expand(tuple(batch_shape)) for name in self.arg_constraints}
        return type(self)(**given, validate_args=False)


class LogNormal(_Mapped):
    """exp of a normal number."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args=validate_args), ExpTransform(), validate_args=validate_args)

    @property
    def loc(self) -> Any:
        """Return the mean of the logarithm."""
        return self.base_dist.loc

    @property
    def scale(self) -> Any:
        """Return the standard deviation of the logarithm."""
        return self.base_dist.scale

    def _mean(self) -> Any:
        return (self.loc + self.scale.square() / 2).exp()

    def _mode(self) -> Any:
        return (self.loc - self.scale.square()).exp()

    def _variance(self) -> Any:
        squared = self.scale.square()
        return squared.expm1() * (2 * self.loc + squared).exp()

    def _entropy(self) -> Any:
        return self.base_dist.entropy() + self.loc


class Weibull(_Mapped):
    """scale times a power, 1 / concentration, of an exponential number."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        base = Exponential(gw.ones_like(self.scale), validate_args=validate_args)
        maps = [PowerTransform(self.concentration.reciprocal()), AffineTransform(0, self.scale)]
        super().__init__(base, maps, validate_args=validate_args)

    def _mean(self) -> Any:
        return self.scale * (1 + self.concentration.reciprocal()).lgamma().exp()

    def _mode(self) -> Any:
        return self.scale * ((self.concentration - 1) / self.concentration) ** self.concentration.reciprocal()

    def _variance(self) -> Any:
        k = self.concentration.reciprocal()
        return self.scale**2 * ((1 + 2 * k).lgamma().exp() - (2 * (1 + k).lgamma()).exp())

    def _entropy(self) -> Any:
        k = self.concentration.reciprocal()
        return _EULER * (1 - k) + (self.scale * k).log() + 1


class Pareto(_Mapped):
    """scale exp(x / alpha), x an exponential number."""

    arg_constraints: ClassVar[Any] = {"alpha": constraints.positive, "scale": constraints.positive}

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args=validate_args)
        super().__init__(base, [ExpTransform(), AffineTransform(0, self.scale)], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """Return numbers from scale on."""
        return constraints.greater_than_eq(self.scale)

    def _mean(self) -> Any:
        above = self.alpha.clamp(min=1)
        return above * self.scale / (above - 1)

    def _mode(self) -> Any:
        return self.scale

    def _variance(self) -> Any:
        above = self.alpha.clamp(min=2)
        return self.scale.pow(2) * above / ((above - 1).pow(2) * (above - 2))

    def _entropy(self) -> Any:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


class Kumaraswamy(Distribution):
    """The density a b x^(a - 1) (1 - x^a)^(b - 1) of x in (0, 1)."""

    arg_constraints: ClassVar[Any] = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True
    _parameters = ("concentration1", "concentration0")

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self.concentration1.size(), validate_args=validate_args)

    def _moment(self, n: int) -> Any:
        """Return E x^n = b B(1 + n / a, b)."""
        a, b = self.concentration1, self.concentration0
        ratio = n / a
        return ((1 + ratio).lgamma() + b.lgamma() - (1 + ratio + b).lgamma() + b.log()).exp()

    def _mean(self) -> Any:
        return self._moment(1)

    def _mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        return ((a - 1) / (a * b - 1)).pow(a.reciprocal()).masked_fill((a < 1) | (b < 1), math.nan)

    def _variance(self) -> Any:
        return self._moment(2) - self._moment(1).square()

    def _rsample(self, sample_shape: Any) -> Any:
        info = gw.finfo(self.concentration1.dtype)
        u = gw.rand(*self._extended_shape(sample_shape), dtype=self.concentration1.dtype)
        inner = u.clamp(min=info.tiny, max=1 - info.eps)
        return (1 - inner.pow(self.concentration0.reciprocal())).pow(self.concentration1.reciprocal())

    def _log_prob(self, value: Any) -> Any:
        a, b = self.concentration1, self.concentration0
        return a.log() + b.log() + (a - 1) * value.log() + (b - 1) * (-value.pow(a)).log1p()

    def _cdf(self, value: Any) -> Any:
        return 1 - (1 - value.pow(self.concentration1)).pow(self.concentration0)

    def _icdf(self, value: Any) -> Any:
        return (1 - (1 - value).pow(self.concentration0.reciprocal())).pow(self.concentration1.reciprocal())

    def _entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + _EULER
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - a.log() - b.log()


class _LogitRelaxedBernoulli(ProbsOrLogits, Distribution):
    """The log-odds of a relaxed Bernoulli number: (logits + logistic noise) / temperature."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    has_rsample = True
    _parameters = ("probs", "logits")

    def __init__(self, temperature: Any, probs: Any, logits: Any, validate_args: bool | None) -> None:
        self.temperature = temperature
        (value,) = broadcast_all(self._take(probs, logits))
        self._hold(value)
        super().__init__(value.size(), validate_args=validate_args)

    def _copy_to(self, new: Any, batch_shape: Any) -> None:
        super()._copy_to(new, batch_shape)
        new.temperature = self.temperature

    def _rsample(self, sample_shape: Any) -> Any:
        shape = self._extended_shape(sample_shape)
        u = clamp_probs(gw.rand(*shape, dtype=self._param.dtype))
        return (probs_to_logits(u, is_binary=True) + self.logits) / self.temperature

    def _log_prob(self, value: Any) -> Any:
        logits, value = broadcast_all(self.logits, value)
        difference = logits - value * self.temperature
        log_temperature = gw.as_tensor(self.temperature, dtype=logits.dtype).log()
        return log_temperature + difference - 2 * difference.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """A number of (0, 1) that nears a Bernoulli one as the temperature falls: Maddison, Mnih and Teh, 2017."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = _LogitRelaxedBernoulli(temperature, probs, logits, validate_args)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return this distribution for a larger batch."""
        return super().expand(batch_shape, self._get_checked_instance(RelaxedBernoulli, _instance))

    @property
    def temperature(self) -> Any:
        """Return the temperature."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """Return the log-odds."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """Return the probabilities."""
        return self.base_dist.probs

    __repr__ = Distribution.__repr__


class _ExpRelaxedCategorical(Distribution):
    """The logarithms of a relaxed one-hot vector: log_softmax((logits + Gumbel noise) / temperature)."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    # The vectors whose exp sum to 1, of which real_vector checks all but the sum.
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, temperature: Any, probs: Any, logits: Any, validate_args: bool | None) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        self.temperature = temperature
        shape = self._categorical._param.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return this distribution for a larger batch."""
        new = self._get_checked_instance(_ExpRelaxedCategorical, _instance)
        new.temperature, new._categorical = self.temperature, self._categorical.expand(batch_shape)
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _rsample(self, sample_shape: Any) -> Any:
        logits = self._categorical.logits
        u = clamp_probs(gw.rand(*self._extended_shape(sample_shape), dtype=logits.dtype))
        return ((logits - (-u.log()).log()) / self.temperature).log_softmax(-1)

    def _log_prob(self, value: Any) -> Any:
        count = self._event_shape[0]
        temperature = gw.as_tensor(self.temperature, dtype=value.dtype)
        logits, value = broadcast_all(self._categorical.logits, value)
        scale = math.lgamma(count) + temperature.log() * (count - 1)
        return (logits - value * temperature).log_softmax(-1).sum(-1) + scale


class RelaxedOneHotCategorical(TransformedDistribution):
    """A point of the simplex that nears a one-hot vector as the temperature falls: Jang, Gu and Poole, 2017."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = _ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return this distribution for a larger batch."""
        return super().expand(batch_shape, self._get_checked_instance(RelaxedOneHotCategorical, _instance))

    @property
    def temperature(self) -> Any:
        """Return the temperature."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """Return the logarithms of the probabilities."""
        return self.base_dist._categorical.logits

    @property
    def probs(self) -> Any:
        """Return the probabilities."""
        return self.base_dist._categorical.probs

    __repr__ = Distribution.__repr__
